"""Posting, balances and corrections on both databases."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError

from vending.ledger import service
from vending.ledger.errors import (
    AccountMismatchError,
    AccountNotFoundError,
    AlreadyReversedError,
    EntryExistsError,
    FloorAboveBalanceError,
    InsufficientBalanceError,
)
from vending.ledger.model import Account, AccountCode, AccountKind, build_reversal
from vending.persistence.engine import Database
from vending.values.clock import FixedClock
from vending.values.money import Currency

if TYPE_CHECKING:
    from tests.integration.vending.ledger.conftest import Book, MakeEntry, Post


def balance(database: Database, account: Account) -> int:
    with database.read() as connection:
        return service.read_balances(connection, [account.code])[account.code].minor


def test_entries_are_read_back_as_they_were_posted(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    topup = make_entry((book.cash, 5_000), (book.prepaid, -5_000), reference="topup")
    sale = make_entry((book.prepaid, 1_160), (book.revenue, -1_000), (book.vat, -160))
    post(topup, sale)
    with database.read() as connection:
        assert service.find_entry(connection, sale.id) == sale
        assert service.list_entries(connection, "topup") == [topup]
        assert service.list_entries(connection, "nothing") == []
        assert service.find_entry(connection, uuid.UUID(int=99)) is None


def test_balances_follow_the_postings(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    post(make_entry((book.cash, 5_000), (book.prepaid, -5_000)))
    post(make_entry((book.prepaid, 1_160), (book.revenue, -1_000), (book.vat, -160)))
    codes = [account.code for account in book.accounts]
    with database.read() as connection:
        balances = service.read_balances(connection, codes)
    assert {code: found.minor for code, found in balances.items()} == {
        "cash": 5_000,
        "partner:1:float": 3_840,
        "revenue:energy": 1_000,
        "tax:vat": 160,
    }
    assert balances[book.prepaid.code].available_minor == 3_840


def test_no_codes_and_no_entries_are_no_work(database: Database, post: "Post") -> None:
    post()
    with database.read() as connection:
        assert service.read_balances(connection, []) == {}
        assert service.trial_balance(connection) == []
        assert service.verify(connection) == []


def test_a_debit_below_the_floor_is_refused_and_nothing_posted(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    post(make_entry((book.cash, 100), (book.prepaid, -100)))
    good = make_entry((book.prepaid, 60), (book.revenue, -60))
    too_much = make_entry((book.prepaid, 41), (book.revenue, -41))
    with pytest.raises(InsufficientBalanceError) as refused:
        post(good, too_much)
    assert refused.value.facts["balance_minor"] == 100
    assert refused.value.facts["change_minor"] == -101
    assert balance(database, book.prepaid) == 100
    post(good)
    assert balance(database, book.prepaid) == 40


def test_a_batch_may_fill_a_float_and_empty_it(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    post(
        make_entry((book.prepaid, 100), (book.revenue, -100)),
        make_entry((book.cash, 100), (book.prepaid, -100)),
    )
    assert balance(database, book.prepaid) == 0


def test_posting_an_entry_again_changes_nothing(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    topup = make_entry((book.cash, 100), (book.prepaid, -100))
    post(topup)
    with pytest.raises(EntryExistsError) as refused:
        post(topup)
    assert str(topup.id) in str(refused.value)
    assert balance(database, book.prepaid) == 100


def test_an_entry_twice_in_a_batch_is_refused(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    topup = make_entry((book.cash, 100), (book.prepaid, -100))
    with pytest.raises(EntryExistsError):
        post(topup, topup)
    with database.read() as connection:
        assert service.read_balances(connection, [book.prepaid.code]) == {}


def test_a_reversal_restores_the_balances_once(
    database: Database,
    book: "Book",
    make_entry: "MakeEntry",
    post: "Post",
    fixed_clock: FixedClock,
) -> None:
    post(make_entry((book.cash, 100), (book.prepaid, -100)))
    sale = make_entry((book.prepaid, 100), (book.revenue, -100))
    post(sale)
    first, second = (
        build_reversal(
            sale, entry_id=uuid.UUID(int=number), at=fixed_clock.now(), reference="refund"
        )
        for number in (1001, 1002)
    )
    post(first)
    assert balance(database, book.prepaid) == 100
    assert balance(database, book.revenue) == 0
    with pytest.raises(AlreadyReversedError):
        post(second)
    assert balance(database, book.prepaid) == 100
    with database.read() as connection:
        assert service.find_entry(connection, first.id) == first


def test_a_reversal_of_nothing_is_our_own_fault(
    book: "Book", make_entry: "MakeEntry", post: "Post", fixed_clock: FixedClock
) -> None:
    never_posted = make_entry((book.cash, 1), (book.vat, -1))
    reversal = build_reversal(
        never_posted, entry_id=uuid.UUID(int=1001), at=fixed_clock.now(), reference="refund"
    )
    with pytest.raises(IntegrityError):
        post(reversal)


def test_a_posting_to_an_unknown_account_is_refused(
    book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    with pytest.raises(AccountNotFoundError, match="cash"):
        post(make_entry((book.cash, 1), (book.prepaid, -1)), accounts=[book.prepaid])


def test_an_account_keeps_its_kind(book: "Book", make_entry: "MakeEntry", post: "Post") -> None:
    post(make_entry((book.cash, 1), (book.vat, -1)))
    other = Account(code=book.cash.code, kind=AccountKind.EXPENSE, currency=book.cash.currency)
    with pytest.raises(AccountMismatchError, match="asset KES, not expense KES"):
        post(make_entry((book.cash, 1), (book.vat, -1)), accounts=[other, book.vat])


def test_an_entry_keeps_to_the_currency_of_its_accounts(
    book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    with pytest.raises(AccountMismatchError, match="UGX, not KES"):
        post(make_entry((book.cash, 1), (book.cash_ugx, -1)))


def test_currencies_are_kept_apart(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    post(
        make_entry((book.cash, 7), (book.revenue, -7)),
        make_entry((book.cash_ugx, 9), (book.revenue_ugx, -9)),
    )
    with database.read() as connection:
        lines = service.trial_balance(connection)
    assert [
        (line.account.code, str(line.account.currency), line.debit_minor, line.credit_minor)
        for line in lines
    ] == [
        ("cash", "KES", 7, 0),
        ("revenue:energy", "KES", 0, 7),
        ("cash-ugx", "UGX", 9, 0),
        ("revenue-ugx", "UGX", 0, 9),
    ]


def test_a_lower_floor_lets_a_partner_sell_on_credit(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    post(make_entry((book.cash, 100), (book.prepaid, -100)))
    with database.unit_of_work() as uow:
        changed = service.change_floor(uow.connection, book.prepaid.code, -50)
        uow.commit()
    assert changed.available_minor == 150
    post(make_entry((book.prepaid, 150), (book.revenue, -150)))
    assert balance(database, book.prepaid) == -50
    with database.read() as connection:
        assert service.verify(connection) == []


def test_a_floor_above_the_balance_is_refused(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    post(make_entry((book.cash, 100), (book.prepaid, -100)))
    with pytest.raises(FloorAboveBalanceError), database.unit_of_work() as uow:
        service.change_floor(uow.connection, book.prepaid.code, 101)


def test_a_floor_for_an_account_without_one_starts_from_its_postings(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    post(make_entry((book.cash, 100), (book.revenue, -100)))
    with database.unit_of_work() as uow:
        service.change_floor(uow.connection, book.cash.code, 0)
        uow.commit()
    with pytest.raises(InsufficientBalanceError):
        post(make_entry((book.revenue, 101), (book.cash, -101)))
    with database.read() as connection:
        assert service.verify(connection) == []


def test_a_floor_for_an_unknown_account_is_refused(database: Database) -> None:
    with pytest.raises(AccountNotFoundError), database.unit_of_work() as uow:
        service.change_floor(uow.connection, AccountCode("nobody"), 0)


def test_the_floor_given_with_an_existing_account_does_not_change_it(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    post(make_entry((book.cash, 100), (book.prepaid, -100)))
    generous = Account(
        code=book.prepaid.code,
        kind=book.prepaid.kind,
        currency=book.prepaid.currency,
        floor_minor=-1_000,
    )
    with pytest.raises(InsufficientBalanceError):
        post(
            make_entry((book.prepaid, 101), (book.revenue, -101)), accounts=[generous, book.revenue]
        )
    assert balance(database, book.prepaid) == 100


def test_simultaneous_sales_never_overdraw_a_float(
    database: Database, book: "Book", make_entry: "MakeEntry", post: "Post"
) -> None:
    post(make_entry((book.cash, 500), (book.prepaid, -500)))
    sales = [make_entry((book.prepaid, 100), (book.revenue, -100)) for _ in range(12)]

    def sell(number: int) -> bool:
        try:
            post(sales[number])
        except InsufficientBalanceError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(sell, range(12)))
    assert outcomes.count(True) == 5
    assert balance(database, book.prepaid) == 0
    with database.read() as connection:
        assert service.verify(connection) == []


def test_simultaneous_batches_over_many_floats_do_not_deadlock(
    database: Database, make_entry: "MakeEntry", post: "Post", book: "Book"
) -> None:
    floats = [
        Account(
            code=AccountCode(f"partner:{number:02}:float"),
            kind=AccountKind.LIABILITY,
            currency=Currency("KES"),
            floor_minor=-1_000,
        )
        for number in range(20)
    ]
    batches = [
        [make_entry((account, 10), (book.revenue, -10)) for account in ordered]
        for ordered in (floats, floats[::-1]) * 4
    ]

    def run(batch: int) -> None:
        post(*batches[batch], accounts=[*floats, book.revenue])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(8)))
    assert balance(database, floats[0]) == -80
    with database.read() as connection:
        assert service.verify(connection) == []

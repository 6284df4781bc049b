import uuid
from datetime import UTC, datetime

import pytest

from vending.ledger.errors import UnbalancedEntryError
from vending.ledger.model import (
    MINOR_MAX,
    POSTINGS_MAX,
    Account,
    AccountCode,
    AccountKind,
    Balance,
    JournalEntry,
    Posting,
    account_code,
    build_reversal,
)
from vending.values.identifiers import EntryId
from vending.values.money import Currency

KES = Currency("KES")


def entry(*minors: int) -> JournalEntry:
    return JournalEntry(
        id=EntryId(uuid.UUID(int=7)),
        at=datetime(2026, 11, 25, tzinfo=UTC),
        kind="sale",
        reference="sale-1",
        currency=KES,
        postings=tuple(
            Posting(AccountCode(f"a:{number}"), minor) for number, minor in enumerate(minors)
        ),
    )


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (("revenue", "energy"), "revenue:energy"),
        (("partner", uuid.UUID(int=1), "float"), f"partner:{uuid.UUID(int=1)}:float"),
        (("customer-credit", "X_1.2"), "customer-credit:X_1.2"),
        (("cash",), "cash"),
    ],
)
def test_account_code_joins_its_parts(parts: tuple[object, ...], code: str) -> None:
    assert account_code(*parts) == code


@pytest.mark.parametrize(
    "parts", [(), ("",), ("a", ""), ("Cash",), ("1",), ("a b",), ("a", "é"), ("a" * 121,), ("a\n",)]
)
def test_account_code_refuses_what_is_no_code(parts: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match="no account code"):
        account_code(*parts)


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        (AccountKind.ASSET, 1),
        (AccountKind.EXPENSE, 1),
        (AccountKind.LIABILITY, -1),
        (AccountKind.INCOME, -1),
    ],
)
def test_account_kind_knows_which_side_raises_it(kind: AccountKind, sign: int) -> None:
    assert kind.sign == sign


def test_entry_keeps_balanced_postings() -> None:
    assert [leg.minor for leg in entry(100, -84, -16).postings] == [100, -84, -16]


@pytest.mark.parametrize(
    ("minors", "fault"),
    [
        ((), "has 0 postings"),
        ((0,), "has 1 postings"),
        ((1,) * (POSTINGS_MAX + 1), "postings"),
        ((5, -5, 0), "posting of zero"),
        ((MINOR_MAX + 1, -MINOR_MAX - 1), "posting of zero or above"),
        ((100, -99), "sums to 1"),
    ],
)
def test_entry_refuses_what_breaks_double_entry(minors: tuple[int, ...], fault: str) -> None:
    with pytest.raises(UnbalancedEntryError, match=fault):
        entry(*minors)


def test_entry_takes_the_largest_posting() -> None:
    assert entry(MINOR_MAX, -MINOR_MAX).postings[0].minor == MINOR_MAX


def test_reversal_undoes_each_leg_and_names_its_entry() -> None:
    original = entry(100, -84, -16)
    reversal = build_reversal(
        original, entry_id=uuid.UUID(int=8), at=original.at, reference="complaint-3"
    )
    assert [leg.minor for leg in reversal.postings] == [-100, 84, 16]
    assert [leg.account_code for leg in reversal.postings] == ["a:0", "a:1", "a:2"]
    assert reversal.reverses == original.id
    assert reversal.kind == "sale-reversal"
    assert reversal.reference == "complaint-3"


@pytest.mark.parametrize(("floor_minor", "available"), [(None, None), (0, 70), (-30, 100), (70, 0)])
def test_balance_tells_what_may_be_taken(floor_minor: int | None, available: int | None) -> None:
    account = Account(
        code=AccountCode("a"), kind=AccountKind.LIABILITY, currency=KES, floor_minor=floor_minor
    )
    assert Balance(account, 70).available_minor == available

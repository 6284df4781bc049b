import uuid
from datetime import UTC, datetime

import pytest

from vending.ledger.errors import InsufficientBalanceError
from vending.ledger.model import (
    Account,
    AccountCode,
    AccountKind,
    Balance,
    JournalEntry,
    Posting,
)
from vending.ledger.rules import apply_entry, compute_changes, require_floor
from vending.values.identifiers import EntryId
from vending.values.money import Currency

KES = Currency("KES")
FLOAT = Account(
    code=AccountCode("float"), kind=AccountKind.LIABILITY, currency=KES, floor_minor=-50
)
CASH = Account(code=AccountCode("cash"), kind=AccountKind.ASSET, currency=KES)
REVENUE = Account(code=AccountCode("revenue"), kind=AccountKind.INCOME, currency=KES)
ACCOUNTS = {account.code: account for account in (FLOAT, CASH, REVENUE)}


def entry(**legs: int) -> JournalEntry:
    return JournalEntry(
        id=EntryId(uuid.UUID(int=7)),
        at=datetime(2026, 11, 25, tzinfo=UTC),
        kind="sale",
        reference="sale-1",
        currency=KES,
        postings=tuple(Posting(AccountCode(code), minor) for code, minor in legs.items()),
    )


def test_changes_are_in_the_direction_of_each_kind() -> None:
    entries = [entry(cash=100, float=-100), entry(float=30, revenue=-30)]
    assert compute_changes(entries, ACCOUNTS) == {"cash": 100, "float": 70, "revenue": 30}


@pytest.mark.parametrize(("minor", "change"), [(0, -50), (100, -150), (-50, 0), (-60, 5), (-60, 0)])
def test_floor_allows(minor: int, change: int) -> None:
    require_floor(Balance(FLOAT, minor), change)


@pytest.mark.parametrize(("minor", "change"), [(0, -51), (-50, -1), (-60, -1)])
def test_floor_refuses(minor: int, change: int) -> None:
    with pytest.raises(InsufficientBalanceError) as refused:
        require_floor(Balance(FLOAT, minor), change)
    assert refused.value.facts == {
        "account": "float",
        "balance_minor": minor,
        "change_minor": change,
        "floor_minor": -50,
    }


def test_an_account_without_floor_may_fall_without_end() -> None:
    require_floor(Balance(CASH, 0), -(10**12))


def test_entries_are_applied_one_by_one_until_one_does_not_fit() -> None:
    balances = {FLOAT.code: Balance(FLOAT, 20)}
    balances = apply_entry(balances, entry(float=60, revenue=-60))
    assert balances[FLOAT.code].minor == -40
    with pytest.raises(InsufficientBalanceError):
        apply_entry(balances, entry(float=11, revenue=-11))
    balances = apply_entry(balances, entry(float=10, revenue=-10))
    assert balances == {FLOAT.code: Balance(FLOAT, -50)}


def test_an_entry_that_touches_an_account_twice_is_judged_by_its_net() -> None:
    balances = {FLOAT.code: Balance(FLOAT, 0)}
    twice = JournalEntry(
        id=EntryId(uuid.UUID(int=7)),
        at=datetime(2026, 11, 25, tzinfo=UTC),
        kind="sale",
        reference="sale-1",
        currency=KES,
        postings=(
            Posting(FLOAT.code, 90),
            Posting(FLOAT.code, -80),
            Posting(REVENUE.code, -10),
        ),
    )
    assert apply_entry(balances, twice)[FLOAT.code].minor == -10

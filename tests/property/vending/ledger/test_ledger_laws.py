"""The laws of the ledger, over arbitrary entries, on both databases."""

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from vending.ledger import service
from vending.ledger.errors import EntryExistsError, InsufficientBalanceError
from vending.ledger.model import (
    Account,
    AccountCode,
    AccountKind,
    JournalEntry,
    Posting,
    build_reversal,
)
from vending.persistence.engine import Database
from vending.values.identifiers import EntryId
from vending.values.money import Currency

AT = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
CURRENCIES = {"KES": Currency("KES"), "UGX": Currency("UGX")}
ACCOUNTS = [
    Account(
        code=AccountCode(f"{kind.value}-{number}:{code.lower()}"),
        kind=kind,
        currency=currency,
        floor_minor=floor,
    )
    for code, currency in CURRENCIES.items()
    for kind in AccountKind
    for number, floor in enumerate((None, -500))
]


@st.composite
def entries(draw: st.DrawFn) -> JournalEntry:
    currency = CURRENCIES[draw(st.sampled_from(sorted(CURRENCIES)))]
    codes = st.sampled_from([a.code for a in ACCOUNTS if a.currency == currency])
    minors = st.integers(-400, 400).filter(bool)
    legs = draw(st.lists(st.builds(Posting, codes, minors), min_size=1, max_size=5))
    rest = -sum(leg.minor for leg in legs)
    if rest:
        legs.append(Posting(draw(codes), rest))
    elif len(legs) == 1:
        legs.append(Posting(draw(codes), -legs[0].minor))
    return JournalEntry(
        id=EntryId(draw(st.uuids(version=4))),
        at=AT,
        kind="any",
        reference=draw(st.text("abc", max_size=2)),
        currency=currency,
        postings=tuple(legs),
    )


batches = st.lists(
    st.lists(entries(), min_size=1, max_size=4, unique_by=lambda entry: entry.id), max_size=6
)


def post(connection: Connection, batch: list[JournalEntry]) -> bool:
    """Post behind a savepoint; return whether the floors allowed it."""
    savepoint = connection.begin_nested()
    try:
        service.post_entries(connection, batch, ACCOUNTS)
    except InsufficientBalanceError:
        savepoint.rollback()
        return False
    savepoint.commit()
    return True


def holdings(connection: Connection) -> dict[AccountCode, int]:
    codes = [account.code for account in ACCOUNTS]
    found = service.read_balances(connection, codes)
    return {code: balance.minor for code, balance in found.items()}


@settings(max_examples=40)
@given(batches)
def test_balances_equal_the_sum_of_what_was_posted(
    database: Database, given_batches: list[list[JournalEntry]]
) -> None:
    expected: dict[AccountCode, int] = {}
    signs = {account.code: account.kind.sign for account in ACCOUNTS}
    with database.unit_of_work() as uow:
        for batch in given_batches:
            if post(uow.connection, batch):
                for entry in batch:
                    for leg in entry.postings:
                        change = signs[leg.account_code] * leg.minor
                        expected[leg.account_code] = expected.get(leg.account_code, 0) + change
        assert holdings(uow.connection) == expected
        assert service.verify(uow.connection) == []
        lines = service.trial_balance(uow.connection)
        for currency in CURRENCIES.values():
            own = [line for line in lines if line.account.currency == currency]
            assert sum(line.debit_minor for line in own) == sum(line.credit_minor for line in own)
        assert all(
            balance.available_minor is None or balance.available_minor >= 0
            for balance in service.read_balances(uow.connection, list(signs)).values()
        )


@settings(max_examples=25)
@given(st.lists(entries(), min_size=1, max_size=4, unique_by=lambda entry: entry.id))
def test_a_replay_changes_nothing(database: Database, batch: list[JournalEntry]) -> None:
    with database.unit_of_work() as uow:
        if post(uow.connection, batch):
            before = holdings(uow.connection)
            savepoint = uow.connection.begin_nested()
            with pytest.raises(EntryExistsError):
                service.post_entries(uow.connection, batch, ACCOUNTS)
            savepoint.rollback()
            assert holdings(uow.connection) == before
            assert service.verify(uow.connection) == []


@settings(max_examples=25)
@given(entries())
def test_an_entry_and_its_reversal_leave_every_balance_at_zero(
    database: Database, entry: JournalEntry
) -> None:
    reversal = build_reversal(
        entry, entry_id=uuid.uuid5(entry.id, "reversal"), at=AT, reference="undo"
    )
    with database.unit_of_work() as uow:
        if post(uow.connection, [entry]):
            assert service.find_entry(uow.connection, entry.id) == entry
            service.post_entries(uow.connection, [reversal], ACCOUNTS)
            assert set(holdings(uow.connection).values()) == {0}

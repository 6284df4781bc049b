"""Accounts and entries for tests of the ledger."""

import itertools
import uuid
from collections.abc import Callable, Sequence

import pytest

from vending.ledger import service
from vending.ledger.model import (
    Account,
    AccountCode,
    AccountKind,
    JournalEntry,
    Posting,
)
from vending.persistence.engine import Database
from vending.values.clock import FixedClock
from vending.values.identifiers import EntryId
from vending.values.money import Currency

KES = Currency("KES")
UGX = Currency("UGX")

MakeEntry = Callable[..., JournalEntry]
Post = Callable[..., None]


class Book:
    """The accounts of a small utility; `prepaid` may not fall below zero."""

    cash = Account(code=AccountCode("cash"), kind=AccountKind.ASSET, currency=KES)
    prepaid = Account(
        code=AccountCode("partner:1:float"),
        kind=AccountKind.LIABILITY,
        currency=KES,
        floor_minor=0,
    )
    revenue = Account(code=AccountCode("revenue:energy"), kind=AccountKind.INCOME, currency=KES)
    vat = Account(code=AccountCode("tax:vat"), kind=AccountKind.LIABILITY, currency=KES)
    cash_ugx = Account(code=AccountCode("cash-ugx"), kind=AccountKind.ASSET, currency=UGX)
    revenue_ugx = Account(code=AccountCode("revenue-ugx"), kind=AccountKind.INCOME, currency=UGX)
    accounts = (cash, prepaid, revenue, vat, cash_ugx, revenue_ugx)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def make_entry(fixed_clock: FixedClock) -> MakeEntry:
    numbers = itertools.count(1)

    def make(*legs: tuple[Account, int], reference: str = "sale-1") -> JournalEntry:
        return JournalEntry(
            id=EntryId(uuid.UUID(int=next(numbers))),
            at=fixed_clock.now(),
            kind="sale",
            reference=reference,
            currency=legs[0][0].currency,
            postings=tuple(Posting(account.code, minor) for account, minor in legs),
        )

    return make


@pytest.fixture
def post(database: Database, book: Book) -> Post:
    def run(*entries: JournalEntry, accounts: Sequence[Account] = book.accounts) -> None:
        with database.unit_of_work() as uow:
            service.post_entries(uow.connection, entries, accounts)
            uow.commit()

    return run

"""Every query of the ledger; each takes the connection first and works on whole batches."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    func,
    or_,
    select,
    update,
)

from vending.ledger.model import (
    Account,
    AccountCode,
    AccountKind,
    Balance,
    JournalEntry,
    Posting,
    TrialBalanceLine,
)
from vending.ledger.tables import journal_entries, ledger_accounts, ledger_balances, postings
from vending.persistence.bulk import insert_new_rows, insert_rows, is_one_of, update_rows
from vending.values.identifiers import EntryId
from vending.values.money import Currency

_accounts = ledger_accounts.c
_balances = ledger_balances.c
_entries = journal_entries.c
_legs = postings.c


def load_accounts(
    connection: Connection, codes: Collection[AccountCode]
) -> dict[AccountCode, Account]:
    """Return those of the accounts that exist, with the floors they have now."""
    if not codes:
        return {}
    rows = connection.execute(
        _select_accounts().where(is_one_of(connection, _accounts.code, sorted(codes)))
    )
    return {AccountCode(row.code): _account_of(row) for row in rows}


def insert_accounts(connection: Connection, accounts: Iterable[Account]) -> None:
    """Open the accounts that nobody else opened meanwhile, with a balance of 0."""
    ordered = sorted(accounts, key=lambda account: account.code)
    rows = [
        {"code": account.code, "kind": account.kind.value, "currency": account.currency.code}
        for account in ordered
    ]
    inserted = insert_new_rows(connection, ledger_accounts, rows, returning=("code",))
    opened = {row.code for row in inserted}
    insert_balances(
        connection, [Balance(account, 0) for account in ordered if account.code in opened]
    )


def insert_balances(connection: Connection, balances: Iterable[Balance]) -> None:
    """Add a balance row for each account that has a floor."""
    rows = [
        {
            "account_code": balance.account.code,
            "floor_minor": balance.account.floor_minor,
            "balance_minor": balance.minor,
        }
        for balance in balances
        if balance.account.floor_minor is not None
    ]
    insert_rows(connection, ledger_balances, rows)


def insert_entries(connection: Connection, entries: Sequence[JournalEntry]) -> None:
    """Write the postings, then the entries that seal them."""
    insert_rows(
        connection,
        postings,
        [
            {
                "entry_id": entry.id,
                "line_number": line_number,
                "posting_count": len(entry.postings),
                "account_code": leg.account_code,
                "currency": entry.currency.code,
                "minor": leg.minor,
            }
            for entry in entries
            for line_number, leg in enumerate(entry.postings, 1)
        ],
    )
    insert_rows(
        connection,
        journal_entries,
        [
            {
                "id": entry.id,
                "at": entry.at,
                "kind": entry.kind,
                "reference": entry.reference,
                "currency": entry.currency.code,
                "posting_count": len(entry.postings),
                "reverses": entry.reverses,
            }
            for entry in entries
        ],
    )


def lock_balances(
    connection: Connection, codes: Collection[AccountCode]
) -> dict[AccountCode, Balance]:
    """Return the balance rows of the accounts, locked in the order of their codes.

    The order is the same for everybody, so that two batches wait for each other and never both.
    """
    statement = (
        _select_accounts()
        .add_columns(_balances.balance_minor)
        .where(is_one_of(connection, _balances.account_code, sorted(codes)))
        .order_by(_balances.account_code)
        .with_for_update(of=ledger_balances)
    )
    return _balances_of(connection.execute(statement))


def update_balances(connection: Connection, changes: Mapping[AccountCode, int]) -> int:
    """Change the balances that are locked; return how many there were.

    The table's check on the floor is the wall behind `rules.require_floor`.
    """
    rows = [
        {"account_code": code, "balance_minor": change} for code, change in sorted(changes.items())
    ]
    return update_rows(
        connection, ledger_balances, rows, key=("account_code",), add=("balance_minor",)
    )


def update_floor(connection: Connection, code: AccountCode, floor_minor: int) -> None:
    """Set the floor of an account that has a balance row."""
    connection.execute(
        update(ledger_balances)
        .where(_balances.account_code == code)
        .values(floor_minor=floor_minor)
    )


def load_stored_balances(
    connection: Connection, codes: Collection[AccountCode]
) -> dict[AccountCode, Balance]:
    """Return the balances of those of the accounts that have a floor."""
    if not codes:
        return {}
    statement = (
        _select_accounts()
        .add_columns(_balances.balance_minor)
        .where(is_one_of(connection, _balances.account_code, sorted(codes)))
    )
    return _balances_of(connection.execute(statement))


def sum_postings(connection: Connection, codes: Collection[AccountCode]) -> dict[AccountCode, int]:
    """Return debits less credits of each account that has postings."""
    if not codes:
        return {}
    statement = (
        select(_legs.account_code, func.sum(_legs.minor).label("total"))
        .where(is_one_of(connection, _legs.account_code, sorted(codes)))
        .group_by(_legs.account_code)
    )
    return {AccountCode(row.account_code): int(row.total) for row in connection.execute(statement)}


def load_entries(connection: Connection, entry_ids: Collection[uuid.UUID]) -> list[JournalEntry]:
    """Return those of the entries that exist, oldest first."""
    return _load_entries(connection, is_one_of(connection, _entries.id, sorted(entry_ids)))


def load_entries_of(connection: Connection, reference: str) -> list[JournalEntry]:
    """Return the entries with this reference, oldest first."""
    return _load_entries(connection, _entries.reference == reference)


def sum_by_account(connection: Connection) -> list[TrialBalanceLine]:
    """Return the totals of every account, in the order of currency and code."""
    debit = func.sum(case((_legs.minor > 0, _legs.minor), else_=0))
    credit = func.sum(case((_legs.minor < 0, -_legs.minor), else_=0))
    totals = (
        select(_legs.account_code, debit.label("debit"), credit.label("credit"))
        .group_by(_legs.account_code)
        .subquery()
    )
    statement = (
        _select_accounts()
        .add_columns(func.coalesce(totals.c.debit, 0), func.coalesce(totals.c.credit, 0))
        .outerjoin(totals, totals.c.account_code == _accounts.code)
        .order_by(_accounts.currency, _accounts.code)
    )
    return [
        TrialBalanceLine(_account_of(row), int(row[-2]), int(row[-1]))
        for row in connection.execute(statement)
    ]


def count_entries(connection: Connection) -> int:
    """Return how many entries there are."""
    return connection.execute(select(func.count()).select_from(journal_entries)).scalar_one()


def find_last_of_chunk(
    connection: Connection, *, after: uuid.UUID | None, size: int
) -> tuple[uuid.UUID | None, int]:
    """Return the last id of the next `size` entries after an id, and how many they are."""
    ids = select(_entries.id).order_by(_entries.id).limit(size)
    if after is not None:
        ids = ids.where(_entries.id > after)
    found = connection.execute(ids).scalars().all()
    return (found[-1] if found else None), len(found)


def list_broken_entries(
    connection: Connection, *, after: uuid.UUID | None, until: uuid.UUID
) -> list[Row[Any]]:
    """Return (id, posting_count, line_count, total) of unbalanced entries in a range of ids."""
    line_count = func.count(_legs.entry_id)
    total = func.coalesce(func.sum(_legs.minor), 0)
    statement = (
        select(
            _entries.id,
            _entries.posting_count,
            line_count.label("line_count"),
            total.label("total"),
        )
        .outerjoin(
            postings, and_(_legs.entry_id == _entries.id, _legs.currency == _entries.currency)
        )
        .where(_entries.id <= until)
        .group_by(_entries.id, _entries.posting_count)
        .having(or_(line_count != _entries.posting_count, total != 0))
    )
    if after is not None:
        statement = statement.where(_entries.id > after)
    return list(connection.execute(statement))


def list_broken_balances(connection: Connection, *, limit: int) -> list[Row[Any]]:
    """Return (account_code, balance_minor, rebuilt) of balances that the postings contradict."""
    totals = (
        select(_legs.account_code, func.sum(_legs.minor).label("total"))
        .where(_legs.account_code.in_(select(_balances.account_code)))
        .group_by(_legs.account_code)
        .subquery()
    )
    debit_kinds = [kind.value for kind in AccountKind if kind.sign > 0]
    sign = case((_accounts.kind.in_(debit_kinds), 1), else_=-1)
    rebuilt = (sign * func.coalesce(totals.c.total, 0)).label("rebuilt")
    statement = (
        select(_balances.account_code, _balances.balance_minor, rebuilt)
        .join(ledger_accounts, _accounts.code == _balances.account_code)
        .outerjoin(totals, totals.c.account_code == _balances.account_code)
        .where(_balances.balance_minor != rebuilt)
        .order_by(_balances.account_code)
        .limit(limit)
    )
    return list(connection.execute(statement))


def list_below_floor(connection: Connection, *, limit: int) -> list[Row[Any]]:
    """Return the balance rows that are below their floor."""
    statement = (
        select(ledger_balances)
        .where(_balances.balance_minor < _balances.floor_minor)
        .order_by(_balances.account_code)
        .limit(limit)
    )
    return list(connection.execute(statement))


def list_broken_currencies(connection: Connection) -> list[Row[Any]]:
    """Return (currency, total) of currencies whose postings do not sum to zero."""
    total = func.sum(_legs.minor)
    statement = (
        select(_legs.currency, total.label("total"))
        .group_by(_legs.currency)
        .having(total != 0)
        .order_by(_legs.currency)
    )
    return list(connection.execute(statement))


def list_unsealed(connection: Connection, *, limit: int) -> list[uuid.UUID]:
    """Return ids under which postings lie without an entry."""
    statement = (
        select(_legs.entry_id)
        .outerjoin(journal_entries, _entries.id == _legs.entry_id)
        .where(_entries.id.is_(None))
        .distinct()
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def list_foreign_legs(connection: Connection, *, limit: int) -> list[Row[Any]]:
    """Return (entry_id, account_code) of postings without account or in another currency."""
    statement = (
        select(_legs.entry_id, _legs.account_code)
        .outerjoin(
            ledger_accounts,
            and_(_accounts.code == _legs.account_code, _accounts.currency == _legs.currency),
        )
        .where(_accounts.code.is_(None))
        .limit(limit)
    )
    return list(connection.execute(statement))


def _select_accounts() -> Select[Any]:
    return select(
        _accounts.code, _accounts.kind, _accounts.currency, _balances.floor_minor
    ).outerjoin_from(ledger_accounts, ledger_balances, _balances.account_code == _accounts.code)


def _load_entries(connection: Connection, wanted: ColumnElement[bool]) -> list[JournalEntry]:
    entries = connection.execute(
        select(journal_entries).where(wanted).order_by(_entries.at, _entries.id)
    ).all()
    if not entries:
        return []
    legs: dict[uuid.UUID, list[Posting]] = {row.id: [] for row in entries}
    statement = (
        select(postings)
        .where(is_one_of(connection, _legs.entry_id, sorted(legs)))
        .order_by(_legs.entry_id, _legs.line_number)
    )
    for leg in connection.execute(statement):
        legs[leg.entry_id].append(Posting(AccountCode(leg.account_code), leg.minor))
    return [_entry_of(row, legs[row.id]) for row in entries]


def _account_of(row: Row[Any]) -> Account:
    return Account(
        code=AccountCode(row.code),
        kind=AccountKind(row.kind),
        currency=Currency(row.currency),
        floor_minor=row.floor_minor,
    )


def _balances_of(rows: Iterable[Row[Any]]) -> dict[AccountCode, Balance]:
    return {AccountCode(row.code): Balance(_account_of(row), row.balance_minor) for row in rows}


def _entry_of(row: Row[Any], legs: Sequence[Posting]) -> JournalEntry:
    return JournalEntry(
        id=EntryId(row.id),
        at=row.at,
        kind=row.kind,
        reference=row.reference,
        currency=Currency(row.currency),
        postings=tuple(legs),
        reverses=None if row.reverses is None else EntryId(row.reverses),
    )

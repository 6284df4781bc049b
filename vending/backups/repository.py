"""Reads and writes whole tables, whatever they are; and the rows of custodians and restorations.

Which tables there are is not listed anywhere: every `tables` module of the product is loaded, and
what they declare is held against what the database has.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.types import Integer, TypeDecorator, TypeEngine

import vending
from vending.backups.errors import BackupIncompleteError, RestoreRefusedError
from vending.backups.model import (
    Custodian,
    Restoration,
    RestorationKind,
    StatedSale,
    TableShape,
    ValueKind,
)
from vending.backups.rules import life_of
from vending.backups.tables import (
    backup_custodians,
    backups,
    lost_sales,
    reconciliation_marks,
    restorations,
    tid_floors,
)
from vending.persistence.base import metadata
from vending.persistence.bulk import insert_rows, update_rows
from vending.persistence.column_types import (
    BigInt,
    Flag,
    JSONColumn,
    SmallInt,
    UTCDateTime,
    UUIDColumn,
    is_sqlite,
)
from vending.persistence.compatibility import schema_expansions
from vending.persistence.upsert import insert_or_ignore, insert_or_update
from vending.values.identifiers import PartnerId

ROWS_AT_ONCE: Final = 200
MIGRATORS_TABLES: Final = frozenset({"alembic_version", schema_expansions.name})
"""Filled by the migrator itself, when a restore brings the tables up."""

_KINDS: Final[Sequence[tuple[type[TypeEngine[Any]], ValueKind]]] = (
    (UTCDateTime, ValueKind.INSTANT),
    (UUIDColumn, ValueKind.UUID),
    (JSONColumn, ValueKind.DOCUMENT),
    (Flag, ValueKind.FLAG),
    (BigInt, ValueKind.NUMBER),
    (SmallInt, ValueKind.NUMBER),
    (Integer, ValueKind.NUMBER),
    (LargeBinary, ValueKind.BYTES),
    (Text, ValueKind.TEXT),
)
_TYPES: Final[Mapping[ValueKind, type[TypeEngine[Any]]]] = {
    ValueKind.INSTANT: UTCDateTime,
    ValueKind.UUID: UUIDColumn,
    ValueKind.DOCUMENT: JSONColumn,
    ValueKind.FLAG: Flag,
    ValueKind.NUMBER: BigInt,
    ValueKind.BYTES: LargeBinary,
    ValueKind.TEXT: Text,
}


# --- any table -----------------------------------------------------------------------------------
def load_declarations() -> None:
    """Import every module that declares a table."""
    for module in walk_packages(vending.__path__, "vending."):
        if module.name.endswith(".tables") or module.name.startswith("vending.persistence."):
            import_module(module.name)


def list_shapes(connection: Connection) -> list[TableShape]:
    """Return every table of the database.

    Raises:
        BackupIncompleteError: One of them, or a column, is not declared by this release.
    """
    load_declarations()
    found = {
        name: {column["name"] for column in inspect(connection).get_columns(name)}
        for name in inspect(connection).get_table_names()
        if name not in MIGRATORS_TABLES
    }
    tables = [table for table in metadata.sorted_tables if table.name not in MIGRATORS_TABLES]
    declared = {table.name: {column.name for column in table.columns} for table in tables}
    left_out = [
        *(f"table {name}" for name in found.keys() ^ declared.keys()),
        *(
            f"column {name}.{column}"
            for name in found.keys() & declared.keys()
            for column in found[name] ^ declared[name]
        ),
    ]
    if left_out:
        raise BackupIncompleteError(", ".join(sorted(left_out)))
    return [_shape_of(table) for table in tables]


def read_rows(connection: Connection, shape: TableShape) -> Iterator[Sequence[Row[Any]]]:
    """Yield the rows of a table in the order of its key, some at once, in bounded memory."""
    table = _table_of(shape)
    query = (
        select(table)
        .order_by(*(table.c[name] for name in shape.key))
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    with connection.execute(query) as found:
        yield from found.partitions()


def write_rows(
    connection: Connection, shape: TableShape, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows into a table, under all of its triggers."""
    table, lives = _table_of(shape), [life_of(shape.name, row) for row in rows]
    insert_rows(connection, table, [life[0] for life in lives])
    for step in range(1, max(len(life) for life in lives) if lives else 1):
        later = [life[step] for life in lives if len(life) > step]
        # One shape of row a statement: a refusal and a redemption set other columns.
        for names in dict.fromkeys(tuple(row) for row in later):
            alike = [row for row in later if tuple(row) == names]
            update_rows(connection, table, alike, key=shape.key)


def list_filled(connection: Connection) -> list[str]:
    """Return the tables that hold a row; nothing when the database is empty."""
    filled = []
    for name in sorted(inspect(connection).get_table_names()):
        if name in MIGRATORS_TABLES:
            continue
        table = Table(name, MetaData())
        query = select(literal(1)).select_from(table).limit(1)
        if connection.execute(query).first() is not None:
            filled.append(name)
    return filled


def count_rows(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Return how many rows each of the tables holds."""
    return {
        name: connection.execute(
            select(func.count()).select_from(Table(name, MetaData()))
        ).scalar_one()
        for name in names
    }


def take_long(connection: Connection) -> None:
    """Let the statements of this transaction take their time: a table is read as a whole."""
    if not is_sqlite(connection.dialect):
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def defer_rings(connection: Connection) -> list[tuple[str, str]]:
    """Let the keys that close a ring of tables be checked once all rows are there.

    No order of loading suits two tables that refer to each other. Returns what
    `check_rings` takes back.
    """
    if is_sqlite(connection.dialect):
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        return []
    load_declarations()
    names = [
        (table.name, [column.name for column in key.columns])
        for table in metadata.sorted_tables
        for key in table.foreign_key_constraints
        if key.use_alter and inspect(connection).has_table(table.name)
    ]
    deferred = []
    for table, columns in names:
        for found in inspect(connection).get_foreign_keys(table):
            if found["constrained_columns"] == columns and found["name"] is not None:
                deferred.append((table, found["name"]))
                _alter_key(connection, table, found["name"], "DEFERRABLE INITIALLY DEFERRED")
    return deferred


def check_rings(connection: Connection, deferred: Sequence[tuple[str, str]]) -> None:
    """Check all that was deferred, and let the keys be as they were.

    A table with checks pending cannot be altered, and a restore may have to migrate it yet.

    Raises:
        RestoreRefusedError: A row refers to one that is not there.
    """
    if is_sqlite(connection.dialect):
        lacking = connection.execute(text("PRAGMA foreign_key_check")).first()
        if lacking is not None:
            raise RestoreRefusedError(str(lacking[0]), "a row it refers to is missing")
        return
    connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    for table, name in deferred:
        _alter_key(connection, table, name, "NOT DEFERRABLE")


def _alter_key(connection: Connection, table: str, name: str, how: str) -> None:
    quote = connection.dialect.identifier_preparer.quote
    connection.execute(text(f"ALTER TABLE {quote(table)} ALTER CONSTRAINT {quote(name)} {how}"))


def _shape_of(table: Table) -> TableShape:
    columns = tuple((column.name, _kind_of(column)) for column in table.columns)
    key = tuple(column.name for column in table.primary_key)
    return TableShape(table.name, columns, key, _loaded_before(table))


def _loaded_before(table: Table) -> frozenset[str]:
    """Return the tables whose rows must be there before those of a table.

    A deferred key points the other way: its owner is there first, and a trigger of the table it
    refers to looks at it, as an entry of the ledger looks at its postings.
    """
    straight = {
        key.referred_table.name
        for key in table.foreign_key_constraints
        if not key.deferrable and not key.use_alter
    }
    turned = {
        other.name
        for other in metadata.tables.values()
        for key in other.foreign_key_constraints
        if key.deferrable and key.referred_table is table
    }
    # A floor gives every meter that is inserted its first identifier: so floors come last.
    every = set(metadata.tables) - MIGRATORS_TABLES if table is tid_floors else set()
    return frozenset(straight | turned | every) - {table.name}


def _kind_of(column: Column[Any]) -> ValueKind:
    for kind_of_type, kind in _KINDS:
        if isinstance(column.type, kind_of_type):
            return kind
    # A type of a feature that is text on both engines travels as the very text.
    if isinstance(column.type, TypeDecorator) and isinstance(column.type.impl_instance, Text):
        return ValueKind.TEXT
    message = f"{column} has a type that no backup knows: {column.type!r}"
    raise AssertionError(message)


@lru_cache(maxsize=256)
def _table_of(shape: TableShape) -> Table:
    """Return a table as a backup describes it, which may be older than what we declare."""
    columns = (Column(name, _TYPES[kind]) for name, kind in shape.columns)
    return Table(shape.name, MetaData(), *columns)


# --- custodians and backups ----------------------------------------------------------------------
def list_custodians(connection: Connection) -> list[Custodian]:
    """Return the present custodians, in the order of their names."""
    table = backup_custodians
    query = select(table).where(table.c.removed_at.is_(None)).order_by(table.c.name)
    return [Custodian(row.name, row.public_key) for row in connection.execute(query)]


def insert_custodian(connection: Connection, id_: uuid.UUID, who: Custodian, at: datetime) -> None:
    """Store a custodian."""
    row = {"id": id_, "name": who.name, "public_key": who.public_key, "added_at": at}
    connection.execute(insert(backup_custodians).values(row))


def remove_custodian(connection: Connection, name: str, at: datetime) -> None:
    """Let a custodian open no backup that is made from now on."""
    table = backup_custodians
    present = (table.c.name == name) & table.c.removed_at.is_(None)
    connection.execute(update(table).where(present).values(removed_at=at))


def insert_backup(connection: Connection, row: Mapping[str, Any]) -> None:
    """Store that a backup was made and verified."""
    connection.execute(insert(backups).values(dict(row)))


def list_backups(connection: Connection, limit: int) -> list[Row[Any]]:
    """Return the newest backups that were made."""
    query = select(backups).order_by(backups.c.at.desc(), backups.c.id.desc()).limit(limit)
    return list(connection.execute(query))


def raise_last_tids(connection: Connection, floors: Mapping[int, int]) -> int:
    """Raise the last identifier of every meter to the floor of each base date, if it lies below.

    Meters that were given none yet get one: they may have been sold to in the part that was lost.
    Returns how many meters there are.
    """
    load_declarations()
    meters, last_tids = metadata.tables["meters"], metadata.tables["meter_tids"]
    for base_date, tid in sorted(floors.items()):
        below = (last_tids.c.base_date == base_date) & (last_tids.c.last_tid < tid)
        connection.execute(update(last_tids).where(below).values(last_tid=tid))
        given = select(last_tids.c.meter_pan).where(last_tids.c.base_date == base_date)
        without = select(meters.c.pan, literal(base_date), literal(tid)).where(
            meters.c.pan.not_in(given)
        )
        names = ["meter_pan", "base_date", "last_tid"]
        connection.execute(insert(last_tids).from_select(names, without))
    return connection.execute(select(func.count()).select_from(meters)).scalar_one()


def find_unknown_receipts(connection: Connection, numbers: Sequence[str]) -> set[str]:
    """Return those of the receipt numbers that no sale has."""
    sold = metadata.tables["sales"].c.receipt_number
    known: set[str] = set()
    for start in range(0, len(numbers), ROWS_AT_ONCE):
        some = list(numbers[start : start + ROWS_AT_ONCE])
        known.update(connection.execute(select(sold).where(sold.in_(some))).scalars())
    return set(numbers) - known


def read_seen_at(connection: Connection) -> datetime | None:
    """Return the last committed time of the clock guard; None: nothing was ever sold."""
    mark = metadata.tables["clock_mark"]
    return connection.execute(select(mark.c.seen_at)).scalar_one_or_none()


def read_audit_head(connection: Connection) -> dict[str, Any]:
    """Return the last sealed position of the audit log and its digest; empty: none was sealed."""
    load_declarations()
    heads = metadata.tables["audit_heads"]
    query = select(heads.c.position, heads.c.link).order_by(heads.c.position.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return {} if row is None else {"position": row.position, "link": row.link.hex()}


def revoke_every_session(connection: Connection, at: datetime) -> int:
    """End every session of an operator; return how many there were.

    What was signed out, locked or taken away in the lost part is not known to the backup.
    """
    load_declarations()
    sessions = metadata.tables["operator_sessions"]
    still_open = sessions.c.revoked_at.is_(None)
    return connection.execute(update(sessions).where(still_open).values(revoked_at=at)).rowcount


def withdraw_consent(connection: Connection) -> int:
    """Withdraw every approval that was given and not used; return how many there were.

    It may have been used in the lost part: what it allowed would be done a second time.
    """
    load_declarations()
    approvals = metadata.tables["approvals"]
    is_given = approvals.c.state == "approved"
    return connection.execute(update(approvals).where(is_given).values(state="withdrawn")).rowcount


# --- restorations --------------------------------------------------------------------------------
def insert_restoration(connection: Connection, done: Restoration) -> None:
    """Store a restoration."""
    row = {column.name: getattr(done, column.name) for column in restorations.columns}
    connection.execute(insert(restorations).values({**row, "kind": done.kind.value}))


def find_last_restoration(connection: Connection) -> Restoration | None:
    """Return the newest restoration; None: nothing was ever restored here."""
    newest = restorations.c.restored_at.desc(), restorations.c.id.desc()
    row = connection.execute(select(restorations).order_by(*newest).limit(1)).mappings().first()
    return None if row is None else Restoration(**{**row, "kind": RestorationKind(row["kind"])})


def raise_floors(connection: Connection, floors: Mapping[int, int]) -> None:
    """Raise what meters that are registered from now on start above."""
    statement = insert_or_update(connection, tid_floors, key=["base_date"], update=["tid"])
    for base_date, tid in sorted(floors.items()):
        present = select(tid_floors.c.tid).where(tid_floors.c.base_date == base_date)
        if (connection.execute(present).scalar_one_or_none() or 0) < tid:
            connection.execute(statement, [{"base_date": base_date, "tid": tid}])


def mark_for_reconciliation(
    connection: Connection,
    restoration_id: uuid.UUID,
    subjects: Sequence[tuple[str, str]],
    at: datetime,
) -> None:
    """Mark meters and partners; what is marked already stays so."""
    rows = [
        {"restoration_id": restoration_id, "kind": kind, "subject": subject, "marked_at": at}
        for kind, subject in sorted(set(subjects))
    ]
    if rows:
        connection.execute(insert_or_ignore(connection, reconciliation_marks), rows)


def count_marks(connection: Connection, restoration_id: uuid.UUID) -> dict[str, int]:
    """Return how many meters and partners wait to be reconciled."""
    table = reconciliation_marks
    waiting = (table.c.restoration_id == restoration_id) & table.c.settled_at.is_(None)
    query = select(table.c.kind, func.count()).where(waiting).group_by(table.c.kind)
    return {str(kind): int(count) for kind, count in connection.execute(query)}


def list_marks(connection: Connection, restoration_id: uuid.UUID) -> list[tuple[str, str]]:
    """Return the meters and partners that wait to be reconciled."""
    table = reconciliation_marks
    waiting = (table.c.restoration_id == restoration_id) & table.c.settled_at.is_(None)
    query = select(table.c.kind, table.c.subject).where(waiting)
    return [
        (row.kind, row.subject)
        for row in connection.execute(query.order_by(*query.selected_columns))
    ]


def settle_mark(
    connection: Connection, restoration_id: uuid.UUID, kind: str, subject: str, at: datetime
) -> int:
    """Note that a meter or partner was reconciled; return how many marks that settled."""
    table = reconciliation_marks
    chosen = (
        (table.c.restoration_id == restoration_id)
        & (table.c.kind == kind)
        & (table.c.subject == subject)
        & table.c.settled_at.is_(None)
    )
    return connection.execute(update(table).where(chosen).values(settled_at=at)).rowcount


def insert_lost_sales(
    connection: Connection,
    restoration_id: uuid.UUID,
    partner_id: PartnerId,
    sold: Sequence[tuple[uuid.UUID, StatedSale]],
    at: datetime,
) -> None:
    """Store sales that a partner states; those that were stated before stay as they are."""
    rows = [
        {
            "id": id_,
            "restoration_id": restoration_id,
            "partner_id": partner_id,
            "receipt_number": each.receipt_number,
            "idempotency_key": each.idempotency_key,
            "meter": each.meter,
            "amount_minor": each.amount_minor,
            "stated_at": at,
        }
        for id_, each in sold
    ]
    if rows:
        connection.execute(insert_or_ignore(connection, lost_sales), rows)


def list_lost_sales(connection: Connection, restoration_id: uuid.UUID) -> list[StatedSale]:
    """Return the sales that partners state and nobody knows, in the order of their receipts."""
    table = lost_sales
    query = select(table).where(table.c.restoration_id == restoration_id)
    return [
        StatedSale(
            receipt_number=row.receipt_number,
            idempotency_key=row.idempotency_key,
            meter=row.meter,
            amount_minor=row.amount_minor,
        )
        for row in connection.execute(query.order_by(table.c.receipt_number))
    ]

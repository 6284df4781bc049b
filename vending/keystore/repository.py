"""Reads and writes the rows of the key store, sealed as they are.

SQLite believes its file: one flipped bit in the head of a record, and a number of a STRICT table
comes out as text or as nothing. So every value is held against the kind of its column here.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    RowMapping,
    and_,
    func,
    insert,
    select,
    update,
)

from vending.keystore.errors import Damage, KeyStoreCorruptError, KeyStoreExistsError
from vending.keystore.model import HeaderRow, KeyRow
from vending.keystore.tables import HEADER_ID, key_store_header, vending_keys
from vending.persistence.upsert import insert_or_ignore

_HEADER_COLUMNS: Final = [column for column in key_store_header.columns if column.name != "id"]


def find_header(connection: Connection) -> HeaderRow | None:
    """Return the header; `None` when no store was made.

    Raises:
        KeyStoreCorruptError: It is damaged below its seal, or there are two.
    """
    return _header_of(connection.execute(select(*_HEADER_COLUMNS)).mappings().all())


def find_header_for_change(connection: Connection) -> HeaderRow | None:
    """Return the header and hold it until the transaction ends; `None` when there is no store.

    On SQLite the write transaction itself holds everything.

    Raises:
        KeyStoreCorruptError: It is damaged below its seal, or there are two.
    """
    query = select(*_HEADER_COLUMNS).with_for_update()
    return _header_of(connection.execute(query).mappings().all())


def list_rows(connection: Connection) -> list[KeyRow]:
    """Return every key, sealed, in the order of its register.

    Raises:
        KeyStoreCorruptError: One is damaged below its seal.
    """
    table = vending_keys
    query = select(table).order_by(table.c.sgc, table.c.krn, table.c.kt)
    rows = connection.execute(query).mappings().all()
    if not all(_is_sound(row, list(table.columns)) for row in rows):
        raise KeyStoreCorruptError(Damage.RECORD)
    return [KeyRow(**row) for row in rows]


def count_rows(connection: Connection) -> int:
    """Return how many keys are stored."""
    return connection.execute(select(func.count()).select_from(vending_keys)).scalar_one()


def insert_header(connection: Connection, header: HeaderRow) -> None:
    """Store the header of a fresh store.

    Raises:
        KeyStoreExistsError: There is one already.
    """
    table = key_store_header
    values = {"id": HEADER_ID, **_header_values(header)}
    statement = insert_or_ignore(connection, table).values(**values).returning(table.c.id)
    if connection.execute(statement).one_or_none() is None:
        raise KeyStoreExistsError


def update_header(connection: Connection, header: HeaderRow) -> None:
    """Replace the header."""
    connection.execute(update(key_store_header).values(**_header_values(header)))


def insert_row(connection: Connection, row: KeyRow) -> None:
    """Store a key."""
    connection.execute(insert(vending_keys).values(**_row_values(row)))


def update_row(connection: Connection, row: KeyRow) -> None:
    """Replace the key of this register."""
    table = vending_keys
    where = and_(table.c.sgc == row.sgc, table.c.krn == row.krn, table.c.kt == row.kt)
    connection.execute(update(table).where(where).values(**_row_values(row)))


def _header_of(rows: Sequence[RowMapping]) -> HeaderRow | None:
    if not rows:
        return None
    if len(rows) > 1 or not _is_sound(rows[0], _HEADER_COLUMNS):
        raise KeyStoreCorruptError(Damage.HEADER)
    return HeaderRow(**rows[0])


def _is_sound(row: RowMapping, columns: Sequence[Column[Any]]) -> bool:
    """Say whether each value is of the kind that its column declares."""
    return all(
        isinstance(row[column.name], bytes if isinstance(column.type, LargeBinary) else int)
        or (column.nullable and row[column.name] is None)
        for column in columns
    )


def _header_values(header: HeaderRow) -> dict[str, object]:
    return {column.name: getattr(header, column.name) for column in _HEADER_COLUMNS}


def _row_values(row: KeyRow) -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in vending_keys.columns}

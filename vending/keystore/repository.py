"""Reads and writes the rows of the key store, sealed as they are."""

from typing import Final

from sqlalchemy import Connection, and_, func, insert, select, update

from vending.keystore.errors import KeyStoreExistsError
from vending.keystore.model import HeaderRow, KeyRow
from vending.keystore.tables import HEADER_ID, key_store_header, vending_keys
from vending.persistence.upsert import insert_or_ignore

_HEADER_COLUMNS: Final = [column for column in key_store_header.columns if column.name != "id"]


def find_header(connection: Connection) -> HeaderRow | None:
    """Return the header; `None` when no store was made."""
    row = connection.execute(select(*_HEADER_COLUMNS)).mappings().one_or_none()
    return None if row is None else HeaderRow(**row)


def find_header_for_change(connection: Connection) -> HeaderRow | None:
    """Return the header and hold it until the transaction ends; `None` when there is no store.

    On SQLite the write transaction itself holds everything.
    """
    query = select(*_HEADER_COLUMNS).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else HeaderRow(**row)


def list_rows(connection: Connection) -> list[KeyRow]:
    """Return every key, sealed, in the order of its register."""
    table = vending_keys
    query = select(table).order_by(table.c.sgc, table.c.krn, table.c.kt)
    return [KeyRow(**row) for row in connection.execute(query).mappings()]


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


def _header_values(header: HeaderRow) -> dict[str, object]:
    return {column.name: getattr(header, column.name) for column in _HEADER_COLUMNS}


def _row_values(row: KeyRow) -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in vending_keys.columns}

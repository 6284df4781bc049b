"""INSERT … ON CONFLICT for both engines: the one place that names a dialect's own insert."""

from collections.abc import Sequence

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from vending.persistence.column_types import is_sqlite


def insert_or_ignore(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that leaves rows alone whose key is taken.

    With RETURNING it gives back the rows that were inserted, in no particular order. On
    PostgreSQL it waits for a transaction that holds the same key, and sees nothing of its row.
    """
    return _insert(connection, table).on_conflict_do_nothing()


def insert_or_update(
    connection: Connection, table: Table, *, key: Sequence[str], update: Sequence[str]
) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that overwrites the columns `update` of a row whose `key` is taken."""
    statement = _insert(connection, table)
    return statement.on_conflict_do_update(
        index_elements=list(key), set_={name: statement.excluded[name] for name in update}
    )


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    if is_sqlite(connection.dialect):
        return sqlite.insert(table)
    return postgresql.insert(table)

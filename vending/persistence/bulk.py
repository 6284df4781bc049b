"""Many rows in one statement whose text never changes, so that it is parsed and planned once.

PostgreSQL gets a batch as one array a column (`unnest`): one round trip, one statement, one call
of each statement trigger, whatever the size. SQLite runs its prepared statement row by row in
this process, which is as fast there as it gets.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    TableValuedAlias,
    Update,
    any_,
    bindparam,
    column,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from vending.persistence.column_types import is_sqlite
from vending.persistence.upsert import insert_or_ignore

Rows = Sequence[Mapping[str, object]]
"""Rows by column name; each names the same columns."""

_PREFIX: Final = "of_"
"""Of our parameters: SQLAlchemy keeps the plain names of the columns for itself."""


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert the rows."""
    if not rows:
        return
    if is_sqlite(connection.dialect):
        connection.execute(insert(table), list(rows))
    else:
        names = tuple(rows[0])
        connection.execute(_insert_from_arrays(table, names), _arrays(names, rows))


def insert_new_rows(
    connection: Connection, table: Table, rows: Rows, *, returning: Sequence[str]
) -> list[Row[Any]]:
    """Insert the rows whose keys are free; return the columns `returning` of those, unordered.

    On PostgreSQL it waits for a transaction that holds one of the keys, in the order of the rows:
    sort them by key, so that two batches cannot wait for each other.
    """
    if not rows:
        return []
    wanted = [table.c[name] for name in returning]
    if is_sqlite(connection.dialect):
        statement = insert_or_ignore(connection, table).returning(*wanted)
        return list(connection.execute(statement, list(rows)))
    names = tuple(rows[0])
    arrays = _insert_from_arrays(table, names).on_conflict_do_nothing().returning(*wanted)
    return list(connection.execute(arrays, _arrays(names, rows)))


def update_rows(
    connection: Connection,
    table: Table,
    rows: Rows,
    *,
    key: Sequence[str],
    add: Sequence[str] = (),
) -> int:
    """Update the rows found by `key`; return how many there were.

    The other columns are set to the values given; those in `add` grow by them instead. Rows that
    others may update as well are locked by the caller first, in an order.
    """
    if not rows:
        return 0
    names = tuple(rows[0])
    if is_sqlite(connection.dialect):
        parameters = [{_PREFIX + name: value for name, value in row.items()} for row in rows]
        statement = _update_one(table, names, tuple(key), tuple(add))
        return connection.execute(statement, parameters).rowcount
    statement = _update_from_arrays(table, names, tuple(key), tuple(add))
    return connection.execute(statement, _arrays(names, rows)).rowcount


def is_one_of(
    connection: Connection, wanted: ColumnElement[Any], values: Sequence[object]
) -> ColumnElement[bool]:
    """Return the condition that the column is one of the values, however many they are."""
    if is_sqlite(connection.dialect):
        return wanted.in_(values)
    return wanted == any_(bindparam(None, list(values), type_=ARRAY(wanted.type)))


@lru_cache(maxsize=256)
def _insert_from_arrays(table: Table, names: tuple[str, ...]) -> postgresql.Insert:
    given = _unnest(table, names)
    return postgresql.insert(table).from_select(
        list(names), select(*[given.c[name] for name in names]), include_defaults=False
    )


@lru_cache(maxsize=256)
def _update_from_arrays(
    table: Table, names: tuple[str, ...], key: tuple[str, ...], add: tuple[str, ...]
) -> Update:
    given = _unnest(table, names)
    return _update(table, names, key, add, {name: given.c[name] for name in names})


@lru_cache(maxsize=256)
def _update_one(
    table: Table, names: tuple[str, ...], key: tuple[str, ...], add: tuple[str, ...]
) -> Update:
    given = {name: bindparam(_PREFIX + name, type_=table.c[name].type) for name in names}
    return _update(table, names, key, add, given)


def _update(
    table: Table,
    names: tuple[str, ...],
    key: tuple[str, ...],
    add: tuple[str, ...],
    given: Mapping[str, ColumnElement[Any]],
) -> Update:
    changed = {
        name: table.c[name] + given[name] if name in add else given[name]
        for name in names
        if name not in key
    }
    return update(table).where(*[table.c[name] == given[name] for name in key]).values(changed)


def _unnest(table: Table, names: tuple[str, ...]) -> TableValuedAlias:
    arrays = [bindparam(_PREFIX + name, type_=ARRAY(table.c[name].type)) for name in names]
    columns = [column(name, table.c[name].type) for name in names]
    return func.unnest(*arrays).table_valued(*columns, name="given").render_derived()


def _arrays(names: tuple[str, ...], rows: Rows) -> dict[str, list[object]]:
    return {_PREFIX + name: [row[name] for row in rows] for name in names}

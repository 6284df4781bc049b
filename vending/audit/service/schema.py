"""Looks whether the tables of the audit log are those that the migrations made.

A view, a rule or a policy in place of a table can show `verify` other rows than everybody else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Table, text
from sqlalchemy.exc import DBAPIError

from vending.audit.errors import AuditUnreadableError
from vending.audit.model import AuditFinding, FindingKind
from vending.audit.tables import audit_heads, audit_keys, audit_links
from vending.persistence.audit import audit_events, audit_queue
from vending.persistence.column_types import is_sqlite
from vending.persistence.unit_of_work import translated

TABLES: Final = (audit_events, audit_queue, audit_links, audit_heads, audit_keys)
_NAMES: Final = ", ".join(f"'{table.name}'" for table in TABLES)
_TRIGGERS: Final = frozenset(
    f"{table.name}_refuse_{verb}"
    for table in TABLES
    for verb in ("update", "delete")
    if (table.name, verb) != ("audit_queue", "delete")
)
_TRUNCATES: Final = frozenset(f"{table.name}_refuse_truncate" for table in TABLES)
_SQLITE_RELATIONS: Final = (
    "SELECT name, CASE WHEN type = 'table' AND strict THEN 1 ELSE 0 END FROM pragma_table_list"  # noqa: S608 # our own names
    f" WHERE schema = 'main' AND name IN ({_NAMES})"
)
_SQLITE_TRIGGERS: Final = (
    f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ({_NAMES})"  # noqa: S608 # our own names
)
_POSTGRESQL_RELATIONS: Final = (
    "SELECT relname, relkind = 'r' AND NOT (relrowsecurity OR relforcerowsecurity OR relhasrules"  # noqa: S608 # our own names
    f" OR relhassubclass) FROM pg_catalog.pg_class WHERE relname IN ({_NAMES})"
)
_POSTGRESQL_TRIGGERS: Final = (
    "SELECT t.tgname FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid"  # noqa: S608 # our own names
    f" WHERE NOT t.tgisinternal AND t.tgenabled = 'O' AND c.relname IN ({_NAMES})"
)
_POSTGRESQL_COLUMNS: Final = text(
    "SELECT a.attname, upper(format_type(a.atttypid, a.atttypmod)) FROM pg_catalog.pg_attribute a"
    " WHERE a.attrelid = to_regclass(:name) AND a.attnum > 0 AND NOT a.attisdropped"
)
_SQLITE_COLUMNS: Final = text("SELECT name, upper(type) FROM pragma_table_xinfo(:name)")


@contextmanager
def readable(connection: Connection) -> Iterator[None]:
    """Run queries on tables that somebody may have made anew.

    Raises:
        AuditUnreadableError: One was refused.
        DatabaseBusyError: A lock was not free in time.
        DatabaseUnavailableError: The database cannot be reached.
    """
    driver: Any = connection.dialect.loaded_dbapi
    try:
        with translated():
            yield
    except (DBAPIError, driver.Error) as error:
        raise AuditUnreadableError(type(error).__name__) from error


def find_schema_changes(connection: Connection) -> list[AuditFinding]:
    """Return what differs from the tables, columns and triggers that the migrations made."""
    lite = is_sqlite(connection.dialect)
    relations = connection.exec_driver_sql(
        _SQLITE_RELATIONS if lite else _POSTGRESQL_RELATIONS
    ).all()
    messages: list[str] = []
    for table in TABLES:
        if [is_plain for name, is_plain in relations if name == table.name] != [True]:
            why = "it is missing, shadowed, or made anew"
            messages.append(f"{table.name} is not one plain table: {why}")
        elif _list_columns(connection, table) != _wanted_columns(connection, table):
            messages.append(f"the columns of {table.name} are others")
    triggers = connection.exec_driver_sql(_SQLITE_TRIGGERS if lite else _POSTGRESQL_TRIGGERS)
    present = set(triggers.scalars())
    wanted = _TRIGGERS if lite else _TRIGGERS | _TRUNCATES
    messages += [f"the trigger {name} is missing or disabled" for name in sorted(wanted - present)]
    messages += [f"the trigger {name} was put in" for name in sorted(present - wanted)]
    return [AuditFinding(FindingKind.SCHEMA_CHANGED, None, None, message) for message in messages]


def _list_columns(connection: Connection, table: Table) -> set[tuple[str, str]]:
    is_lite = is_sqlite(connection.dialect)
    rows = connection.execute(
        _SQLITE_COLUMNS if is_lite else _POSTGRESQL_COLUMNS, {"name": table.name}
    )
    return {(name, kind) for name, kind in rows}


def _wanted_columns(connection: Connection, table: Table) -> set[tuple[str, str]]:
    dialect = connection.dialect
    return {(column.name, column.type.compile(dialect=dialect).upper()) for column in table.columns}

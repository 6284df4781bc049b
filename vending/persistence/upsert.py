"""INSERT with an ON CONFLICT clause, which both engines know and SQLAlchemy keeps in dialects."""

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from vending.persistence.column_types import is_sqlite


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT whose `on_conflict_do_nothing` and `on_conflict_do_update` work here."""
    return sqlite.insert(table) if is_sqlite(connection.dialect) else postgresql.insert(table)

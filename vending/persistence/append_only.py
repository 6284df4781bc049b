"""Triggers that keep rows as they were written, the same on both engines; used by migrations.

    forbid_changes(op, "postings")                      no UPDATE, DELETE, TRUNCATE
    forbid_update_of(op, "meters", ["pan"])             these columns stay as they are
    create_trigger(op, name=..., when="OLD.status IS NOT NULL", refusal="...")   some rows only

Each refusal is an integrity error whose text is `append_only:<table>`, or the one given. On
PostgreSQL the triggers cost nothing while nobody breaks the rule: they run once a statement or
behind a WHEN. A downgrade drops the table, and with it the triggers; the functions behind
`create_trigger` are dropped by `drop_trigger_functions`.
"""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from vending.persistence.column_types import is_sqlite


class MigrationOperations(Protocol):
    """What we use of Alembic's `op`."""

    def get_bind(self) -> Connection:
        """Return the connection the migration runs on."""
        ...

    def execute(self, sqltext: str) -> None:
        """Run one statement."""
        ...


def forbid_changes(op: MigrationOperations, table: str) -> None:
    """Refuse every UPDATE, DELETE and TRUNCATE of the table."""
    forbid_update_of(op, table)
    forbid_delete(op, table)


def forbid_update_of(op: MigrationOperations, table: str, columns: Sequence[str] = ()) -> None:
    """Refuse UPDATEs of the table that name one of the columns, or any when none is given."""
    event = f"UPDATE OF {', '.join(columns)}" if columns else "UPDATE"
    _refuse(op, table, "update", event)


def forbid_delete(op: MigrationOperations, table: str) -> None:
    """Refuse every DELETE and TRUNCATE of the table."""
    _refuse(op, table, "delete", "DELETE")
    forbid_truncate(op, table)


def forbid_truncate(op: MigrationOperations, table: str) -> None:
    """Refuse TRUNCATE of the table; SQLite has none, its DELETE triggers see every row."""
    if not is_sqlite(op.get_bind().dialect):
        _refuse(op, table, "truncate", "TRUNCATE")


def create_trigger(
    op: MigrationOperations, *, name: str, table: str, event: str, when: str, refusal: str
) -> None:
    """Refuse the event (`BEFORE UPDATE`) for rows where `when`, over OLD and NEW, holds."""
    if is_sqlite(op.get_bind().dialect):
        op.execute(
            f"CREATE TRIGGER {name} {event} ON {table} FOR EACH ROW WHEN {when}"
            f" BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION '{refusal}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {name} {event} ON {table} FOR EACH ROW WHEN ({when})"
        f" EXECUTE FUNCTION {name}()"
    )


def drop_trigger_functions(op: MigrationOperations, *names: str) -> None:
    """Drop the functions behind triggers whose tables are gone; SQLite has none."""
    if not is_sqlite(op.get_bind().dialect):
        for name in names:
            op.execute(f"DROP FUNCTION {name}()")


def create_shared_function(op: MigrationOperations) -> None:
    """Create the function behind the refusals of PostgreSQL; the first migration calls it."""
    if not is_sqlite(op.get_bind().dialect):
        op.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'append_only:%', TG_TABLE_NAME"
            " USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )


def drop_shared_function(op: MigrationOperations) -> None:
    """Drop what `create_shared_function` made."""
    drop_trigger_functions(op, "refuse_change")


def _refuse(op: MigrationOperations, table: str, verb: str, event: str) -> None:
    if is_sqlite(op.get_bind().dialect):
        op.execute(
            f"CREATE TRIGGER {table}_refuse_{verb} BEFORE {event} ON {table} FOR EACH ROW"
            f" BEGIN SELECT RAISE(ABORT, 'append_only:{table}'); END"
        )
    else:
        op.execute(
            f"CREATE TRIGGER {table}_refuse_{verb} BEFORE {event} ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )

"""The triggers that keep rows, on both databases."""

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from vending.persistence import append_only
from vending.persistence.engine import Database


@pytest.fixture
def kept(database: Database) -> Database:
    """`kept` changes nothing, `partly` keeps `name`, and rows once they are `closed`."""
    with database.unit_of_work() as uow:
        op = Operations(MigrationContext.configure(uow.connection))
        for table in ("kept", "partly"):
            uow.connection.exec_driver_sql(
                f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, name TEXT, closed INTEGER)"
            )
        append_only.forbid_changes(op, "kept")
        append_only.forbid_update_of(op, "partly", ["id", "name"])
        append_only.create_trigger(
            op,
            name="partly_keep_closed",
            table="partly",
            event="BEFORE UPDATE",
            when="OLD.closed = 1",
            refusal="partly:closed",
        )
        uow.connection.exec_driver_sql("INSERT INTO kept VALUES (1, 'a', 0), (2, 'b', 1)")
        uow.connection.exec_driver_sql("INSERT INTO partly VALUES (1, 'a', 0), (2, 'b', 1)")
        uow.commit()
    return database


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("UPDATE kept SET closed = 0", "append_only:kept"),
        ("UPDATE kept SET name = name WHERE id = 1", "append_only:kept"),
        ("DELETE FROM kept", "append_only:kept"),
        ("UPDATE partly SET name = 'c' WHERE id = 1", "append_only:partly"),
        ("UPDATE partly SET closed = 0 WHERE id = 2", "partly:closed"),
    ],
)
def test_a_change_is_refused(kept: Database, statement: str, refusal: str) -> None:
    with pytest.raises(IntegrityError, match=refusal), kept.unit_of_work() as uow:
        uow.connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO kept VALUES (3, 'c', 0)",
        "UPDATE partly SET closed = 1 WHERE id = 1",
        "DELETE FROM partly WHERE id = 2",
    ],
)
def test_what_is_not_forbidden_is_done(kept: Database, statement: str) -> None:
    with kept.unit_of_work() as uow:
        assert uow.connection.execute(text(statement)).rowcount == 1


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO kept VALUES (1, 'z', 0) ON CONFLICT (id) DO UPDATE SET name = 'z'",
        "INSERT INTO kept SELECT 1, 'z', 0 WHERE true ON CONFLICT (id) DO UPDATE SET id = 9",
    ],
)
def test_an_insert_that_overwrites_is_refused(kept: Database, statement: str) -> None:
    with pytest.raises(IntegrityError, match="append_only:kept"), kept.unit_of_work() as uow:
        uow.connection.execute(text(statement))


@pytest.mark.parametrize("verb", ["REPLACE", "INSERT OR REPLACE"])
def test_replace_of_sqlite_does_not_delete_behind_the_trigger(
    sqlite_database: Database, verb: str
) -> None:
    with sqlite_database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("INSERT INTO ledger_accounts VALUES ('a', 'asset', 'KES')")
        uow.commit()
    statement = f"{verb} INTO ledger_accounts VALUES ('a', 'income', 'KES')"
    with pytest.raises(IntegrityError, match="append_only"), sqlite_database.unit_of_work() as uow:
        uow.connection.execute(text(statement))

"""Opening a database: which are refused, and what an open one guarantees."""

from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import make_url

from tests.postgres_server import PostgresServer
from vending.persistence.engine import (
    Database,
    DatabaseLimits,
    EngineKind,
    create_database,
    durability_report,
)
from vending.persistence.errors import (
    DatabaseUnavailableError,
    DatabaseUrlError,
    UnsafeDatabaseError,
)
from vending.persistence.sqlite_library import JournalMode


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://host/name", "vending.sqlite3", ""]
)
def test_a_url_without_a_durable_database_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUrlError):
        create_database(url)


def test_a_missing_folder_is_refused_unless_it_shall_be_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'vending.sqlite3'}"
    with pytest.raises(DatabaseUrlError, match="no folder"):
        create_database(url)
    create_database(url, create_folder=True).close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_an_open_database_reports_only_safe_points(database: Database) -> None:
    findings = durability_report(database)
    assert findings
    assert all(finding.is_safe for finding in findings)


@pytest.mark.parametrize(
    ("mode", "synchronous"), [(JournalMode.WAL, 2), (JournalMode.DELETE, 3)], ids=str
)
def test_sqlite_runs_in_the_journal_mode_asked_for(
    tmp_path: Path, mode: JournalMode, synchronous: int
) -> None:
    database = create_database(f"sqlite:///{tmp_path / 'vending.sqlite3'}", journal_mode=mode)
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == mode
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == synchronous
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 5000
    database.close()


def test_postgresql_that_commits_asynchronously_is_refused(
    postgres_server: PostgresServer, empty_postgres_url: str
) -> None:
    name = make_url(empty_postgres_url).database or ""
    postgres_server.execute(
        sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name))
    )
    with pytest.raises(UnsafeDatabaseError, match="synchronous_commit is off"):
        create_database(empty_postgres_url)


def test_postgresql_without_fsync_is_refused() -> None:
    with (
        PostgresServer({"fsync": "off"}) as server,
        pytest.raises(UnsafeDatabaseError, match="fsync is off"),
    ):
        create_database(server.url())


def test_an_absent_postgresql_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError):
        create_database(f"postgresql://postgres@/postgres?host={tmp_path}")


def test_postgresql_waits_are_bounded(postgres_url: str) -> None:
    limits = DatabaseLimits(lock_timeout_ms=250, statement_timeout_ms=750)
    database = create_database(postgres_url, limits=limits)
    with database.read() as connection:
        shown = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in (
                "lock_timeout",
                "statement_timeout",
                "idle_in_transaction_session_timeout",
                "timezone",
            )
        }
    database.close()
    assert shown == {
        "lock_timeout": "250ms",
        "statement_timeout": "750ms",
        "idle_in_transaction_session_timeout": "1min",
        "timezone": "UTC",
    }


def test_dialect_is_named(sqlite_database: Database, postgres_database: Database) -> None:
    assert sqlite_database.dialect is EngineKind.SQLITE
    assert postgres_database.dialect is EngineKind.POSTGRESQL

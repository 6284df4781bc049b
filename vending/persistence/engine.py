"""Opens the database, PostgreSQL or SQLite, and refuses one that may lose committed sales.

PostgreSQL runs at READ COMMITTED with explicit locks, every wait bounded. SQLite has one writer at
a time; `vending.persistence.sqlite_library` says which library and which journal it is.
`vending.persistence.durability` says what is checked and why.
"""

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import psycopg
from psycopg.types.array import ListBinaryDumper
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from vending.persistence.durability import Finding, judge_sqlite_library, list_findings
from vending.persistence.errors import DatabaseUrlError, UnsafeDatabaseError
from vending.persistence.fair_lock import FairLock
from vending.persistence.sqlite_library import (
    JournalMode,
    choose_journal_mode,
    choose_library,
)
from vending.persistence.unit_of_work import ACCESS, UnitOfWork, read_only, translated


class EngineKind(StrEnum):
    """Which of the two databases it is; the value is SQLAlchemy's name of the dialect."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseLimits:
    """The bound of every wait for the database."""

    pool_size: int = 10
    """Connections of this process, all of them opened on demand."""
    pool_timeout_s: int = 5
    lock_timeout_ms: int = 5_000
    """Wait for a row, a table, or SQLite's write lock."""
    statement_timeout_ms: int = 30_000
    idle_in_transaction_timeout_ms: int = 60_000


DEFAULT_LIMITS: Final = DatabaseLimits()
_READ_OPTIONS: Final[dict[EngineKind, dict[str, Any]]] = {
    EngineKind.SQLITE: {},
    EngineKind.POSTGRESQL: {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


@dataclass(frozen=True, slots=True, eq=False)
class Database:
    """An open database; close it when done."""

    engine: Engine
    dialect: EngineKind
    writer_lock: FairLock | None
    """Queues the writers of this process on SQLite; None on PostgreSQL."""

    def unit_of_work(self) -> UnitOfWork:
        """Return a write transaction, rolled back unless committed."""
        return UnitOfWork(self.engine, self.writer_lock)

    def read(self) -> AbstractContextManager[Connection]:
        """Return a read-only connection that sees one snapshot."""
        return read_only(self.engine, _READ_OPTIONS[self.dialect])

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def create_database(
    url: str,
    *,
    limits: DatabaseLimits = DEFAULT_LIMITS,
    journal_mode: JournalMode | None = None,
    library: ModuleType | None = None,
    create_folder: bool = False,
) -> Database:
    """Return the database the URL names, after it was seen to be durable.

    On SQLite the library and the journal mode are chosen by what this machine has, unless named.

    Raises:
        DatabaseUrlError: The URL names no file and no PostgreSQL server.
        UnsafeDatabaseError: A setting of the database may lose or corrupt committed rows.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == EngineKind.SQLITE:
        library = library or choose_library()
        journal_mode = journal_mode or choose_journal_mode(library.sqlite_version_info)
        # Before the file is touched: the journal mode asked for would stay in it.
        _require_durable([judge_sqlite_library(library, journal_mode)])
        database = _open_sqlite(
            parsed, limits, journal_mode, library=library, create_folder=create_folder
        )
    else:
        database = _open_postgresql(parsed, limits)
    try:
        _require_durable(durability_report(database))
    except BaseException:
        database.close()
        raise
    return database


def durability_report(database: Database) -> list[Finding]:
    """Return what was checked on the database, each point with its verdict."""
    with translated(), database.engine.connect() as connection:
        return list_findings(connection)


def _require_durable(findings: list[Finding]) -> None:
    for finding in findings:
        if not finding.is_safe:
            raise UnsafeDatabaseError(
                setting=finding.setting, found=finding.found, wanted=finding.wanted
            )


def _parse(url: str) -> URL:
    """Return the URL with the driver we use.

    Raises:
        DatabaseUrlError: It is malformed, in memory, or of another database.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except ArgumentError as error:
        why = "it is no URL"
        raise DatabaseUrlError(why) from error
    match backend:
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                why = "a database in memory forgets every sale"
                raise DatabaseUrlError(why)
            return parsed.set(drivername="sqlite+pysqlite")
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case _:
            why = f"{backend} is not supported"
            raise DatabaseUrlError(why)


def _open_postgresql(url: URL, limits: DatabaseLimits) -> Database:
    settings = {
        "timezone": "UTC",
        "lock_timeout": limits.lock_timeout_ms,
        "statement_timeout": limits.statement_timeout_ms,
        "idle_in_transaction_session_timeout": limits.idle_in_transaction_timeout_ms,
    }
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=limits.pool_size,
        max_overflow=0,
        pool_timeout=limits.pool_timeout_s,
        connect_args={
            "application_name": "prepaid-vending",
            "connect_timeout": limits.pool_timeout_s,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
    )

    @event.listens_for(engine, "connect")
    def prepare(driver: psycopg.Connection, record: object) -> None:
        del record
        # Batches travel as arrays; written as text their quoting costs more than the work.
        driver.adapters.register_dumper(list, ListBinaryDumper)

    return Database(engine, EngineKind.POSTGRESQL, writer_lock=None)


def _open_sqlite(
    url: URL,
    limits: DatabaseLimits,
    journal_mode: JournalMode,
    *,
    library: ModuleType,
    create_folder: bool,
) -> Database:
    assert url.database is not None, "the parser lets no nameless file through"
    folder = Path(url.database).absolute().parent
    if create_folder:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not folder.is_dir():
        why = f"there is no folder {folder}"
        raise DatabaseUrlError(why)
    engine = create_engine(
        url,
        module=library,
        pool_size=limits.pool_size,
        max_overflow=0,
        pool_timeout=limits.pool_timeout_s,
        connect_args={"check_same_thread": False, "timeout": limits.lock_timeout_ms // 1000},
    )

    @event.listens_for(engine, "connect")
    def prepare(driver: sqlite3.Connection, record: object) -> None:
        # Or the wheel's, which has the same methods and ships no types.
        del record
        # We say BEGIN ourselves: the driver would begin late, after the first reads.
        driver.isolation_level = None
        for pragma in _pragmas(limits, journal_mode):
            driver.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_read = connection.get_execution_options().get(ACCESS) == "read"
        connection.exec_driver_sql(f"PRAGMA query_only={int(is_read)}")
        connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")

    lock = FairLock(timeout_s=limits.lock_timeout_ms // 1000)
    return Database(engine, EngineKind.SQLITE, writer_lock=lock)


def _pragmas(limits: DatabaseLimits, journal_mode: JournalMode) -> list[str]:
    # EXTRA also syncs the folder after a rollback journal is deleted; with a log, FULL suffices.
    synchronous = "FULL" if journal_mode is JournalMode.WAL else "EXTRA"
    return [
        f"busy_timeout={limits.lock_timeout_ms}",
        f"journal_mode={journal_mode}",
        f"synchronous={synchronous}",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        # Without it REPLACE deletes a row behind the triggers that forbid to.
        "recursive_triggers=ON",
    ]

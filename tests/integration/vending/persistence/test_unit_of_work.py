"""The unit of work: what it keeps, what it drops, and how errors of the driver read."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InternalError,
    OperationalError,
    ProgrammingError,
)

from tests.postgres_server import PostgresServer
from vending.persistence.engine import Database, DatabaseLimits, create_database
from vending.persistence.errors import (
    CommitUnknownError,
    DatabaseBusyError,
    DatabaseUnavailableError,
)
from vending.persistence.sqlite_library import JournalMode

if TYPE_CHECKING:
    from tests.integration.vending.persistence.conftest import Notes

IMPATIENT = DatabaseLimits(lock_timeout_ms=100, pool_timeout_s=1, pool_size=2)


def test_work_is_kept_when_committed(noted_database: Database, noted: "Notes") -> None:
    with noted_database.unit_of_work() as uow:
        noted.add(uow.connection, 1)
        uow.commit()
    assert noted.count(noted_database) == 1


def test_work_is_dropped_without_commit(noted_database: Database, noted: "Notes") -> None:
    with noted_database.unit_of_work() as uow:
        noted.add(uow.connection, 1)
    assert noted.count(noted_database) == 0


def test_work_is_dropped_after_an_error(noted_database: Database, noted: "Notes") -> None:
    def add_and_fail(connection: Connection) -> None:
        noted.add(connection, 1)
        raise LookupError

    with pytest.raises(LookupError), noted_database.unit_of_work() as uow:
        add_and_fail(uow.connection)
    assert noted.count(noted_database) == 0


def test_a_fault_in_our_own_sql_stays_what_it_is(noted_database: Database) -> None:
    statement = text("SELECT nonsense FROM notes")
    faults = (OperationalError, ProgrammingError)  # of SQLite, of PostgreSQL
    with pytest.raises(faults), noted_database.unit_of_work() as uow:
        uow.connection.execute(statement)


def test_a_read_cannot_write(noted_database: Database, noted: "Notes") -> None:
    refusals = (InternalError, DatabaseUnavailableError)  # of PostgreSQL, of SQLite
    with (
        pytest.raises(refusals, match=r"(?i)read-?only"),
        noted_database.read() as connection,
    ):
        noted.add(connection, 1)
    with noted_database.unit_of_work() as uow:
        noted.add(uow.connection, 1)
        uow.commit()
    assert noted.count(noted_database) == 1


def test_a_read_sees_one_snapshot(noted_database: Database, noted: "Notes") -> None:
    with noted_database.read() as connection:
        before = connection.execute(text("SELECT count(*) FROM notes")).scalar_one()
        with noted_database.unit_of_work() as uow:
            noted.add(uow.connection, 1)
            uow.commit()
        after = connection.execute(text("SELECT count(*) FROM notes")).scalar_one()
    assert (before, after) == (0, 0)
    assert noted.count(noted_database) == 1


def test_another_writer_of_the_sqlite_file_is_waited_for_and_then_busy(sqlite_url: str) -> None:
    ours = create_database(sqlite_url, limits=IMPATIENT)
    theirs = create_database(sqlite_url, limits=IMPATIENT)
    with ours.unit_of_work(), pytest.raises(DatabaseBusyError), theirs.unit_of_work():
        pass
    with theirs.unit_of_work():
        pass
    ours.close()
    theirs.close()


def test_a_locked_row_of_postgresql_is_waited_for_and_then_busy(postgres_url: str) -> None:
    database = create_database(postgres_url, limits=IMPATIENT)
    lock = text("LOCK TABLE postings IN EXCLUSIVE MODE")
    with database.unit_of_work() as first:
        first.connection.execute(lock)
        with pytest.raises(DatabaseBusyError), database.unit_of_work() as second:
            second.connection.execute(lock)
    database.close()


def test_no_free_connection_is_busy(postgres_url: str) -> None:
    database = create_database(postgres_url, limits=IMPATIENT)
    with database.read(), database.read(), pytest.raises(DatabaseBusyError), database.read():
        pass
    database.close()


def test_a_lost_connection_is_unavailable_and_the_next_one_works(
    postgres_database: Database, postgres_server: PostgresServer
) -> None:
    def ask(connection: Connection) -> None:
        _terminate(postgres_server, connection)
        connection.execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailableError), postgres_database.unit_of_work() as uow:
        ask(uow.connection)
    with postgres_database.unit_of_work() as uow:
        assert uow.connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_connection_lost_before_the_answer_to_commit_is_unknown(
    postgres_database: Database, postgres_server: PostgresServer
) -> None:
    with postgres_database.unit_of_work() as uow:
        _terminate(postgres_server, uow.connection)
        with pytest.raises(CommitUnknownError) as unknown:
            uow.commit()
    assert unknown.value.retryable
    assert unknown.value.outcome == "unknown"


def test_a_crash_of_postgresql_leaves_committed_work_alone() -> None:
    with PostgresServer() as server:
        database = create_database(server.url())
        with database.unit_of_work() as uow:
            uow.connection.exec_driver_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
            uow.commit()

        def crash_amid_work(connection: Connection) -> None:
            connection.exec_driver_sql("INSERT INTO notes VALUES (1)")
            server.crash()
            connection.exec_driver_sql("INSERT INTO notes VALUES (2)")

        with pytest.raises(DatabaseUnavailableError), database.unit_of_work() as uow:
            crash_amid_work(uow.connection)
        with pytest.raises(DatabaseUnavailableError), database.read():
            pass
        server.resume()
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM notes").scalar_one() == 0
        database.close()


def test_a_cancelled_wait_for_the_standby_is_unknown() -> None:
    with PostgresServer() as server:
        database = create_database(server.url())
        server.execute(sql.SQL("ALTER SYSTEM SET synchronous_standby_names = 'absent'"))
        server.execute(sql.SQL("SELECT pg_reload_conf()"))
        with ThreadPoolExecutor(1) as pool, database.unit_of_work() as uow:
            uow.connection.exec_driver_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
            pid = uow.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            cancelled = pool.submit(_cancel_when_waiting, server.url(), pid)
            with pytest.raises(CommitUnknownError, match="synchronous replication"):
                uow.commit()
            cancelled.result()
        database.close()


def test_an_unclear_answer_to_commit_is_unknown(noted_database: Database, noted: "Notes") -> None:
    @event.listens_for(noted_database.engine, "commit", once=True)
    def fail(connection: Connection) -> None:
        del connection
        raise DBAPIError("COMMIT", None, sqlite.OperationalError("disk I/O error"))

    with noted_database.unit_of_work() as uow:
        noted.add(uow.connection, 1)
        with pytest.raises(CommitUnknownError):
            uow.commit()
    with noted_database.unit_of_work() as uow:
        noted.add(uow.connection, 2)
        uow.commit()


def test_a_reader_of_a_rollback_journal_makes_commit_busy(sqlite_url: str) -> None:
    database = create_database(sqlite_url, limits=IMPATIENT, journal_mode=JournalMode.DELETE)
    with database.read() as reader:
        reader.execute(text("SELECT count(*) FROM postings")).scalar_one()
        with database.unit_of_work() as uow:
            uow.connection.exec_driver_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY) STRICT")
            with pytest.raises(DatabaseBusyError):
                uow.commit()
    with database.read() as reader:
        names = reader.execute(text("SELECT name FROM sqlite_schema")).scalars().all()
    database.close()
    assert "notes" not in names


def test_a_deferred_constraint_refuses_the_commit(database: Database) -> None:
    with database.unit_of_work() as uow:
        uow.connection.exec_driver_sql(
            "INSERT INTO ledger_accounts (code, kind, currency) VALUES ('a', 'asset', 'KES')"
        )
        uow.connection.execute(
            text(
                "INSERT INTO postings"
                " (entry_id, line_number, posting_count, account_code, currency, minor)"
                " VALUES (:id, 1, 2, 'a', 'KES', 5)"
            ),
            {"id": b"\0" * 16 if database.dialect == "sqlite" else "0" * 32},
        )
        with pytest.raises(IntegrityError):
            uow.commit()
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM postings").scalar_one() == 0


def test_a_full_disk_is_unavailable_and_heals(sqlite_url: str) -> None:
    database = create_database(sqlite_url, limits=DatabaseLimits(pool_size=1))
    with database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("CREATE TABLE blobs (id INTEGER PRIMARY KEY, b BLOB) STRICT")
        uow.commit()
        pages = uow.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    with database.read() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 1}")
    with pytest.raises(DatabaseUnavailableError, match="FULL"), database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("INSERT INTO blobs (b) VALUES (zeroblob(100000))")
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=100000")
    with database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("INSERT INTO blobs (b) VALUES (zeroblob(100000))")
        uow.commit()
    database.close()


def test_many_threads_write_without_starving(noted_database: Database, noted: "Notes") -> None:
    barrier = threading.Barrier(8)

    def write(worker: int) -> None:
        barrier.wait()
        for number in range(20):
            with noted_database.unit_of_work() as uow:
                noted.add(uow.connection, worker * 100 + number)
                uow.commit()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert noted.count(noted_database) == 160


def _terminate(server: PostgresServer, connection: Connection) -> None:
    pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    server.execute(sql.SQL("SELECT pg_terminate_backend({}, 5000)").format(sql.Literal(pid)))


def _cancel_when_waiting(url: str, pid: int) -> None:
    pause = threading.Event()
    with psycopg.connect(url, autocommit=True) as watcher:
        for _ in range(10_000):
            row = watcher.execute(
                "SELECT wait_event FROM pg_stat_activity WHERE pid = %s", [pid]
            ).fetchone()
            if row == ("SyncRep",):
                watcher.execute("SELECT pg_cancel_backend(%s)", [pid])
                return
            pause.wait(0.01)
    message = "the commit never waited for the standby"
    raise AssertionError(message)

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from vending.errors import Outcome
from vending.persistence.errors import (
    CommitUnknownError,
    DatabaseBusyError,
    DatabaseUnavailableError,
)
from vending.persistence.unit_of_work import UnitOfWork, translate, translated


class SQLiteFault(Exception):
    """What the driver of SQLite raises, with the codes it carries."""

    def __init__(self, code: int, name: str) -> None:
        super().__init__(name)
        self.sqlite_errorcode = code
        self.sqlite_errorname = name


def raised(cause: Exception) -> DBAPIError:
    return OperationalError("SELECT 1", None, cause)


@pytest.mark.parametrize(
    "cause",
    [
        pg.LockNotAvailable(),
        pg.DeadlockDetected(),
        pg.SerializationFailure(),
        pg.QueryCanceled(),
        SQLiteFault(5, "SQLITE_BUSY"),
        SQLiteFault(5 | 2 << 8, "SQLITE_BUSY_SNAPSHOT"),
        SQLiteFault(6, "SQLITE_LOCKED"),
    ],
    ids=repr,
)
def test_a_lock_that_is_not_free_reads_as_busy(cause: Exception) -> None:
    assert isinstance(translate(raised(cause)), DatabaseBusyError)


@pytest.mark.parametrize(
    "cause",
    [
        psycopg.OperationalError("server closed the connection"),
        pg.AdminShutdown(),
        pg.CrashShutdown(),
        pg.DiskFull(),
        pg.TooManyConnections(),
        pg.IoError(),
        pg.IdleInTransactionSessionTimeout(),
        SQLiteFault(13, "SQLITE_FULL"),
        SQLiteFault(10 | 4 << 8, "SQLITE_IOERR_FSYNC"),
        SQLiteFault(11, "SQLITE_CORRUPT"),
        SQLiteFault(14, "SQLITE_CANTOPEN"),
        SQLiteFault(8, "SQLITE_READONLY"),
    ],
    ids=repr,
)
def test_a_database_that_is_away_reads_as_unavailable(cause: Exception) -> None:
    assert isinstance(translate(raised(cause)), DatabaseUnavailableError)


@pytest.mark.parametrize(
    "cause",
    [pg.UniqueViolation(), pg.UndefinedTable(), SQLiteFault(1, "SQLITE_ERROR")],
    ids=repr,
)
def test_a_fault_of_ours_is_not_translated(cause: Exception) -> None:
    error = raised(cause)
    assert translate(error) is None
    with pytest.raises(DBAPIError) as kept, translated():
        raise error
    assert kept.value is error


def test_the_reason_names_the_fault_and_no_value_of_a_row() -> None:
    ours = translate(raised(SQLiteFault(13, "SQLITE_FULL")))
    assert ours is not None
    assert ours.facts == {"reason": "SQLITE_FULL"}
    ours = translate(raised(pg.LockNotAvailable("row of customer Jane")))
    assert ours is not None
    assert "Jane" not in str(ours)


def test_an_exhausted_pool_reads_as_busy() -> None:
    with pytest.raises(DatabaseBusyError, match="every connection"), translated():
        raise PoolTimeoutError


def test_busy_and_unavailable_did_nothing_and_an_unclear_commit_is_unknown() -> None:
    assert DatabaseBusyError("x").outcome is Outcome.NONE
    assert DatabaseUnavailableError("x").outcome is Outcome.NONE
    assert CommitUnknownError("x").outcome is Outcome.UNKNOWN
    assert all(
        error.retryable
        for error in (DatabaseBusyError, DatabaseUnavailableError, CommitUnknownError)
    )


def test_a_unit_of_work_has_a_connection_inside_its_block_only() -> None:
    uow = UnitOfWork(create_engine("sqlite://"), None)
    with pytest.raises(AssertionError, match="inside"):
        _ = uow.connection

"""One transaction: rolled back unless its owner says `commit`; the only caller of COMMIT.

    with database.unit_of_work() as uow:
        post_entries(uow.connection, entries, accounts)
        uow.commit()

Errors of the driver are translated here and nowhere else:

    while working    a lock not free in time, a deadlock     DatabaseBusyError
                     connection lost, disk full, I/O error   DatabaseUnavailableError
    out of COMMIT    a deferred constraint (we are wrong)    IntegrityError, as it is
                     SQLite cannot lock the file yet         DatabaseBusyError
                     anything else                           CommitUnknownError

An error out of COMMIT is not a failure: the row may be on the disk although the answer was lost,
so nobody may reverse or repeat the work except under its idempotency key.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from vending.errors import VendingError
from vending.observability.tracing import span
from vending.persistence.errors import (
    CommitUnknownError,
    DatabaseBusyError,
    DatabaseUnavailableError,
)
from vending.persistence.fair_lock import FairLock

ACCESS: Final = "vending_access"
"""Execution option that tells the engine's `begin` listener which kind of BEGIN to send."""

_BUSY_SQLSTATES: Final = frozenset({"55P03", "40P01", "40001", "57014"})
# lock_not_available, deadlock_detected, serialization_failure, query_canceled
_UNAVAILABLE_STATES: Final = ("08", "53", "57", "58", "25P03")
# connection, insufficient resources, operator intervention, system error, idle for too long
_SQLITE_BUSY: Final = frozenset({5, 6})  # SQLITE_BUSY, SQLITE_LOCKED
_SQLITE_UNAVAILABLE: Final = frozenset({8, 10, 11, 13, 14, 26})
# READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB


def translate(error: DBAPIError) -> VendingError | None:
    """Return the error of ours that the driver's stands for; None: a fault in our own SQL."""
    reason = _name_of(error)
    sqlstate = getattr(error.orig, "sqlstate", None)
    code = _primary_code(error)
    if sqlstate in _BUSY_SQLSTATES or code in _SQLITE_BUSY:
        return DatabaseBusyError(reason)
    # Without any code it is the connection: psycopg has none to show when the server is gone.
    is_lost = isinstance(error, OperationalError) and sqlstate is None and code is None
    if (
        is_lost
        or error.connection_invalidated
        or code in _SQLITE_UNAVAILABLE
        or (sqlstate is not None and sqlstate.startswith(_UNAVAILABLE_STATES))
    ):
        return DatabaseUnavailableError(reason)
    return None


def _primary_code(error: DBAPIError) -> int | None:
    """Return SQLite's result code without its extension; None on PostgreSQL."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _name_of(error: DBAPIError) -> str:
    """Return a name that tells an operator what happened and holds no value of a row."""
    return getattr(error.orig, "sqlite_errorname", None) or type(error.orig).__name__


@contextmanager
def translated() -> Iterator[None]:
    """Run the body, giving the driver's errors our names.

    Raises:
        DatabaseBusyError: A lock or a pooled connection was not free in time.
        DatabaseUnavailableError: The database cannot be reached or written.
        DBAPIError: Our own SQL is at fault.
    """
    try:
        yield
    except PoolTimeoutError as error:
        reason = "every connection is in use"
        raise DatabaseBusyError(reason) from error
    except DBAPIError as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error


class UnitOfWork:
    """One write transaction; leaving the block without `commit` rolls it back."""

    def __init__(self, engine: Engine, writer_lock: FairLock | None) -> None:
        self._engine = engine
        self._writer_lock = writer_lock
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """Return the connection inside the transaction."""
        assert self._connection is not None, "a unit of work is used inside its `with` block"
        return self._connection

    def __enter__(self) -> Self:
        assert self._connection is None, "a unit of work is entered once"
        if self._writer_lock is not None:
            self._writer_lock.acquire()
        try:
            with translated():
                self._connection = _begin(self._engine, {ACCESS: "write"})
        except BaseException:
            self._release()
            raise
        return self

    def commit(self) -> None:
        """Make the work durable.

        After an error the connection is thrown away: SQLite leaves the transaction open in it.

        Raises:
            IntegrityError: A deferred constraint refused the work; nothing was written.
            DatabaseBusyError: Readers kept SQLite from writing; nothing was written.
            CommitUnknownError: The database gave no clear answer.
        """
        connection = self.connection
        doubts: list[str] = []
        try:
            with span("commit"), _warnings_of(connection, doubts):
                connection.commit()
        except IntegrityError:
            connection.invalidate()
            raise
        except DBAPIError as error:
            connection.invalidate()
            if _primary_code(error) in _SQLITE_BUSY:
                raise DatabaseBusyError(_name_of(error)) from error
            raise CommitUnknownError(_name_of(error)) from error
        if doubts:
            raise CommitUnknownError(doubts[0])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            _close(self.connection)
        finally:
            self._connection = None
            self._release()
        if isinstance(error, DBAPIError):
            ours = translate(error)
            if ours is not None:
                raise ours from error

    def _release(self) -> None:
        if self._writer_lock is not None:
            self._writer_lock.release()


@contextmanager
def read_only(engine: Engine, options: dict[str, Any]) -> Iterator[Connection]:
    """Yield a connection that sees one snapshot and cannot write.

    Raises:
        DatabaseBusyError: A lock or a pooled connection was not free in time.
        DatabaseUnavailableError: The database cannot be reached.
    """
    with translated():
        connection = _begin(engine, {ACCESS: "read", **options})
        try:
            yield connection
        finally:
            _close(connection)


def _begin(engine: Engine, options: dict[str, Any]) -> Connection:
    connection = engine.connect()
    try:
        connection = connection.execution_options(**options)
        connection.begin()
    except BaseException:
        connection.close()
        raise
    return connection


def _close(connection: Connection) -> None:
    """Roll back what is open; a connection that cannot even do that is thrown away."""
    try:
        connection.close()
    except DBAPIError:
        connection.invalidate()
        connection.close()


@contextmanager
def _warnings_of(connection: Connection, found: list[str]) -> Iterator[None]:
    """Collect the warnings PostgreSQL attaches to COMMIT.

    A wait for the synchronous standby that an operator cancels ends in success with a warning:
    the commit is local only, and a fail-over would lose it.
    """
    driver: Any = connection.connection.driver_connection
    if not hasattr(driver, "add_notice_handler"):
        yield
        return

    def note(diagnostic: Any) -> None:  # noqa: ANN401 # psycopg's Diagnostic, unknown on SQLite
        if diagnostic.severity_nonlocalized == "WARNING":
            found.append(diagnostic.message_primary)

    driver.add_notice_handler(note)
    try:
        yield
    finally:
        driver.remove_notice_handler(note)

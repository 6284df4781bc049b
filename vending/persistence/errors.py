"""What goes wrong between us and the database, each with the remedy of an operator.

VendingError
├── DatabaseUrlError         the setting names no database we can keep money in
├── UnsafeDatabaseError      the database may lose or corrupt committed rows
├── SchemaMismatchError      the tables are not those this release works with
├── DatabaseBusyError        a lock was not free in time; nothing was written
├── DatabaseUnavailableError no connection, no space, no disk; nothing was committed
└── CommitUnknownError       COMMIT failed: the work may or may not be there
"""

from typing import ClassVar

from vending.errors import ErrorKind, Outcome, VendingError


class DatabaseUrlError(VendingError):
    """The database URL names no file and no PostgreSQL server."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "database_url_invalid"
    remedy: ClassVar[str] = (
        "write postgresql://user:password@host/name, or sqlite:////folder/file for one machine"
    )

    def __init__(self, why: str) -> None:
        super().__init__(f"the database URL cannot be used: {why}", why=why)


class UnsafeDatabaseError(VendingError):
    """The database runs with a setting that may lose or corrupt committed sales."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "database_unsafe"
    remedy: ClassVar[str] = "correct the setting the message names, then start again"

    def __init__(self, *, setting: str, found: str, wanted: str) -> None:
        super().__init__(
            f"{setting} is {found}; set it to {wanted}, or committed sales may be lost",
            setting=setting,
            found=found,
            wanted=wanted,
        )


class SchemaMismatchError(VendingError):
    """The tables of the database are older or newer than this release."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "schema_mismatch"
    remedy: ClassVar[str] = "run `vending migrate` of the release you start"

    def __init__(self, *, found: str | None, wanted: str) -> None:
        super().__init__(
            f"the database is at schema {found or 'none'}, this release works with {wanted}",
            found=found,
            wanted=wanted,
        )


class DatabaseBusyError(VendingError):
    """A lock was not free in time; nothing was written, the same request may be repeated."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "database_busy"
    remedy: ClassVar[str] = "repeat the request with the same idempotency key"
    retryable: ClassVar[bool] = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database was busy for too long ({reason})", reason=reason)


class DatabaseUnavailableError(VendingError):
    """The database cannot be reached, or has no space; nothing was committed."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "database_unavailable"
    remedy: ClassVar[str] = (
        "see that the database runs and its disk has space; repeat with the same idempotency key"
    )
    retryable: ClassVar[bool] = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database is not available ({reason})", reason=reason)


class CommitUnknownError(VendingError):
    """COMMIT reported an error: only a look-up by the idempotency key tells what happened."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "outcome_unknown"
    remedy: ClassVar[str] = (
        "repeat the request with the same idempotency key; never take it as failed"
    )
    retryable: ClassVar[bool] = True
    outcome: ClassVar[Outcome] = Outcome.UNKNOWN

    def __init__(self, reason: str) -> None:
        super().__init__(f"the outcome of the commit is not known ({reason})", reason=reason)

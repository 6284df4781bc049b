"""Runs a transaction again while the database leaves it undone, or in doubt."""

from collections.abc import Callable
from typing import Final, TypeVar

from vending.errors import VendingError
from vending.observability.logs import get_logger
from vending.persistence.errors import CommitUnknownError, DatabaseBusyError

ATTEMPTS_MAX: Final = 3
"""Tries of a transaction that met a lock, or whose COMMIT gave no answer."""

_logger = get_logger(__name__)
Result = TypeVar("Result")


def attempt(transaction: Callable[[], Result]) -> Result:
    """Return what the transaction returns; it must be safe to repeat, by its idempotency keys.

    A doubt outlives whatever stops the later tries: they have not shown that nothing happened.

    Raises:
        CommitUnknownError: A COMMIT gave no answer, and no later try could tell what it did.
        DatabaseBusyError: A lock was not free in time; nothing was written.
        VendingError: What else the transaction raises.
    """
    doubt: CommitUnknownError | None = None
    try_count = 0
    while True:
        try_count += 1
        try:
            return transaction()
        except VendingError as error:
            if isinstance(error, CommitUnknownError):
                doubt = error
            may_pass = isinstance(error, (CommitUnknownError, DatabaseBusyError))
            if not may_pass or try_count == ATTEMPTS_MAX:
                if doubt is None or doubt is error:
                    raise
                raise doubt from error
            _logger.warning("transaction_repeated", code=error.code)

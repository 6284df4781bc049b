"""A lock that is granted in the order it was asked for.

SQLite has one writer. Threads that wait for it through `busy_timeout` poll with growing pauses,
so that an unlucky one starves; here they queue. Other processes still meet through SQLite's own
lock, whose wait is bounded by `busy_timeout`.
"""

import threading
from collections import deque
from types import TracebackType

from vending.persistence.errors import DatabaseBusyError


class FairLock:
    """A first-come-first-served lock with a bound on the wait; used as a context manager."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._guard = threading.Lock()
        self._is_held = False
        self._waiting: deque[threading.Event] = deque()

    def acquire(self) -> None:
        """Wait for our turn and take the lock.

        Raises:
            DatabaseBusyError: Our turn did not come within the bound.
        """
        turn = threading.Event()
        with self._guard:
            if not self._is_held:
                self._is_held = True
                return
            self._waiting.append(turn)
        if turn.wait(self._timeout_s):
            return
        with self._guard:
            if turn.is_set():  # handed over in the very moment the wait ended
                return
            self._waiting.remove(turn)
        reason = "writers queue in this process"
        raise DatabaseBusyError(reason)

    def release(self) -> None:
        """Hand the lock to whoever waits longest, or leave it free."""
        with self._guard:
            assert self._is_held, "only a held lock is released"
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_held = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

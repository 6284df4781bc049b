"""Whose turn it is on a line: one at a time, the urgent first, then first come first served."""

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from meter_drivers.errors import LineBusyError


class Urgency(IntEnum):
    """What goes first on a line; a top-up overtakes polling within one exchange."""

    CREDIT = 0
    RELAY = 1
    READ = 2
    """Somebody asked for it."""
    POLL = 3


class Turns:
    """Hands out a line to one thread at a time; it holds no more than the waiting threads."""

    def __init__(self, link: str) -> None:
        self._link = link
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._waiting: list[tuple[Urgency, int]] = []
        self._is_taken = False

    @contextmanager
    def take(self, urgency: Urgency, *, timeout_s: float) -> Iterator[None]:
        """Hold the line for a while.

        Raises:
            LineBusyError: If it does not come free in time.
        """
        self._wait(urgency, timeout_s)
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()

    def _wait(self, urgency: Urgency, timeout_s: float) -> None:
        with self._changed:
            turn = (urgency, next(self._numbers))
            heapq.heappush(self._waiting, turn)
            try:
                is_mine = self._changed.wait_for(
                    lambda: not self._is_taken and self._waiting[0] == turn, timeout_s
                )
            finally:
                # Also when the wait is interrupted: a turn left behind would block the line.
                self._waiting.remove(turn)
                heapq.heapify(self._waiting)
                self._changed.notify_all()
            if not is_mine:
                reason = f"no turn on the line in {timeout_s:.0f} s; too many meters are polled"
                raise LineBusyError(self._link, reason)
            self._is_taken = True

"""A clock in whose n-th reading someone else gets ahead of us."""

from collections.abc import Callable
from datetime import datetime

from vending.values.clock import FixedClock


class RacingClock:
    def __init__(self, clock: FixedClock, *, at_call: int, rival: Callable[[], object]) -> None:
        self._clock = clock
        self._calls_left = at_call
        self._rival = rival

    def now(self) -> datetime:
        self._calls_left -= 1
        if self._calls_left == 0:
            self._rival()
        return self._clock.now()

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

"""The time that simulated meters live in: the machine's, run faster, or stood still for a test."""

import time
from typing import Final, Protocol

_NS_PER_MS: Final = 1_000_000


class MeterClock(Protocol):
    """Where simulated meters read the time."""

    def now_ms(self) -> int:
        """Return milliseconds from 1970-01-01 00:00 UTC; never set back."""
        ...


class ScaledClock:
    """Starts at the machine's time and runs `speed` times as fast."""

    def __init__(self, speed: int) -> None:
        self._speed = speed
        self._start_ms = time.time_ns() // _NS_PER_MS
        self._start_ns = time.monotonic_ns()

    def now_ms(self) -> int:
        """Return the simulated time."""
        elapsed_ns = (time.monotonic_ns() - self._start_ns) * self._speed
        return self._start_ms + elapsed_ns // _NS_PER_MS


class StillClock:
    """Stands still until it is moved."""

    def __init__(self, at_ms: int = 0) -> None:
        self._at_ms = at_ms

    def now_ms(self) -> int:
        """Return the time it was moved to."""
        return self._at_ms

    def move(self, elapsed_ms: int) -> None:
        """Let time pass."""
        self._at_ms += elapsed_ms

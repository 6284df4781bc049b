"""Where the time comes from: the only module that reads a clock."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A source of time; every use case takes one as an argument."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds since some fixed moment; never set back, counts sleep of the machine."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Return seconds since the machine started, suspended time included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class FixedClock:
    """A clock that stands still until told otherwise; for tests and the simulators."""

    instant: datetime
    elapsed_s: float = field(default=0.0)

    def __post_init__(self) -> None:
        assert self.instant.tzinfo is UTC, "an instant is in UTC"

    def now(self) -> datetime:
        """Return the instant it was set to."""
        return self.instant

    def monotonic_s(self) -> float:
        """Return the seconds it was advanced by."""
        return self.elapsed_s

    def advance(self, step: timedelta) -> None:
        """Let time pass: both readings move."""
        self.instant += step
        self.elapsed_s += step.total_seconds()

    def jump_to(self, instant: datetime) -> None:
        """Set the wall clock alone, as an operator or a faulty time server does."""
        self.instant = instant

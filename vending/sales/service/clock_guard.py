"""Stops vending while the clock cannot be trusted: a token dated wrongly cannot be taken back."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from vending.persistence.engine import Database
from vending.sales import repository
from vending.sales.errors import ClockJumpedError
from vending.sales.rules import ClockLimits, ClockReading, is_clock_trusted
from vending.values.clock import Clock

MARK_INTERVAL: Final = timedelta(seconds=10)
"""The mark is at most this old while sales or the worker run; no sale waits for its row."""


class ClockGuard:
    """Holds the clock of this process against the last committed time.

    Its only state is the anchor: a reading that was trusted. An operator's confirmation, counted
    in the database, makes every process take a new one.
    """

    def __init__(self, clock: Clock, limits: ClockLimits) -> None:
        self._clock = clock
        self._limits = limits
        self._anchor = self._read()
        self._confirmations = 0

    def require_trusted(self, connection: Connection) -> datetime:
        """Return the time now, checked inside the transaction of a sale; keep the mark young.

        Raises:
            ClockJumpedError: The clock moved otherwise than time did.
        """
        now, seen_at = self.check(connection)
        if seen_at is None:
            repository.make_clock_mark(connection, now)
        elif now - seen_at > MARK_INTERVAL:
            repository.raise_clock_mark(connection, now)
        return now

    def check(self, connection: Connection) -> tuple[datetime, datetime | None]:
        """Return the time now and the last committed time; None: nothing was ever committed.

        Raises:
            ClockJumpedError: The clock moved otherwise than time did.
        """
        mark = repository.read_clock_mark(connection)
        seen_at, confirmations = mark if mark is not None else (None, 0)
        reading = self._read()
        if confirmations > self._confirmations:
            self._anchor, self._confirmations = reading, confirmations
        if not is_clock_trusted(reading, self._anchor, seen_at, self._limits):
            raise ClockJumpedError(reading.now, seen_at or self._anchor.now)
        return reading.now, seen_at

    def beat(self, database: Database) -> None:
        """Raise the mark while nothing is sold, so that an idle night is no jump.

        Raises:
            ClockJumpedError: The clock moved otherwise than time did.
        """
        with database.unit_of_work() as uow:
            self.require_trusted(uow.connection)
            uow.commit()

    def _read(self) -> ClockReading:
        return ClockReading(self._clock.now(), int(self._clock.monotonic_s()))


def check_clock(guard: ClockGuard, database: Database) -> None:
    """Check the clock without writing anything.

    Raises:
        ClockJumpedError: The clock moved otherwise than time did.
    """
    with database.read() as connection:
        guard.check(connection)


def confirm_clock(database: Database, clock: Clock) -> None:
    """Record that an operator has seen the clock to be right; vending goes on everywhere."""
    with database.unit_of_work() as uow:
        repository.confirm_clock_mark(uow.connection, clock.now())
        uow.commit()

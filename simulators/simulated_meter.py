"""A meter in use: the present state behind a lock, brought up to the clock whenever it is seen.

Nothing ticks: a meter that nobody looks at costs nothing, and one that somebody looks at has
used its energy to the millisecond. A change is stored before anybody is told of it.
"""

from collections.abc import Callable
from threading import RLock
from typing import Protocol

from simulators.clock import MeterClock
from simulators.load import MS_PER_MINUTE, LoadCurve
from simulators.meter import RelayPosition, Tamper, raise_tamper
from simulators.prepaid_meter import (
    PrepaidMeter,
    TokenEntry,
    enter_token,
    pass_time,
    steer_relay,
    with_electric,
)


class MeterStore(Protocol):
    """Where a meter's state outlives the process."""

    def save(self, meter: PrepaidMeter) -> None:
        """Keep the state; after this returns it is not lost."""
        ...


class SimulatedMeter:
    """One meter of a fleet; may be used from any thread."""

    def __init__(
        self,
        meter: PrepaidMeter,
        *,
        load: LoadCurve,
        clock: MeterClock,
        store: MeterStore | None = None,
    ) -> None:
        """Take the meter as it is; without a store its state ends with the process."""
        self._meter = meter
        self._load = load
        self._clock = clock
        self._store = store
        self._lock = RLock()

    @property
    def drn(self) -> str:
        """Return the digits printed on the meter."""
        return self._meter.drn.digits

    @property
    def state(self) -> PrepaidMeter:
        """Return the meter as it is at this moment."""
        with self._lock:
            self._catch_up()
            return self._meter

    def change(self, step: Callable[[PrepaidMeter], PrepaidMeter]) -> PrepaidMeter:
        """Let something be done to the meter, store it, and return what it has become."""
        with self._lock:
            self._catch_up()
            changed = step(self._meter)
            if self._store is not None:
                self._store.save(changed)
            self._meter = changed
            return changed

    def enter_token(self, digits: str) -> TokenEntry:
        """Type 20 digits on the keypad and return what the display shows."""
        with self._lock:
            self._catch_up()
            changed, entry = enter_token(self._meter, digits)
            self.change(lambda _: changed)
            return entry

    def order_relay(self, position: RelayPosition) -> None:
        """Order the relay, as a field engineer does at the meter."""
        self.change(lambda meter: steer_relay(meter, position))

    def raise_tamper(self, tamper: Tamper) -> None:
        """Do something to the meter that it notices."""
        self.change(lambda meter: with_electric(meter, raise_tamper(meter.electric, tamper)))

    def save(self) -> None:
        """Store the meter as it is, with what it has used since the last change."""
        self.change(lambda meter: meter)

    def _catch_up(self) -> None:
        """Pass the time since the meter was last seen, minute by minute as the load goes."""
        now_ms = self._clock.now_ms()
        meter = self._meter
        while meter.electric.at_ms < now_ms:
            minute = meter.electric.at_ms // MS_PER_MINUTE
            until_ms = min(now_ms, (minute + 1) * MS_PER_MINUTE)
            meter = pass_time(
                meter,
                elapsed_ms=until_ms - meter.electric.at_ms,
                load_w=self._load.watts_at(minute),
            )
        self._meter = meter

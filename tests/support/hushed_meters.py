"""Lines to simulated meters on which an answer is given up when it is known not to come.

The driver's time runs by silences and waits only. Its stream waits as long as it must for what
the simulator has put on the line, whatever the machine has to do besides, and not at all for an
answer that was swallowed, damaged beyond its end, or held until the driver has given up.
"""

import time
from dataclasses import dataclass

from meter_drivers import BusPool
from meter_drivers.errors import LinkTimeoutError
from meter_drivers.registry import BusSpec
from meter_drivers.transports.port import ByteStream, Timer
from simulators.faults import Transmission
from simulators.fleet import RunningFleet
from tests.support.hushed_line import LineTime

_POLL_S = 0.02
_HUNG_AFTER_S = 100.0
LATE_MS_MIN = 150
"""An answer held so long is one that the driver gives up; a shorter delay is waited for."""


@dataclass
class Heard:
    """What the other side of one line has done so far; written by its thread only."""

    request_count: int = 0
    size_sent: int = 0
    size_late: int = 0

    def note(self, sent: tuple[Transmission, ...]) -> None:
        """Note what a request brings, before any of it is on the line."""
        for one in sent:
            if one.delay_ms < LATE_MS_MIN:
                self.size_sent += len(one.payload)
            else:
                self.size_late += len(one.payload)
        self.request_count += 1


class HushedStream:
    """A `ByteStream` that times out once nothing of an answer is underway any more."""

    def __init__(self, stream: ByteStream, heard: Heard, timer: LineTime) -> None:
        self._stream = stream
        self._heard = heard
        self._timer = timer
        self._awaited_count = 0
        self._forget()

    @property
    def link(self) -> str:
        return self._stream.link

    @property
    def is_open(self) -> bool:
        return self._stream.is_open

    def open(self) -> None:
        if not self._stream.is_open:
            self._forget()
        self._stream.open()

    def close(self) -> None:
        self._stream.close()

    def write(self, data: bytes, *, timeout_s: float) -> None:
        self._awaited_count = self._heard.request_count + 1
        self._stream.write(data, timeout_s=max(timeout_s, _HUNG_AFTER_S))

    def read(self, size_max: int, *, timeout_s: float) -> bytes:
        hung_s = time.monotonic() + _HUNG_AFTER_S
        while True:
            is_owed = self._is_owed() and timeout_s > 0 and time.monotonic() < hung_s
            try:
                data = self._stream.read(size_max, timeout_s=_POLL_S if is_owed else 0)
            except LinkTimeoutError:
                if is_owed:
                    continue
                self._size_late = self._heard.size_late
                self._timer.skip(timeout_s)
                raise
            self._size_taken += len(data)
            return data

    def _is_owed(self) -> bool:
        """Return whether the other side has yet to hear us, or we to hear it."""
        if self._heard.request_count < self._awaited_count:
            return True
        return self._size_taken < self._heard.size_sent + self._size_late

    def _forget(self) -> None:
        """What was underway before the line opened does not come any more."""
        self._awaited_count = 0
        self._size_late = self._heard.size_late
        """How much of what is late comes from now on: all of it, once it was given up."""
        self._size_taken = self._heard.size_sent + self._size_late


def hushed_pool(fleet: RunningFleet) -> BusPool:
    """Return the lines of a driver to these meters."""
    heard = {}
    for name, bus in fleet.buses.items():
        heard[fleet.addresses[name]] = line = Heard()
        bus.listener = line.note

    def adapt(spec: BusSpec, stream: ByteStream, timer: Timer) -> tuple[ByteStream, Timer]:
        line = heard.get(f"{spec.place}:{spec.port}" if spec.port else spec.place)
        return (stream, timer) if line is None else hush(stream, line)

    return BusPool(adapt=adapt)


def hush(stream: ByteStream, heard: Heard) -> tuple[ByteStream, Timer]:
    """Return a stream and its time that follow what the other side does."""
    timer = LineTime()
    return HushedStream(stream, heard, timer), timer

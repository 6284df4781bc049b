"""A real line on which an answer is given up when it is known not to come, not when time is up.

What a driver does after a silence is under test; how long a shared machine takes to answer is
not. The line waits as long as it must for an answer that the simulated module has sent, and not
at all for one that it has swallowed, damaged beyond its end, or holds until later.
"""

import threading
import time

from meter_drivers.errors import LinkTimeoutError
from meter_drivers.transports.port import ByteStream
from simulators.faults import Transmission
from simulators.security_module import SimulatedSecurityModule

_POLL_S = 0.02
_HUNG_AFTER_S = 60.0


class HeardModule(SimulatedSecurityModule):
    """A simulated module that counts the requests to which no whole answer goes out at once."""

    silences: int = 0

    def receive(self, octets: bytes) -> tuple[Transmission, ...]:
        sent = super().receive(octets)
        is_answered = any(one.payload.endswith(b"\r") and one.delay_ms < 1000 for one in sent)
        if octets and not is_answered:
            self.silences += 1
        return sent


class LineTime:
    """A timer that runs by silences and waits only: a slow machine does not age it."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        return self._now_s

    def wait(self, span_s: float) -> None:
        threading.Event().wait(span_s)
        self.skip(span_s)

    def skip(self, span_s: float) -> None:
        """Let so much time have passed."""
        self._now_s += span_s


class HushedStream:
    """A `ByteStream` that times out on the silences of the module at its other end."""

    def __init__(self, stream: ByteStream, module: HeardModule, timer: LineTime) -> None:
        self._stream = stream
        self._module = module
        self._timer = timer
        self._known = 0

    @property
    def link(self) -> str:
        return self._stream.link

    @property
    def is_open(self) -> bool:
        return self._stream.is_open

    def open(self) -> None:
        self._stream.open()

    def close(self) -> None:
        self._stream.close()

    def write(self, data: bytes, *, timeout_s: float) -> None:
        self._known = self._module.silences
        self._stream.write(data, timeout_s=timeout_s)

    def read(self, size_max: int, *, timeout_s: float) -> bytes:
        if timeout_s <= 0:
            return self._stream.read(size_max, timeout_s=0)
        hung_s = time.monotonic() + _HUNG_AFTER_S
        while True:
            is_silent = self._module.silences > self._known or time.monotonic() > hung_s
            try:
                return self._stream.read(size_max, timeout_s=_POLL_S)
            except LinkTimeoutError:
                if is_silent:
                    self._known = self._module.silences
                    self._timer.skip(timeout_s)
                    raise

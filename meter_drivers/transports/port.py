"""What a line to meters offers: bytes out, bytes in, each within a time.

A `ByteStream` knows nothing of frames. It raises `TransportError`s only: what the operating
system and pyserial raise is translated in this package and nowhere else. All its calls come from
one owner at a time (`meter_drivers.bus`).
"""

import threading
import time
from typing import Protocol


class ByteStream(Protocol):
    """A line that carries bytes both ways."""

    @property
    def link(self) -> str:
        """Return what messages call this line."""

    @property
    def is_open(self) -> bool:
        """Return whether it can be written to, as far as this side knows."""

    def open(self) -> None:
        """Open the line; an open one stays as it is.

        Raises:
            ConnectionLostError: If the port or the other side is not there.
            LineBusyError: If another owner holds it.
        """

    def close(self) -> None:
        """Close the line; a closed one stays closed. Bytes not yet read are lost."""

    def write(self, data: bytes, *, timeout_s: float) -> None:
        """Send all bytes and return when they have left.

        After an error it is unknown how many of them did.

        Raises:
            ConnectionLostError: If the line is closed or breaks.
            LinkTimeoutError: If the line does not take them in time.
        """

    def read(self, size_max: int, *, timeout_s: float) -> bytes:
        """Return at least one byte and at most `size_max`, as soon as there are any.

        Raises:
            ConnectionLostError: If the line is closed or breaks.
            LinkTimeoutError: If no byte comes in time.
        """


class Timer(Protocol):
    """Time on a line: how late it is, and how to wait."""

    def now_s(self) -> float:
        """Return seconds since some moment; it only grows."""

    def wait(self, span_s: float) -> None:
        """Return after so many seconds."""


class SystemTimer:
    """The timer of this machine."""

    def now_s(self) -> float:
        """Return the seconds of the monotonic clock."""
        return time.monotonic()

    def wait(self, span_s: float) -> None:
        """Return after so many seconds; at once for none."""
        if span_s > 0:
            threading.Event().wait(span_s)

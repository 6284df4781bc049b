"""The latest frames of a line, kept in a ring for whoever asks what happened there.

What may be secret is not kept at all: of such a frame the ring holds its first bytes and its
length. Bytes that nobody asked for are only counted, since nothing tells what they are.

    +12.345 > 01 03 00 00 00 12 c5 c7
    +12.410 < 01 03 24 …
    +13.000 > 01 10 01 00 00 0b 16 ·· (24 bytes hidden)
    +14.100 = link_timeout
"""

import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meter_drivers.transports.port import Timer

FRAMES_KEPT_MAX: Final = 256


class Direction(StrEnum):
    """Which way bytes went, or what became of an exchange."""

    SENT = ">"
    RECEIVED = "<"
    DRAINED = "x"
    """Came late or unasked, and was thrown away."""
    ENDED = "="
    """An exchange ended without a clean answer."""


@dataclass(frozen=True, slots=True)
class TracedFrame:
    """One portion of bytes on the line, at seconds since its trace began."""

    at_s: float
    direction: Direction
    shown: bytes
    hidden_count: int
    note: str = ""

    def __str__(self) -> str:
        """Return the frame as one line of text."""
        parts = [f"+{self.at_s:.3f}", self.direction.value]
        if self.shown:
            parts.append(self.shown.hex(" "))
        if self.hidden_count:
            parts.append(f"·· ({self.hidden_count} bytes hidden)")
        if self.note:
            parts.append(self.note)
        return " ".join(parts)


class FrameTrace:
    """A ring of frames; may be written and read from any thread."""

    def __init__(self, timer: Timer, *, frames_max: int = FRAMES_KEPT_MAX) -> None:
        self._timer = timer
        self._began_s = timer.now_s()
        self._lock = threading.Lock()
        self._frames: deque[TracedFrame] = deque(maxlen=frames_max)

    def note(self, direction: Direction, data: bytes, *, shown_size: int | None = None) -> None:
        """Keep a portion of bytes, or only its first `shown_size`."""
        shown = data if shown_size is None else data[:shown_size]
        self._keep(direction, bytes(shown), len(data) - len(shown))

    def note_end(self, code: str) -> None:
        """Keep that an exchange ended with this error."""
        self._keep(Direction.ENDED, b"", 0, code)

    def frames(self) -> tuple[TracedFrame, ...]:
        """Return what is kept, the oldest first."""
        with self._lock:
            return tuple(self._frames)

    def _keep(self, direction: Direction, shown: bytes, hidden_count: int, note: str = "") -> None:
        at_s = self._timer.now_s() - self._began_s
        with self._lock:
            self._frames.append(TracedFrame(at_s, direction, shown, hidden_count, note))

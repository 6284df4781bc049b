"""Two ends of a line in memory: what one writes, the other reads."""

import threading
from typing import Self

from meter_drivers.errors import ConnectionLostError, LinkTimeoutError


class _Wire:
    """The bytes on their way in one direction, and whether their reader listens."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.bytes_underway = bytearray()
        self.has_reader = True

    def set_reader(self, *, present: bool) -> None:
        with self.changed:
            self.has_reader = present
            self.bytes_underway.clear()
            self.changed.notify_all()


class MemoryStream:
    """A `ByteStream` whose other end is another `MemoryStream`; made in pairs."""

    def __init__(self, name: str, incoming: _Wire, outgoing: _Wire) -> None:
        self._name = name
        self._incoming = incoming
        self._outgoing = outgoing

    @classmethod
    def pair(cls, name: str = "memory") -> tuple[Self, Self]:
        """Return two joined ends, both open."""
        one_way, other_way = _Wire(), _Wire()
        return (
            cls(f"{name} near end", one_way, other_way),
            cls(f"{name} far end", other_way, one_way),
        )

    @property
    def link(self) -> str:
        """Return the name of this end."""
        return self._name

    @property
    def is_open(self) -> bool:
        """Return whether this end is open."""
        return self._incoming.has_reader

    def open(self) -> None:
        """Open this end again.

        Raises:
            ConnectionLostError: If the other end is closed.
        """
        if not self._outgoing.has_reader:
            raise ConnectionLostError(self._name, "the other end is closed")
        if not self.is_open:
            self._incoming.set_reader(present=True)

    def close(self) -> None:
        """Close this end; bytes not yet read are lost, and the other end notices."""
        self._incoming.set_reader(present=False)
        with self._outgoing.changed:
            self._outgoing.changed.notify_all()

    def write(self, data: bytes, *, timeout_s: float) -> None:  # noqa: ARG002 # never waits
        """Put the bytes where the other end reads them.

        Raises:
            ConnectionLostError: If either end is closed.
        """
        with self._outgoing.changed:
            if self._is_broken():
                raise ConnectionLostError(self._name, "an end is closed")
            self._outgoing.bytes_underway += data
            self._outgoing.changed.notify_all()

    def read(self, size_max: int, *, timeout_s: float) -> bytes:
        """Return the bytes that the other end wrote.

        Raises:
            ConnectionLostError: If this end is closed, or the other and nothing is left to read.
            LinkTimeoutError: If none comes in time.
        """
        wire = self._incoming
        with wire.changed:
            wire.changed.wait_for(lambda: wire.bytes_underway or self._is_broken(), timeout_s)
            data = bytes(wire.bytes_underway[:size_max])
            del wire.bytes_underway[:size_max]
        if data:
            return data
        if self._is_broken():
            raise ConnectionLostError(self._name, "an end is closed")
        raise LinkTimeoutError(self._name, waited_s=timeout_s)

    def _is_broken(self) -> bool:
        return not (self._incoming.has_reader and self._outgoing.has_reader)

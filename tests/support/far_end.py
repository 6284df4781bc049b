"""The other side of a byte stream under test."""

from collections.abc import Callable

from meter_drivers.transports.port import ByteStream

FarEnd = tuple[ByteStream, Callable[[bytes], None], Callable[[int], bytes], Callable[[], None]]
"""A stream, and what its other side does: send, receive so many bytes, go away."""

"""What two HDLC stations agree on in SNRM and UA: sizes of information and of windows.

IEC 62056-46, 6.4.4.4.3.2:

    81 80 length | 05 size transmit | 06 size receive | 07 04 window transmit | 08 04 window receive

An absent parameter has its default, and so has an absent group. Sizes come in one or two bytes.
"""

from dataclasses import dataclass
from typing import Final, Self

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.octets import Cursor, encode_octets

INFORMATION_SIZE_DEFAULT: Final = 128
INFORMATION_SIZE_MIN: Final = 32
INFORMATION_SIZE_MAX: Final = 2030
"""The frame length has 11 bits; what is left for information beside the largest header."""
WINDOW_SIZE: Final = 1
"""Ours, in both directions: each I-frame is answered before the next leaves."""

_FORMAT: Final = 0x81
_GROUP: Final = 0x80
_SIZE_TRANSMIT: Final = 5
_SIZE_RECEIVE: Final = 6
_WINDOW_TRANSMIT: Final = 7
_WINDOW_RECEIVE: Final = 8
_ONE_BYTE_MAX: Final = 0xFF
_WINDOW_MAX: Final = 7


@dataclass(frozen=True, slots=True)
class LinkParameters:
    """The largest information field a station sends and takes, in bytes; its windows, in frames."""

    transmit_size_bytes: int = INFORMATION_SIZE_DEFAULT
    receive_size_bytes: int = INFORMATION_SIZE_DEFAULT
    transmit_window: int = WINDOW_SIZE
    receive_window: int = WINDOW_SIZE

    def to_bytes(self) -> bytes:
        """Return the information field of SNRM or UA."""
        sizes = (
            (_SIZE_TRANSMIT, _encode_size(self.transmit_size_bytes)),
            (_SIZE_RECEIVE, _encode_size(self.receive_size_bytes)),
            (_WINDOW_TRANSMIT, self.transmit_window.to_bytes(4, "big")),
            (_WINDOW_RECEIVE, self.receive_window.to_bytes(4, "big")),
        )
        inner = b"".join(bytes([tag]) + encode_octets(octets) for tag, octets in sizes)
        return bytes([_FORMAT, _GROUP]) + encode_octets(inner)

    @classmethod
    def from_bytes(cls, information: bytes) -> Self:
        """Return the parameters in the information field; defaults for an empty one.

        Raises:
            RemoteProtocolError: If it is malformed, or a size or window is impossible.
        """
        if not information:
            return cls()
        cursor = Cursor.of_whole(information, tag=_FORMAT, what="HDLC parameters")
        if cursor.take_byte() != _GROUP:
            reason = "HDLC parameters of an unknown group"
            raise RemoteProtocolError(reason, frame=information)
        group = Cursor(cursor.take_octets())
        cursor.finish("HDLC parameters")
        found: dict[int, int] = {}
        while group.left_size_bytes:
            tag = group.take_byte()
            found[tag] = int.from_bytes(group.take_octets(), "big")
        transmit, receive = (
            min(_check(found.get(tag, INFORMATION_SIZE_DEFAULT), 1, None), INFORMATION_SIZE_MAX)
            for tag in (_SIZE_TRANSMIT, _SIZE_RECEIVE)
        )
        windows = (
            _check(found.get(tag, WINDOW_SIZE), 1, _WINDOW_MAX)
            for tag in (_WINDOW_TRANSMIT, _WINDOW_RECEIVE)
        )
        return cls(transmit, receive, *windows)

    def agree(self, proposed: Self) -> "LinkParameters":
        """Return what this station may do once the other one has proposed so much."""
        return LinkParameters(
            min(self.transmit_size_bytes, proposed.receive_size_bytes),
            min(self.receive_size_bytes, proposed.transmit_size_bytes),
            min(self.transmit_window, proposed.receive_window),
            min(self.receive_window, proposed.transmit_window),
        )


def _encode_size(size_bytes: int) -> bytes:
    return size_bytes.to_bytes(1 if size_bytes <= _ONE_BYTE_MAX else 2, "big")


def _check(value: int, least: int, most: int | None) -> int:
    if value < least or (most is not None and value > most):
        reason = f"an HDLC parameter is {value}"
        raise RemoteProtocolError(reason)
    return value

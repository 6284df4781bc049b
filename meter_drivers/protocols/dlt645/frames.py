"""DL/T 645-2007 frames: a frame as bytes, and frames out of bytes.

    FE x 0-4 | 68 | address (6) | 68 | C | L | data (L) | CS | 16

    address  BCD, low byte first; AA in the high bytes stands for any digits, 99 x 6 is broadcast
    C        bit 7 reply, bit 6 error, bit 5 more data follows, bits 4-0 function
    data     each byte + 0x33
    CS       sum modulo 256 of all bytes from the first 68 to the last of data, as sent

A frame is found by its two 68 and its L, never by looking for 16: 16, 68 and FE are data like any
other. Damage survived: bytes in any portions, noise before, between and behind frames, a damaged
frame. A damaged frame is dropped in silence, as the standard has it, and the search goes on one
byte behind its beginning. What can be told from the head is checked as soon as the head is there;
a length that was damaged into a greater possible one keeps the reader waiting until it is told of
a silence on the line (`receive_silence`; bytes of one frame are at most 500 ms apart). The reader
counts what it drops.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Self

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlt645.bcd import encode_digits

LEADER: Final = 0xFE
LEADER_COUNT: Final = 4
"""Leaders that wake a receiver; sent before a request, and by many meters before a reply."""
START: Final = 0x68
END: Final = 0x16
OFFSET: Final = 0x33
ADDRESS_SIZE_BYTES: Final = 6
DATA_SIZE_MAX: Final = 200
"""The longest data field the standard has, in reads."""
WRITE_SIZE_MAX: Final = 50
"""What the standard promises for writes; some meters take more, so it is not enforced here."""
BUFFER_SIZE_MAX: Final = 4096
"""More than the line brings between two looks; older bytes are dropped."""

_HEAD_SIZE: Final = 10
_FRAME_SIZE: Final = 12
"""All but the data."""
_WILDCARD: Final = 0xAA
_BROADCAST: Final = b"\x99" * ADDRESS_SIZE_BYTES
_REPLY: Final = 0x80
_ERROR: Final = 0x40
_MORE: Final = 0x20
_FUNCTION_BITS: Final = 0x1F


class Function(IntEnum):
    """What is asked for: bits 4-0 of the control code (控制码)."""

    SECURITY = 0x03
    BROADCAST_TIME = 0x08
    READ = 0x11
    READ_MORE = 0x12
    READ_ADDRESS = 0x13
    WRITE = 0x14
    WRITE_ADDRESS = 0x15
    FREEZE = 0x16
    CHANGE_SPEED = 0x17
    CHANGE_PASSWORD = 0x18
    CLEAR_DEMAND = 0x19
    CLEAR_METER = 0x1A
    CLEAR_EVENTS = 0x1B
    REMOTE_CONTROL = 0x1C


_WITHOUT_REPLY: Final = frozenset({Function.BROADCAST_TIME})
_WITH_MORE: Final = frozenset({Function.READ, Function.READ_MORE})


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a meter (表号), of several by AA in its high bytes, or of all."""

    octets: bytes
    """As sent, low byte first."""

    def __post_init__(self) -> None:
        """Check that it is an address.

        Raises:
            LocalProtocolError: If it has no 6 bytes, or a half byte is no digit, or AA stands
                below a digit.
        """
        digits = self.octets.rstrip(bytes([_WILDCARD])).hex()
        if len(self.octets) != ADDRESS_SIZE_BYTES or (digits and not digits.isdigit()):
            message = f"{self.octets[::-1].hex().upper() or 'nothing'} is no address of a meter"
            raise LocalProtocolError(message)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address written in up to 12 digits, high digit first, AA for any of them.

        Raises:
            LocalProtocolError: If it is not so written.
        """
        try:
            return cls(bytes.fromhex(text.rjust(2 * ADDRESS_SIZE_BYTES, "0"))[::-1])
        except ValueError as error:
            message = f"{text!r} is no address of a meter"
            raise LocalProtocolError(message) from error

    @classmethod
    def shortened(cls, digits: str) -> Self:
        """Return the address of all meters whose lowest digits are these: AA above them.

        Raises:
            LocalProtocolError: If they are no even number of at most 12 digits.
        """
        low = encode_digits(digits)
        return cls(low + bytes([_WILDCARD]) * (ADDRESS_SIZE_BYTES - len(low)))

    @property
    def is_broadcast(self) -> bool:
        """Return whether it is that of all meters, which none replies to."""
        return self.octets == _BROADCAST

    @property
    def is_single(self) -> bool:
        """Return whether it names one meter."""
        return not self.is_broadcast and _WILDCARD not in self.octets

    def covers(self, other: "Address") -> bool:
        """Return whether a meter of the other address is meant by this one."""
        pairs = zip(self.octets, other.octets, strict=True)
        return self.is_broadcast or all(own in {_WILDCARD, its} for own, its in pairs)

    def __str__(self) -> str:
        return self.octets[::-1].hex().upper()


ANY_METER: Final = Address(bytes([_WILDCARD]) * ADDRESS_SIZE_BYTES)
"""Whoever is on the line; good for reading the address of a meter that is alone on it."""
ALL_METERS: Final = Address(_BROADCAST)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `data` without the offset of 0x33."""

    address: Address
    function: Function
    data: bytes = b""
    is_reply: bool = False
    is_error: bool = False
    has_more: bool = False

    @property
    def control(self) -> int:
        """Return C."""
        return (
            int(self.function)
            | (_REPLY if self.is_reply else 0)
            | (_ERROR if self.is_error else 0)
            | (_MORE if self.has_more else 0)
        )

    def to_bytes(self, *, leader_count: int = 0) -> bytes:
        """Return the frame as sent, behind so many leaders.

        Raises:
            LocalProtocolError: If the data is too long, or there is no such control code.
        """
        if len(self.data) > DATA_SIZE_MAX:
            message = f"{len(self.data)} bytes of data do not fit into one frame"
            raise LocalProtocolError(message)
        if CONTROLS.get(self.control) is None:
            message = f"there is no control code 0x{self.control:02X}"
            raise LocalProtocolError(message)
        content = (
            bytes([START])
            + self.address.octets
            + bytes([START, self.control, len(self.data)])
            + bytes((octet + OFFSET) % 0x100 for octet in self.data)
        )
        return bytes([LEADER] * leader_count) + content + bytes([sum(content) % 0x100, END])


def _list_controls() -> dict[int, Function]:
    controls: dict[int, Function] = {}
    for function in Function:
        controls[function] = function
        if function not in _WITHOUT_REPLY:
            controls[function | _REPLY] = function
            controls[function | _REPLY | _ERROR] = function
        if function in _WITH_MORE:
            controls[function | _REPLY | _MORE] = function
    return controls


CONTROLS: Final[Mapping[int, Function]] = MappingProxyType(_list_controls())
"""Each control code there is. Errors of 13 and 15 are not in the standard, but meters send them."""


class FrameReader:
    """Finds frames in a stream; see the module for what it drops.

    `dropped_bytes` counts bytes that belonged to no frame (leaders before one do not count),
    `last_fault` tells why a frame was dropped last.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._line_was_silent = False
        self.dropped_bytes = 0
        self.last_fault: str | None = None

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions; call `next_frame` until it returns `None`."""
        self._buffer += octets
        self._line_was_silent = False
        if len(self._buffer) > BUFFER_SIZE_MAX:
            self.last_fault = "more bytes came than are kept"
            self._drop(len(self._buffer) - BUFFER_SIZE_MAX)

    def receive_silence(self) -> None:
        """Learn that the line was silent: what has begun will not be completed.

        Call `next_frame` behind it, since a whole frame may stand behind a beginning that was
        none.
        """
        self._line_was_silent = True

    def reset(self) -> None:
        """Forget all bytes that came, as after a time-out."""
        self._drop(len(self._buffer))

    def next_frame(self) -> Frame | None:
        """Return the next whole and undamaged frame, or `None` until more bytes come."""
        while self._skip_to_start():
            try:
                size_bytes = _find_size(bytes(self._buffer[:_HEAD_SIZE]))
                if size_bytes is not None and len(self._buffer) >= size_bytes:
                    frame = _decode(bytes(self._buffer[:size_bytes]))
                    del self._buffer[:size_bytes]
                    return frame
            except RemoteProtocolError as fault:
                self._refuse(fault.reason)
                continue
            if not self._line_was_silent:
                return None
            self._refuse("a frame was not completed")
        return None

    def _skip_to_start(self) -> bool:
        start = self._buffer.find(START)
        skipped = self._buffer if start < 0 else self._buffer[:start]
        leaders = len(skipped) - len(skipped.rstrip(bytes([LEADER])))
        self._drop(len(skipped) - leaders)
        del self._buffer[:leaders]
        return bool(self._buffer)

    def _refuse(self, reason: str) -> None:
        self.last_fault = reason
        self._drop(1)

    def _drop(self, count: int) -> None:
        self.dropped_bytes += count
        del self._buffer[:count]


def _find_size(head: bytes) -> int | None:
    """Return the size a frame with this beginning has; `None` until the head is complete.

    Raises:
        RemoteProtocolError: If no frame begins so.
    """
    if len(head) > ADDRESS_SIZE_BYTES + 1 and head[ADDRESS_SIZE_BYTES + 1] != START:
        reason = "the second start byte is missing"
        raise RemoteProtocolError(reason, frame=head)
    if len(head) < _HEAD_SIZE:
        return None
    if head[8] not in CONTROLS:
        reason = f"there is no control code 0x{head[8]:02X}"
        raise RemoteProtocolError(reason, frame=head)
    if head[9] > DATA_SIZE_MAX:
        reason = f"a frame announces {head[9]} bytes of data"
        raise RemoteProtocolError(reason, frame=head)
    return _FRAME_SIZE + head[9]


def _decode(octets: bytes) -> Frame:
    """Return the frame in bytes whose head is right.

    Raises:
        RemoteProtocolError: If checksum, end byte or address are wrong.
    """
    if sum(octets[:-2]) % 0x100 != octets[-2]:
        reason = "the checksum of a frame is wrong"
        raise RemoteProtocolError(reason, frame=octets)
    if octets[-1] != END:
        reason = "a frame does not end where it says"
        raise RemoteProtocolError(reason, frame=octets)
    try:
        address = Address(octets[1 : 1 + ADDRESS_SIZE_BYTES])
    except LocalProtocolError as error:
        reason = str(error)
        raise RemoteProtocolError(reason, frame=octets) from error
    control = octets[8]
    return Frame(
        address,
        CONTROLS[control],
        bytes((octet - OFFSET) % 0x100 for octet in octets[_HEAD_SIZE:-2]),
        is_reply=bool(control & _REPLY),
        is_error=bool(control & _ERROR),
        has_more=bool(control & _MORE),
    )

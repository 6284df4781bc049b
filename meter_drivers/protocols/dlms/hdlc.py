"""HDLC frames of format type 3: a frame as bytes, and frames out of bytes.

IEC 62056-46, 6.4; check sequences of ISO/IEC 13239 (CRC-16, X.25):

    7E | format (2) | destination (1, 2, 4) | source (1, 2, 4) | control | HCS (2)
       | information ... | FCS (2) | 7E

    format   1010 S LLLLLLLLLLL   S: another segment follows; L: bytes between the flags
    HCS      over format to control; absent when no information follows

Bytes are not stuffed: a flag inside a frame is a byte like any other, the length alone ends it.
Damage survived: bytes in any portions, noise and flags between frames, one flag between two
frames, a damaged frame. As the standard has it, a damaged frame is dropped in silence; the
search goes on one byte behind its opening flag. The header is checked as soon as it is complete,
so that damage in the length never makes the reader wait for bytes that do not come. The reader
counts what it drops.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NoReturn, Self

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError

FLAG: Final = 0x7E
FORMAT_TYPE: Final = 0xA000
LENGTH_MAX: Final = 0x07FF
POLL_FINAL: Final = 0x10
SEQUENCE_COUNT: Final = 8

_SEGMENTED: Final = 0x0800
_CHECK_SIZE: Final = 2
_ADDRESS_SIZES: Final = (1, 2, 4)
_SEVEN_BITS: Final = 0x7F
_FOURTEEN_BITS: Final = 0x3FFF
_POLYNOMIAL: Final = 0x8408


def _compute_crc_row(octet: int) -> int:
    crc = octet
    for _ in range(8):
        crc = (crc >> 1) ^ _POLYNOMIAL if crc & 1 else crc >> 1
    return crc


_CRC_TABLE: Final = tuple(_compute_crc_row(octet) for octet in range(256))


def compute_check_sequence(octets: bytes) -> bytes:
    """Return HCS or FCS over the octets, low byte first as on the line."""
    crc = 0xFFFF
    for octet in octets:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ octet) & 0xFF]
    return (crc ^ 0xFFFF).to_bytes(2, "little")


class Control(IntEnum):
    """Control fields without their sequence numbers and without the poll/final bit."""

    INFORMATION = 0x00
    RR = 0x01
    RNR = 0x05
    UI = 0x03
    DM = 0x0F
    DISC = 0x43
    UA = 0x63
    SNRM = 0x83
    FRMR = 0x87


_NUMBERED: Final = frozenset({Control.RR, Control.RNR})
_MAY_CARRY: Final = frozenset(
    {Control.INFORMATION, Control.UI, Control.DM, Control.DISC, Control.UA, Control.SNRM}
    | {Control.FRMR}
)


@dataclass(frozen=True, slots=True)
class HDLCAddress:
    """An HDLC address: `upper` alone for a client (its SAP) and for a logical device on its own.

    `lower` is the physical device. One byte holds 7 bits of `upper`; two bytes 7 bits of each;
    four bytes 14 bits of each.
    """

    upper: int
    lower: int | None = None
    size_bytes: int = 1

    def __post_init__(self) -> None:
        """Check that the address fits its size.

        Raises:
            LocalProtocolError: If it does not.
        """
        limit = _FOURTEEN_BITS if self.size_bytes == max(_ADDRESS_SIZES) else _SEVEN_BITS
        parts = (self.upper,) if self.lower is None else (self.upper, self.lower)
        if (
            self.size_bytes not in _ADDRESS_SIZES
            or (self.lower is None) != (self.size_bytes == 1)
            or not all(0 <= part <= limit for part in parts)
        ):
            message = (
                f"HDLC address {self.upper}/{self.lower} does not fit into {self.size_bytes} bytes"
            )
            raise LocalProtocolError(message)

    @classmethod
    def of_server(cls, logical: int, physical: int | None = None) -> Self:
        """Return the shortest address of a logical device on a physical one.

        Raises:
            LocalProtocolError: If a part is out of range.
        """
        if physical is None:
            return cls(logical)
        is_short = max(logical, physical) <= _SEVEN_BITS
        return cls(logical, physical, 2 if is_short else 4)

    def to_bytes(self) -> bytes:
        """Return the address, seven bits a byte, the lowest bit set in the last."""
        if self.lower is None:
            return bytes([self.upper << 1 | 1])
        if self.size_bytes == max(_ADDRESS_SIZES):
            parts = [self.upper >> 7, self.upper & _SEVEN_BITS]
            parts += [self.lower >> 7, self.lower & _SEVEN_BITS]
        else:
            parts = [self.upper, self.lower]
        octets = bytearray(part << 1 for part in parts)
        octets[-1] |= 1
        return bytes(octets)

    @classmethod
    def from_bytes(cls, octets: bytes) -> Self:
        """Return the address in its 1, 2 or 4 bytes.

        Raises:
            RemoteProtocolError: If it has another size.
        """
        parts = [octet >> 1 for octet in octets]
        match parts:
            case [upper]:
                return cls(upper)
            case [upper, lower]:
                return cls(upper, lower, 2)
            case [upper_high, upper_low, lower_high, lower_low]:
                return cls(upper_high << 7 | upper_low, lower_high << 7 | lower_low, 4)
            case _:
                reason = f"an HDLC address has {len(parts)} bytes"
                raise RemoteProtocolError(reason, frame=octets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame; sequence numbers only where its control field has them."""

    destination: HDLCAddress
    source: HDLCAddress
    control: Control
    send_sequence: int = 0
    receive_sequence: int = 0
    poll_final: bool = True
    segmented: bool = False
    information: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the frame with its flags.

        Raises:
            LocalProtocolError: If the information is too long, or this frame carries none.
        """
        if self.information and self.control not in _MAY_CARRY:
            message = f"a frame {self.control.name} carries no information"
            raise LocalProtocolError(message)
        addresses = self.destination.to_bytes() + self.source.to_bytes()
        length = 2 + len(addresses) + 1 + _CHECK_SIZE
        if self.information:
            length += len(self.information) + _CHECK_SIZE
        if length > LENGTH_MAX:
            message = f"{len(self.information)} bytes do not fit into one HDLC frame"
            raise LocalProtocolError(message)
        format_ = FORMAT_TYPE | (_SEGMENTED if self.segmented else 0) | length
        content = format_.to_bytes(2, "big") + addresses + bytes([self._encode_control()])
        if self.information:
            content += compute_check_sequence(content) + self.information
        return bytes([FLAG]) + content + compute_check_sequence(content) + bytes([FLAG])

    def _encode_control(self) -> int:
        octet = int(self.control) | (POLL_FINAL if self.poll_final else 0)
        if self.control is Control.INFORMATION:
            return octet | self.receive_sequence << 5 | self.send_sequence << 1
        if self.control in _NUMBERED:
            return octet | self.receive_sequence << 5
        return octet


class FrameReader:
    """Finds frames in a stream; see the module for what it drops.

    `dropped_bytes` counts bytes that belonged to no frame, `last_fault` tells why a frame was
    dropped last.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.dropped_bytes = 0
        self.last_fault: str | None = None

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions; call `next_frame` until it returns `None`."""
        self._buffer += octets

    def reset(self) -> None:
        """Forget a frame that has begun, as after a time-out."""
        if self._buffer != bytes([FLAG]):  # the closing flag of the last frame
            self._drop(len(self._buffer))

    def next_frame(self) -> Frame | None:
        """Return the next whole and undamaged frame, or `None` until more bytes come."""
        while self._skip_to_flag():
            try:
                found = _read_frame(bytes(self._buffer[1 : LENGTH_MAX + 2]))
            except RemoteProtocolError as fault:
                self.last_fault = fault.reason
                self._drop(1)
                continue
            if found is None:
                return None
            frame, size_bytes = found
            del self._buffer[: size_bytes + 1]  # the closing flag may open the next frame
            return frame
        return None

    def _skip_to_flag(self) -> bool:
        start = self._buffer.find(FLAG)
        self._drop(len(self._buffer) if start < 0 else start)
        while self._buffer[:2] == bytes([FLAG, FLAG]):
            del self._buffer[0]
        return bool(self._buffer)

    def _drop(self, count: int) -> None:
        self.dropped_bytes += count
        del self._buffer[:count]


def _read_frame(content: bytes) -> tuple[Frame, int] | None:
    """Return the frame behind an opening flag and its size; `None` if it is not yet whole."""
    if content and content[0] >> 4 != FORMAT_TYPE >> 12:
        _refuse("a frame format is not of type 3")
    header = _read_header(content)
    if header is None or len(content) < len(header) + _CHECK_SIZE:
        return None
    format_ = int.from_bytes(header[:2], "big")
    length = format_ & LENGTH_MAX
    body = len(header) + _CHECK_SIZE
    if compute_check_sequence(header) != content[len(header) : body]:
        _refuse("the check sequence of a header is wrong")
    if length != body and length <= body + _CHECK_SIZE:
        _refuse("the length of a frame is impossible")
    if len(content) <= length:
        return None
    if content[length] != FLAG:
        _refuse("a frame does not end where it says")
    fcs = content[length - _CHECK_SIZE : length]
    if compute_check_sequence(content[: length - _CHECK_SIZE]) != fcs:
        _refuse("the check sequence of a frame is wrong")
    information = content[body : length - _CHECK_SIZE] if length > body else b""
    return _interpret(header, information, segmented=bool(format_ & _SEGMENTED)), length


def _refuse(reason: str) -> NoReturn:
    raise RemoteProtocolError(reason)


def _read_header(content: bytes) -> bytes | None:
    """Return format, addresses and control; `None` if they are not all there."""
    position = 2
    for _ in range(2):
        size_bytes = _find_address_size(content[position:])
        if size_bytes is None:
            return None
        position += size_bytes
    return content[: position + 1] if position < len(content) else None


def _find_address_size(octets: bytes) -> int | None:
    for index, octet in enumerate(octets[: max(_ADDRESS_SIZES)]):
        if octet & 1:
            if index + 1 in _ADDRESS_SIZES:
                return index + 1
            break
    else:
        if len(octets) < max(_ADDRESS_SIZES):
            return None
    reason = "an HDLC address does not end after 1, 2 or 4 bytes"
    raise RemoteProtocolError(reason)


def _interpret(header: bytes, information: bytes, *, segmented: bool) -> Frame:
    destination_size = _find_address_size(header[2:])
    assert destination_size is not None, "the header is whole"
    octet = header[-1]
    control = _find_control(octet)
    is_numbered = control is Control.INFORMATION or control in _NUMBERED
    return Frame(
        destination=HDLCAddress.from_bytes(header[2 : 2 + destination_size]),
        source=HDLCAddress.from_bytes(header[2 + destination_size : -1]),
        control=control,
        send_sequence=octet >> 1 & 0x07 if control is Control.INFORMATION else 0,
        receive_sequence=octet >> 5 if is_numbered else 0,
        poll_final=bool(octet & POLL_FINAL),
        segmented=segmented,
        information=information,
    )


def _find_control(octet: int) -> Control:
    if octet & 1 == 0:
        return Control.INFORMATION
    without_bit = octet & ~POLL_FINAL
    for control in _NUMBERED:
        if without_bit & 0x1F == control:
            return control
    try:
        return Control(without_bit)
    except ValueError as error:
        reason = f"0x{octet:02X} is no control field"
        raise RemoteProtocolError(reason) from error

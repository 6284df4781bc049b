"""The messages of IEC 62056-21, mode C, as bytes, and out of bytes (clause 6.3).

    / ? address ! CR LF                            sign-on (request message)
    / maker (3) Z identification CR LF             identification
    ACK 0 Z Y CR LF                                option select
    STX data ! CR LF ETX BCC                       readout
    SOH command STX data ETX BCC                   command, in programming mode; B0 has no data
    STX data ETX BCC                               answer; EOT for ETX where more blocks follow
    ACK   NAK                                      on their own

Characters have 7 bits. BCC is the exclusive or of all behind SOH or STX, ETX included.
Damage survived: bytes in any portions, noise between messages. A message whose parity or BCC is
wrong is handed on as `Damaged`, since its receiver may ask for it again. The length of a message
is told by its end only, so a damaged end, or noise that looks like a beginning, keeps the reader
waiting until it is told of a silence on the line (`receive_silence`; characters of one message
are at most 1500 ms apart).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.iec62056_21.bcc import SEVEN_BITS, compute_bcc, has_even_parity

SOH: Final = 0x01
STX: Final = 0x02
ETX: Final = 0x03
EOT: Final = 0x04
ACK: Final = 0x06
NAK: Final = 0x15
LINE_END: Final = b"\r\n"
MESSAGE_SIZE_MAX: Final = 65_536
"""More than any readout; a message that grows beyond is no message."""
LINE_SIZE_MAX: Final = 64
"""More than a sign-on (32 characters of address) or an identification (16) takes."""
ADDRESS_SIZE_MAX: Final = 32
IDENTIFICATION_SIZE_MAX: Final = 16
SPEEDS: Final[Mapping[str, int]] = MappingProxyType(
    {"0": 300, "1": 600, "2": 1200, "3": 2400, "4": 4800, "5": 9600, "6": 19200}
)
"""Speed character of mode C and its baud."""
REACTION_SLOW_MS: Final = 200
REACTION_FAST_MS: Final = 20

_MAKER_SIZE: Final = 3
_OPTION_SIZE: Final = 6
_NO_SPEED: Final = "/!?"
_FORBIDDEN_IN_ADDRESS: Final = frozenset("/!?()")


class Option(StrEnum):
    """Y of the option select: what follows."""

    READOUT = "0"
    PROGRAMMING = "1"
    BINARY = "2"
    """Mode E: HDLC."""


class CommandCode(StrEnum):
    """Commands of programming mode."""

    CHALLENGE = "P0"
    """From the meter: operand for a secure algorithm; the password may be its answer."""
    PASSWORD = "P1"  # noqa: S105 # the name of a command
    SECURE_PASSWORD = "P2"  # noqa: S105 # the name of a command
    WRITE = "W1"
    WRITE_FORMATTED = "W2"
    WRITE_PARTS = "W3"
    WRITE_FORMATTED_PARTS = "W4"
    WRITE_MAKER = "W5"
    READ = "R1"
    READ_FORMATTED = "R2"
    READ_PARTS = "R3"
    READ_FORMATTED_PARTS = "R4"
    READ_MAKER = "R5"
    EXECUTE = "E2"
    BREAK = "B0"


@dataclass(frozen=True, slots=True)
class SignOn:
    """The request message; no address means any meter."""

    address: str = ""

    def to_bytes(self) -> bytes:
        """Return the message.

        Raises:
            LocalProtocolError: If the address is too long, or has a character it cannot have.
        """
        is_legal = self.address.isascii() and not _FORBIDDEN_IN_ADDRESS & set(self.address)
        if len(self.address) > ADDRESS_SIZE_MAX or not is_legal:
            message = f"{self.address!r} is no address of a meter"
            raise LocalProtocolError(message)
        return b"/?" + self.address.encode("ascii") + b"!" + LINE_END


@dataclass(frozen=True, slots=True)
class Identification:
    """Who answers, and how fast it can speak."""

    maker: str
    """Three letters; the last in lower case tells of the fast reaction."""
    speed: str
    """A character of `SPEEDS` for mode C; others are of other modes."""
    text: str

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            LocalProtocolError: If one is wrong.
        """
        texts = self.maker + self.speed + self.text
        if (
            len(self.maker) != _MAKER_SIZE
            or not self.maker.isalpha()
            or len(self.speed) != 1
            or self.speed in _NO_SPEED
            or not (texts.isascii() and texts.isprintable())
        ):
            message = f"{texts!r} is no identification"
            raise LocalProtocolError(message)

    @property
    def baud(self) -> int | None:
        """Return the speed offered; `None` for a meter that is not of mode C."""
        return SPEEDS.get(self.speed)

    @property
    def reaction_ms(self) -> int:
        """Return how soon it may answer, and wants to be answered, at the earliest."""
        return REACTION_FAST_MS if self.maker[-1].islower() else REACTION_SLOW_MS

    def to_bytes(self) -> bytes:
        """Return the message."""
        return f"/{self.maker}{self.speed}{self.text}".encode("ascii") + LINE_END


@dataclass(frozen=True, slots=True)
class OptionSelect:
    """What the host chose: a speed character, and what follows."""

    speed: str
    option: Option

    def to_bytes(self) -> bytes:
        """Return the message.

        Raises:
            LocalProtocolError: If it is no speed of mode C.
        """
        if self.speed not in SPEEDS:
            message = f"{self.speed!r} is no speed character of mode C"
            raise LocalProtocolError(message)
        return bytes([ACK]) + f"0{self.speed}{self.option}".encode("ascii") + LINE_END


@dataclass(frozen=True, slots=True)
class Command:
    """A command of programming mode; `data` is all between STX and the end."""

    code: CommandCode
    data: str | None = None
    """`None` for one without STX, as the break."""
    is_last: bool = True
    """False where EOT tells that another part follows."""

    def to_bytes(self) -> bytes:
        """Return the message with its BCC.

        Raises:
            LocalProtocolError: If the data has a character it cannot have.
        """
        content = self.code.encode("ascii")
        if self.data is not None:
            content += bytes([STX]) + _encode_text(self.data)
        return bytes([SOH]) + _close(content, is_last=self.is_last)


@dataclass(frozen=True, slots=True)
class Block:
    """A readout, an answer, or a part of one; `data` is all between STX and the end."""

    data: str
    is_last: bool = True
    """False where EOT tells that another block follows."""

    def to_bytes(self) -> bytes:
        """Return the message with its BCC.

        Raises:
            LocalProtocolError: If the data has a character it cannot have.
        """
        return bytes([STX]) + _close(_encode_text(self.data), is_last=self.is_last)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """ACK, or NAK."""

    is_positive: bool

    def to_bytes(self) -> bytes:
        """Return the character."""
        return bytes([ACK if self.is_positive else NAK])


@dataclass(frozen=True, slots=True)
class Damaged:
    """A message came, and is not to be believed."""

    reason: str


Message = SignOn | Identification | OptionSelect | Command | Block | Acknowledgement


def _encode_text(text: str) -> bytes:
    if not text.isascii() or not all(char in "\r\n" or char.isprintable() for char in text):
        message = f"{text!r} has characters that no message carries"
        raise LocalProtocolError(message)
    return text.encode("ascii")


def _close(content: bytes, *, is_last: bool) -> bytes:
    closed = content + bytes([ETX if is_last else EOT])
    return closed + bytes([compute_bcc(closed)])


class MessageReader:
    """Finds messages in a stream of bytes.

    `has_parity` says that the bytes carry the parity of 7E1 in their top bit; without it, a top
    bit that is set is damage. `dropped_bytes` counts bytes between messages.
    """

    def __init__(self, *, has_parity: bool = False) -> None:
        self._has_parity = has_parity
        self._buffer = bytearray()
        self._faulty: set[int] = set()
        self._line_was_silent = False
        self.dropped_bytes = 0
        self.expects_option = False
        """Set by a meter that has identified itself: an ACK is the start of an option select."""

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions; call `next_message` until it returns `None`."""
        self._line_was_silent = False
        for octet in octets:
            is_right = has_even_parity(octet) if self._has_parity else octet <= SEVEN_BITS
            if not is_right:
                self._faulty.add(len(self._buffer))
            self._buffer.append(octet & SEVEN_BITS)

    def receive_silence(self) -> None:
        """Learn that the line was silent: what has begun will not be completed.

        Call `next_message` behind it, since a whole one may stand behind a beginning that was
        none.
        """
        self._line_was_silent = True

    def reset(self) -> None:
        """Forget all bytes that came, as after a time-out."""
        self._drop(len(self._buffer))

    def next_message(self) -> Message | Damaged | None:
        """Return the next whole message, or `None` until more bytes come."""
        self._skip_noise()
        size_bytes = self._find_size()
        while size_bytes is None and self._line_was_silent and self._buffer:
            self._drop(1)
            self._skip_noise()
            size_bytes = self._find_size()
        if size_bytes is None:
            return self._refuse_endless()
        octets = bytes(self._buffer[:size_bytes])
        is_faulty = any(place < size_bytes for place in self._faulty)
        self._shift(size_bytes)
        if is_faulty:
            return Damaged("the parity of a character is wrong")
        try:
            return _decode(octets)
        except (RemoteProtocolError, LocalProtocolError) as fault:
            return Damaged(str(fault))

    def _skip_noise(self) -> None:
        for place, octet in enumerate(self._buffer):
            if octet in _STARTS and place not in self._faulty:
                self._drop(place)
                return
        self._drop(len(self._buffer))

    def _find_size(self) -> int | None:
        """Return the size of the message that begins the buffer; `None` if it has no end yet."""
        start = self._buffer[0] if self._buffer else None
        if start in _LINE_STARTS or (start == ACK and self.expects_option):
            end = self._buffer.find(LINE_END)
            return None if end < 0 else end + len(LINE_END)
        if start in _BLOCK_STARTS:
            ends = [place for end in (ETX, EOT) if (place := self._buffer.find(end)) >= 0]
            size_bytes = min(ends, default=MESSAGE_SIZE_MAX) + 2
            return size_bytes if size_bytes <= len(self._buffer) else None
        return None if start is None else 1

    def _refuse_endless(self) -> Damaged | None:
        limit = MESSAGE_SIZE_MAX
        if self._buffer and self._buffer[0] not in _BLOCK_STARTS:
            limit = LINE_SIZE_MAX
        if len(self._buffer) <= limit:
            return None
        self.reset()
        return Damaged("a message has no end")

    def _drop(self, count: int) -> None:
        self.dropped_bytes += count
        self._shift(count)

    def _shift(self, count: int) -> None:
        del self._buffer[:count]
        self._faulty = {place - count for place in self._faulty if place >= count}


_LINE_STARTS: Final = frozenset(b"/")
_BLOCK_STARTS: Final = frozenset({SOH, STX})
_STARTS: Final = _LINE_STARTS | _BLOCK_STARTS | {ACK, NAK}


def _decode(octets: bytes) -> Message:
    match octets[0]:
        case 0x01 | 0x02:
            return _decode_block(octets)
        case 0x06 | 0x15 if len(octets) == 1:
            return Acknowledgement(octets[0] == ACK)
        case 0x06:
            return _decode_option(octets)
        case _:
            return _decode_line(octets[1 : -len(LINE_END)].decode("ascii"))


def _decode_block(octets: bytes) -> Command | Block:
    content, end, bcc = octets[1:-2], octets[-2], octets[-1]
    if compute_bcc(octets[1:-1]) != bcc:
        reason = "the block check character is wrong"
        raise RemoteProtocolError(reason, frame=octets)
    is_last = end == ETX
    if octets[0] == STX:
        return Block(content.decode("ascii"), is_last)
    code, stx, data = content[:2], content[2:3], content[3:]
    if stx not in {b"", bytes([STX])}:
        reason = "a command has no STX before its data"
        raise RemoteProtocolError(reason, frame=octets)
    try:
        command = CommandCode(code.decode("ascii"))
    except ValueError as error:
        reason = "there is no such command"
        raise RemoteProtocolError(reason, frame=octets) from error
    return Command(command, data.decode("ascii") if stx else None, is_last)


def _decode_option(octets: bytes) -> OptionSelect:
    text = octets[1 : -len(LINE_END)].decode("ascii")
    is_known = len(octets) == _OPTION_SIZE and text[0] == "0" and text[1] in SPEEDS
    if not is_known or text[2] not in set(Option):
        reason = "an option select is none of mode C"
        raise RemoteProtocolError(reason, frame=octets)
    return OptionSelect(text[1], Option(text[2]))


def _decode_line(text: str) -> SignOn | Identification:
    if text.startswith("?"):
        if not text.endswith("!"):
            reason = f"the sign-on {text!r} does not end with an exclamation mark"
            raise RemoteProtocolError(reason)
        return SignOn(text[1:-1])
    return Identification(text[:3], text[3:4], text[4:])

"""What is asked of a meter: each request as the data of its frame, and back.

DL/T 645-2007, clause 7. Every class here has its `function`, `to_data` and `from_data`;
`messages` makes frames of them. Ordinary writes carry `Credentials`: level and password
(PA P0 P1 P2) and operator (C0 C1 C2 C3).
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import ClassVar, Final, Self

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlt645.bcd import (
    MOMENT_SIZE_BYTES,
    decode_digits,
    decode_moment,
    encode_digits,
    encode_moment,
)
from meter_drivers.protocols.dlt645.frames import Address, Function
from meter_drivers.protocols.dlt645.identifiers import IDENTIFIER_MAX, IDENTIFIER_SIZE_BYTES

PASSWORD_SIZE_BYTES: Final = 3
OPERATOR_SIZE_BYTES: Final = 4
CREDENTIALS_SIZE_BYTES: Final = 1 + PASSWORD_SIZE_BYTES + OPERATOR_SIZE_BYTES
NO_OPERATOR: Final = bytes(OPERATOR_SIZE_BYTES)
EVERY_EVENT: Final = IDENTIFIER_MAX
"""The identifier that clears all events."""
LEVEL_TO_CLEAR: Final = 2
"""Weakest level that clears meter or events; 0 is the strongest."""
LEVEL_TO_WRITE: Final = 4
"""Weakest level that clears demand and writes ordinary parameters."""
CIPHERED_LEVELS: Final = frozenset({0x98, 0x99})
"""What stands for the level where a MAC guards the content, which may be ciphered too."""
_LEVEL_MAX: Final = 9
_EVERY: Final = "99"


class Speed(IntEnum):
    """The speed byte (通信速率特征字); bits, of which one is set."""

    BAUD_600 = 0x02
    BAUD_1200 = 0x04
    BAUD_2400 = 0x08
    BAUD_4800 = 0x10
    BAUD_9600 = 0x20
    BAUD_19200 = 0x40

    @property
    def baud(self) -> int:
        """Return it in bits a second."""
        return 300 * self


def encode_identifier(identifier: int) -> bytes:
    """Return a data identifier, low byte first.

    Raises:
        LocalProtocolError: If it does not fit into four bytes.
    """
    if not 0 <= identifier <= IDENTIFIER_MAX:
        message = f"{identifier} is no data identifier"
        raise LocalProtocolError(message)
    return identifier.to_bytes(IDENTIFIER_SIZE_BYTES, "little")


def decode_identifier(data: bytes) -> int:
    """Return the data identifier at the beginning of the data.

    Raises:
        RemoteProtocolError: If there are not four bytes.
    """
    if len(data) < IDENTIFIER_SIZE_BYTES:
        reason = "a data identifier is missing"
        raise RemoteProtocolError(reason, frame=data)
    return int.from_bytes(data[:IDENTIFIER_SIZE_BYTES], "little")


def check_size(data: bytes, *sizes: int) -> None:
    """Refuse data of another size.

    Raises:
        RemoteProtocolError: If it has none of the sizes.
    """
    if len(data) not in sizes:
        wanted = " or ".join(str(size) for size in sizes)
        reason = f"the data has {len(data)} bytes, not {wanted}"
        raise RemoteProtocolError(reason, frame=data)


@dataclass(frozen=True, slots=True)
class Credentials:
    """By what right something is written: level, password, operator (权限, 密码, 操作者代码)."""

    level: int
    password: bytes = field(repr=False)
    """Three bytes as sent: P0 P1 P2."""
    operator: bytes = NO_OPERATOR
    """Four bytes as sent: C0 C1 C2 C3."""

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            LocalProtocolError: If one is wrong, or there is no such level.
        """
        if not 0 <= self.level <= _LEVEL_MAX and self.level not in CIPHERED_LEVELS:
            message = f"there is no password level {self.level}"
            raise LocalProtocolError(message)
        sizes = (len(self.password), len(self.operator))
        if sizes != (PASSWORD_SIZE_BYTES, OPERATOR_SIZE_BYTES):
            message = "a password has three bytes, an operator code four"
            raise LocalProtocolError(message)

    @classmethod
    def from_digits(cls, level: int, password: str, operator: str = "00000000") -> Self:
        """Return credentials whose password and operator are written in digits, high first.

        Raises:
            LocalProtocolError: If they are not 6 and 8 digits, or there is no such level.
        """
        return cls(level, encode_digits(password), encode_digits(operator))

    def to_bytes(self) -> bytes:
        """Return PA P0 P1 P2 C0 C1 C2 C3."""
        return bytes([self.level]) + self.password + self.operator

    @classmethod
    def from_bytes(cls, octets: bytes) -> Self:
        """Return the credentials in eight bytes.

        Raises:
            RemoteProtocolError: If there are not eight, or the level is none.
        """
        check_size(octets, CREDENTIALS_SIZE_BYTES)
        password_end = 1 + PASSWORD_SIZE_BYTES
        try:
            return cls(octets[0], octets[1:password_end], octets[password_end:])
        except LocalProtocolError as error:
            raise RemoteProtocolError(str(error)) from error


@dataclass(frozen=True, slots=True)
class BroadcastTime:
    """Set the clock of all meters, by 5 minutes at most and once a day (广播校时); no reply."""

    moment: datetime
    function: ClassVar[Function] = Function.BROADCAST_TIME

    def to_data(self) -> bytes:
        """Return the local time as ss mm hh DD MM YY."""
        return encode_moment(self.moment)

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request.

        Raises:
            RemoteProtocolError: If it is no moment.
        """
        check_size(data, MOMENT_SIZE_BYTES)
        return cls(decode_moment(data))


@dataclass(frozen=True, slots=True)
class ReadData:
    """Read the data of an identifier (读数据); a load curve by number of blocks, or from when."""

    identifier: int
    block_count: int | None = None
    """Load curves only: how many blocks."""
    since: datetime | None = None
    """Load curves only, with a block count: from which minute."""
    function: ClassVar[Function] = Function.READ

    def to_data(self) -> bytes:
        """Return identifier, block count and minute.

        Raises:
            LocalProtocolError: If a minute is given without a count, or the count is none.
        """
        data = encode_identifier(self.identifier)
        if self.block_count is None:
            if self.since is not None:
                message = "a read from a moment on has a count of blocks"
                raise LocalProtocolError(message)
            return data
        if not 0 <= self.block_count <= _COUNT_MAX:
            message = f"{self.block_count} is no count of blocks"
            raise LocalProtocolError(message)
        since = b"" if self.since is None else encode_moment(self.since)[1:]
        return data + bytes([self.block_count]) + since

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request.

        Raises:
            RemoteProtocolError: If its size or its moment is none.
        """
        check_size(data, 4, 5, 10)
        identifier, count, since = decode_identifier(data), data[4:5], data[5:]
        return cls(
            identifier,
            count[0] if count else None,
            decode_moment(since) if since else None,
        )


_COUNT_MAX: Final = 0xFF


@dataclass(frozen=True, slots=True)
class ReadMore:
    """Read what did not fit into the frame before (读后续数据); `sequence` is 1 to 255."""

    identifier: int
    sequence: int
    function: ClassVar[Function] = Function.READ_MORE

    def to_data(self) -> bytes:
        """Return identifier and sequence."""
        return encode_identifier(self.identifier) + bytes([self.sequence])

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request.

        Raises:
            RemoteProtocolError: If its size is wrong.
        """
        check_size(data, 5)
        return cls(decode_identifier(data), data[4])


@dataclass(frozen=True, slots=True)
class ReadAddress:
    """Read the address of the only meter on the line (读通信地址)."""

    function: ClassVar[Function] = Function.READ_ADDRESS

    def to_data(self) -> bytes:
        """Return no bytes."""
        return b""

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request.

        Raises:
            RemoteProtocolError: If there is data.
        """
        check_size(data, 0)
        return cls()


@dataclass(frozen=True, slots=True)
class WriteAddress:
    """Give the only meter on the line its address (写通信地址); only with its button pressed."""

    address: Address
    function: ClassVar[Function] = Function.WRITE_ADDRESS

    def to_data(self) -> bytes:
        """Return the address.

        Raises:
            LocalProtocolError: If it is not one of a single meter.
        """
        if not self.address.is_single:
            message = f"{self.address} is not the address of one meter"
            raise LocalProtocolError(message)
        return self.address.octets

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request.

        Raises:
            RemoteProtocolError: If it is no address.
        """
        return cls(decode_address(data))


def decode_address(data: bytes) -> Address:
    """Return the address in data.

    Raises:
        RemoteProtocolError: If it is none of a single meter.
    """
    try:
        address = Address(data)
    except LocalProtocolError as error:
        raise RemoteProtocolError(str(error)) from error
    if not address.is_single:
        reason = f"{address} is not the address of one meter"
        raise RemoteProtocolError(reason)
    return address


@dataclass(frozen=True, slots=True)
class WriteData:
    """Write the data of an identifier (写数据)."""

    identifier: int
    credentials: Credentials
    octets: bytes
    """The value as `values.encode_value` makes it."""
    function: ClassVar[Function] = Function.WRITE

    def to_data(self) -> bytes:
        """Return identifier, credentials and value."""
        return encode_identifier(self.identifier) + self.credentials.to_bytes() + self.octets

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request.

        Raises:
            RemoteProtocolError: If identifier or credentials are not there.
        """
        end = IDENTIFIER_SIZE_BYTES + CREDENTIALS_SIZE_BYTES
        credentials = Credentials.from_bytes(data[IDENTIFIER_SIZE_BYTES:end])
        return cls(decode_identifier(data), credentials, data[end:])


@dataclass(frozen=True, slots=True)
class Freeze:
    """Keep a copy of the registers (冻结): at the time given, `None` standing for every one.

    All `None` is now; minute and hour given is every day; minute, hour and day every month.
    """

    month: int | None = None
    day: int | None = None
    hour: int | None = None
    minute: int | None = None
    function: ClassVar[Function] = Function.FREEZE

    def to_data(self) -> bytes:
        """Return mm hh DD MM, 99 standing for every one.

        Raises:
            LocalProtocolError: If one is out of range.
        """
        parts = (self.month, self.day, self.hour, self.minute)
        for part, limit in zip(parts, (12, 31, 23, 59), strict=True):
            if part is not None and not 0 <= part <= limit:
                message = f"{parts} is no time to freeze at"
                raise LocalProtocolError(message)
        return encode_digits("".join(_EVERY if part is None else f"{part:02d}" for part in parts))

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request.

        Raises:
            RemoteProtocolError: If it is no such time.
        """
        check_size(data, 4)
        digits = decode_digits(data)
        pairs = [digits[place : place + 2] for place in range(0, 8, 2)]
        return cls(*(None if pair == _EVERY else int(pair) for pair in pairs))


@dataclass(frozen=True, slots=True)
class ChangeSpeed:
    """Change the speed of the line (更改通信速率); holds behind the reply, which is at the old."""

    speed: Speed
    function: ClassVar[Function] = Function.CHANGE_SPEED

    def to_data(self) -> bytes:
        """Return the speed byte."""
        return bytes([self.speed])

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request.

        Raises:
            RemoteProtocolError: If it is no speed.
        """
        return cls(decode_speed(data))


def decode_speed(data: bytes) -> Speed:
    """Return the speed in one byte.

    Raises:
        RemoteProtocolError: If it is none.
    """
    check_size(data, 1)
    try:
        return Speed(data[0])
    except ValueError as error:
        reason = f"0x{data[0]:02X} is no speed"
        raise RemoteProtocolError(reason) from error


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Change the password of a level (修改密码); the old one may be of a stronger level."""

    old_level: int
    old: bytes = field(repr=False)
    new_level: int
    new: bytes = field(repr=False)
    function: ClassVar[Function] = Function.CHANGE_PASSWORD

    def to_data(self) -> bytes:
        """Return the identifier of the level's password, the old password and the new one.

        Raises:
            LocalProtocolError: If a password has no three bytes, or there is no such level.
        """
        old = Credentials(self.old_level, self.old).to_bytes()[:4]
        new = Credentials(self.new_level, self.new).to_bytes()[:4]
        return encode_identifier(PASSWORD_IDENTIFIER + self.new_level + 1) + old + new

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request.

        Raises:
            RemoteProtocolError: If it is none.
        """
        check_size(data, 12)
        return cls(data[4], data[5:8], data[8], data[9:])


PASSWORD_IDENTIFIER: Final = 0x04000C00
"""04000C01 is the password of level 0, 04000C02 that of level 1, and so on."""


@dataclass(frozen=True, slots=True)
class _Clearing:
    """Clears what its function says; nothing but the credentials goes with it."""

    credentials: Credentials

    def to_data(self) -> bytes:
        """Return the credentials."""
        return self.credentials.to_bytes()

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request."""
        return cls(Credentials.from_bytes(data))


@dataclass(frozen=True, slots=True)
class ClearDemand(_Clearing):
    """Clear the greatest demand (最大需量清零)."""

    function: ClassVar[Function] = Function.CLEAR_DEMAND


@dataclass(frozen=True, slots=True)
class ClearMeter(_Clearing):
    """Clear all registers (电表清零)."""

    function: ClassVar[Function] = Function.CLEAR_METER


@dataclass(frozen=True, slots=True)
class ClearEvents:
    """Clear the events of an identifier, or all (事件清零)."""

    credentials: Credentials
    identifier: int = EVERY_EVENT
    function: ClassVar[Function] = Function.CLEAR_EVENTS

    def to_data(self) -> bytes:
        """Return credentials and identifier."""
        return self.credentials.to_bytes() + encode_identifier(self.identifier)

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request."""
        credentials = Credentials.from_bytes(data[:CREDENTIALS_SIZE_BYTES])
        return cls(credentials, decode_identifier(data[CREDENTIALS_SIZE_BYTES:]))

"""Remote control (远程控制, function 1C): the relay, the alarm, keeping the power on.

DL/T 645-2007, clause 7, and the State Grid rules of 2013 and 2014. The data is, before the offset:

    PA P0 P1 P2 | C0 C1 C2 C3 | N1 command | N2 argument | N3-N8 end of validity, ss mm hh DD MM YY

A meter refuses a command past its validity, so its clock is read, and set, first. Under level 98
everything behind the operator is ciphered and guarded by a MAC, and an identity session comes
before it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import ClassVar, Final, Self

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlt645.bcd import MOMENT_SIZE_BYTES, decode_moment, encode_moment
from meter_drivers.protocols.dlt645.frames import Function
from meter_drivers.protocols.dlt645.requests import (
    CIPHERED_LEVELS,
    CREDENTIALS_SIZE_BYTES,
    NO_OPERATOR,
    PASSWORD_SIZE_BYTES,
    Credentials,
    check_size,
)

CONTROL_SIZE_BYTES: Final = 2 + MOMENT_SIZE_BYTES
"""N1 to N8."""
CIPHERED_LEVEL: Final = 0x98
_ARGUMENT_MAX: Final = 0xFF


class ControlCommand(IntEnum):
    """N1: what the meter is told to do."""

    TRIP = 0x1A
    """跳闸"""
    ALLOW_CLOSE = 0x1B
    """合闸允许: the customer presses the button."""
    CLOSE = 0x1C
    """直接合闸"""
    WARN_THEN_CLOSE = 0x1D
    """预跳闸: a warning before a trip; direct close later."""
    WARN_THEN_ALLOW_CLOSE = 0x1E
    """预跳闸: a warning before a trip; the customer's button later."""
    ALARM = 0x2A
    """报警"""
    END_ALARM = 0x2B
    """报警解除"""
    KEEP_POWER = 0x3A
    """保电: no trip until this ends."""
    END_KEEP_POWER = 0x3B
    """保电解除"""
    RESET_MODULE = 0x4A
    """Of one maker."""


@dataclass(frozen=True, slots=True)
class RemoteControl:
    """A command by password, good until a moment of the meter's clock."""

    credentials: Credentials
    command: ControlCommand
    valid_until: datetime | None
    """`None`: all zero, which only meters that do not check it take."""
    argument: int = 0
    """N2: nothing, a channel, or how long to hold, by maker."""
    function: ClassVar[Function] = Function.REMOTE_CONTROL

    def to_data(self) -> bytes:
        """Return credentials and N1 to N8."""
        return self.credentials.to_bytes() + self.to_block()

    def to_block(self) -> bytes:
        """Return N1 to N8, which is what level 98 ciphers.

        Raises:
            LocalProtocolError: If the argument is no byte.
        """
        if not 0 <= self.argument <= _ARGUMENT_MAX:
            message = f"{self.argument} does not fit into N2"
            raise LocalProtocolError(message)
        until = bytes(MOMENT_SIZE_BYTES)
        if self.valid_until is not None:
            until = encode_moment(self.valid_until)
        return bytes([self.command, self.argument]) + until

    @classmethod
    def from_block(cls, credentials: Credentials, block: bytes) -> Self:
        """Return the command in N1 to N8.

        Raises:
            RemoteProtocolError: If there is no such command, or no such moment.
        """
        check_size(block, CONTROL_SIZE_BYTES)
        try:
            command = ControlCommand(block[0])
        except ValueError as error:
            reason = f"there is no remote control 0x{block[0]:02X}"
            raise RemoteProtocolError(reason, frame=block) from error
        until = block[2:]
        return cls(credentials, command, decode_moment(until) if any(until) else None, block[1])


@dataclass(frozen=True, slots=True)
class SealedControl:
    """A command ciphered and with its MAC, as a signer made it."""

    sealed: bytes
    operator: bytes = NO_OPERATOR
    level: int = CIPHERED_LEVEL
    function: ClassVar[Function] = Function.REMOTE_CONTROL

    def to_data(self) -> bytes:
        """Return the level, no password, the operator, and what is sealed."""
        credentials = Credentials(self.level, bytes(PASSWORD_SIZE_BYTES), self.operator)
        return credentials.to_bytes() + self.sealed


def decode_control(data: bytes) -> RemoteControl | SealedControl:
    """Return the remote control in the data of a frame.

    Raises:
        RemoteProtocolError: If it is none.
    """
    credentials = Credentials.from_bytes(data[:CREDENTIALS_SIZE_BYTES])
    rest = data[CREDENTIALS_SIZE_BYTES:]
    if credentials.level in CIPHERED_LEVELS:
        if not rest:
            reason = "a sealed remote control is empty"
            raise RemoteProtocolError(reason, frame=data)
        return SealedControl(rest, credentials.operator, credentials.level)
    return RemoteControl.from_block(credentials, rest)

"""A session of IEC 62056-21 mode C, as a host and as a meter (clause 6.4).

Laws:
- bytes go out where a method returns them; the speed of the line changes where `SpeedChange`
  comes out of `next_event`: the owner changes it once all bytes before it have left the line;
- nothing is sent again by itself. What is damaged is told as `DamagedReceived`; `repeat_please`
  asks for it again (NAK), which makes a meter send its last block again and do nothing else;
- parts of an answer are put together; their acknowledgements are `FollowOnNeeded`;
- no clock: the owner holds the deadlines below, and calls `reset` when the session is lost.

Host:
    idle         sign_on              -> signing on
    signing on   identification       -> identified
    identified   select(readout)      -> reading out, with a change of speed
    identified   select(programming)  -> opening, with a change of speed
    reading out  the readout          -> idle, at 300 baud again
    opening      challenge (P0)       -> programming
    programming  order(...)           -> waiting, and programming with the answer
    any          break_off            -> idle, with a change of speed
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.iec62056_21.bcc import add_even_parity
from meter_drivers.protocols.iec62056_21.data_lines import (
    DataSet,
    find_error,
    parse_data,
)
from meter_drivers.protocols.iec62056_21.messages import (
    SPEEDS,
    Acknowledgement,
    Block,
    Command,
    CommandCode,
    Damaged,
    Identification,
    Message,
    MessageReader,
    Option,
    OptionSelect,
    SignOn,
)

START_BAUD: Final = 300
REACTION_MAX_MS: Final = 1500
"""Latest beginning of an answer."""
CHARACTER_GAP_MAX_MS: Final = 1500
"""Longest pause inside a message."""
SESSION_TIMEOUT_MIN_S: Final = 60
SESSION_TIMEOUT_MAX_S: Final = 120
"""A meter ends a session that was idle for a time between these two."""
BLOCKS_MAX: Final = 1024
"""More parts than any answer has."""


@dataclass(frozen=True, slots=True)
class SpeedChange:
    """The line is to have this speed from here on, once what was sent has left it."""

    baud: int


@dataclass(frozen=True, slots=True)
class FollowOnNeeded:
    """Another block waits: send these bytes."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class DamagedReceived:
    """A message came that is not to be believed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Identified:
    """A meter signed on."""

    identification: Identification


@dataclass(frozen=True, slots=True)
class DataReceived:
    """A readout, or the answer to a read."""

    data_sets: tuple[DataSet, ...]


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The meter refused what was ordered, in its own words (`ER...`)."""

    text: str


@dataclass(frozen=True, slots=True)
class Challenged:
    """Programming mode is open; the operand may go into the password."""

    data_sets: tuple[DataSet, ...]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """ACK to what was ordered, or NAK: not understood, or not allowed."""

    is_positive: bool


@dataclass(frozen=True, slots=True)
class BreakReceived:
    """The other side ended the session."""


HostEvent = (
    SpeedChange
    | FollowOnNeeded
    | DamagedReceived
    | Identified
    | DataReceived
    | ErrorReceived
    | Challenged
    | Acknowledged
    | BreakReceived
)


class HostState(Enum):
    """Where a host is in its session."""

    IDLE = auto()
    SIGNING_ON = auto()
    IDENTIFIED = auto()
    READING_OUT = auto()
    OPENING = auto()
    PROGRAMMING = auto()
    WAITING = auto()


class HostConnection:
    """The side that reads; see the module for its laws. `has_parity`: 7E1 in 8-bit bytes."""

    def __init__(self, *, has_parity: bool = False) -> None:
        self.state = HostState.IDLE
        self._has_parity = has_parity
        self._reader = MessageReader(has_parity=has_parity)
        self._identification: Identification | None = None
        self._baud = START_BAUD
        self._next_baud = START_BAUD
        self._parts: list[str] = []

    @property
    def dropped_bytes(self) -> int:
        """Return how many bytes belonged to no message, ever."""
        return self._reader.dropped_bytes

    def sign_on(self, address: str = "") -> bytes:
        """Return the sign-on, sent at 300 baud.

        Raises:
            LocalProtocolError: If a session is on, or the address is none.
        """
        self._require(HostState.IDLE)
        octets = self._to_line(SignOn(address))
        self._reader.reset()
        self.state = HostState.SIGNING_ON
        return octets

    def select(self, option: Option, *, speed: str | None = None) -> bytes:
        """Return the option select, at the meter's speed or a given one; `SpeedChange` follows.

        Raises:
            LocalProtocolError: If no meter is identified, or it offers no speed of mode C, or
                the option is binary mode, which is not of this protocol.
        """
        self._require(HostState.IDENTIFIED)
        assert self._identification is not None, "the state says so"
        if option is Option.BINARY:
            message = "binary mode is HDLC, and not spoken here"
            raise LocalProtocolError(message)
        chosen = speed or self._identification.speed
        octets = self._to_line(OptionSelect(chosen, option))
        self._next_baud = SPEEDS[chosen]
        is_readout = option is Option.READOUT
        self.state = HostState.READING_OUT if is_readout else HostState.OPENING
        return octets

    def order(self, command: Command) -> bytes:
        """Return a command of programming mode.

        Raises:
            LocalProtocolError: If the mode is not open or an answer is awaited, or it is the
                break, or it cannot be written.
        """
        self._require(HostState.PROGRAMMING)
        if command.code is CommandCode.BREAK:
            message = "a session is ended by break_off"
            raise LocalProtocolError(message)
        octets = self._to_line(command)
        self._parts.clear()
        self.state = HostState.WAITING
        return octets

    def repeat_please(self) -> bytes:
        """Return NAK: the meter sends its last block again.

        Raises:
            LocalProtocolError: If no block is awaited.
        """
        self._require(HostState.READING_OUT, HostState.OPENING, HostState.WAITING)
        return self._to_line(Acknowledgement(is_positive=False))

    def break_off(self) -> bytes:
        """Return the break, which ends the session; `SpeedChange` to 300 baud follows."""
        octets = self._to_line(Command(CommandCode.BREAK))
        self.reset()
        return octets

    def reset(self) -> None:
        """Forget the session, as after a time-out; the line goes back to 300 baud."""
        self.state = HostState.IDLE
        self._next_baud = START_BAUD
        self._reader.reset()
        self._parts.clear()

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions; call `next_event` until it returns `None`."""
        self._reader.receive_data(octets)

    def receive_silence(self) -> None:
        """Learn that the line was silent for longer than a message allows; look for events."""
        self._reader.receive_silence()

    def next_event(self) -> HostEvent | None:
        """Return what came or is to be done, or `None` until more bytes come.

        Raises:
            RemoteProtocolError: If the meter says what it cannot say here; the session is over.
        """
        if self._baud != self._next_baud:
            self._baud = self._next_baud
            return SpeedChange(self._baud)
        message = self._reader.next_message()
        while message is not None and self.state is HostState.IDLE:
            message = self._reader.next_message()
        if message is None:
            return None
        if isinstance(message, Damaged):
            return DamagedReceived(message.reason)
        try:
            return self._take(message)
        except RemoteProtocolError:
            self.reset()
            raise

    def _take(self, message: Message) -> HostEvent | None:
        match self.state, message:
            case HostState.SIGNING_ON, SignOn():
                return self.next_event()  # our own echo
            case HostState.SIGNING_ON, Identification():
                self._identification = message
                self.state = HostState.IDENTIFIED
                return Identified(message)
            case HostState.READING_OUT | HostState.WAITING, Block():
                return self._take_block(message)
            case HostState.OPENING, Command(code=CommandCode.CHALLENGE):
                self.state = HostState.PROGRAMMING
                return Challenged(parse_data(message.data or ""))
            case HostState.WAITING, Acknowledgement():
                self.state = HostState.PROGRAMMING
                return Acknowledged(message.is_positive)
            case _, Command(code=CommandCode.BREAK):
                self.reset()
                return BreakReceived()
            case _:
                reason = f"{type(message).__name__} comes while {self.state.name.lower()}"
                raise RemoteProtocolError(reason)

    def _take_block(self, block: Block) -> HostEvent:
        self._parts.append(block.data)
        if not block.is_last:
            if len(self._parts) > BLOCKS_MAX:
                reason = "an answer has no end"
                raise RemoteProtocolError(reason)
            return FollowOnNeeded(self._to_line(Acknowledgement(is_positive=True)))
        data_sets = parse_data("".join(self._parts))
        self._parts.clear()
        if self.state is HostState.READING_OUT:
            self.reset()
        else:
            self.state = HostState.PROGRAMMING
        error = find_error(data_sets)
        return DataReceived(data_sets) if error is None else ErrorReceived(error)

    def _require(self, *states: HostState) -> None:
        """Refuse what is out of turn.

        Raises:
            LocalProtocolError: If the session is in none of these states.
        """
        if self.state not in states:
            message = f"this cannot be said while {self.state.name.lower().replace('_', ' ')}"
            raise LocalProtocolError(message)

    def _to_line(self, message: Message) -> bytes:
        octets = message.to_bytes()
        return add_even_parity(octets) if self._has_parity else octets

"""A session of IEC 62056-21 mode C on the side of the meter (clause 6.4).

    idle         sign-on to it              -> signed on: `SignedOn`; answer with `identify`
    identified   option select, readout     -> readout: `Selected`, `SpeedChange`; `send_readout`
    identified   option select, programming -> programming: the same; `challenge`
    programming  command                    -> `Ordered`; `answer`, `acknowledge` or `refuse`
    programming  ACK                        -> next part of the answer: `ReplyReady`
    any          NAK                        -> the last block again: `ReplyReady`
    any          break                      -> idle: `BreakReceived`, `SpeedChange`

A speed that was not offered is not taken: the meter stays at 300 baud and reads out, as the
standard has it. What is damaged or out of turn is answered with NAK in programming mode, and with
silence elsewhere. After a session idled away, its owner calls `reset`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from meter_drivers.errors import LocalProtocolError
from meter_drivers.protocols.iec62056_21.bcc import add_even_parity
from meter_drivers.protocols.iec62056_21.connection import (
    START_BAUD,
    BreakReceived,
    SpeedChange,
)
from meter_drivers.protocols.iec62056_21.data_lines import ERROR_PREFIX
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


@dataclass(frozen=True, slots=True)
class SignedOn:
    """A host asks for this meter, or for any."""

    address: str


@dataclass(frozen=True, slots=True)
class Selected:
    """The host chose what follows."""

    option: Option


@dataclass(frozen=True, slots=True)
class Ordered:
    """A command of programming mode."""

    command: Command


@dataclass(frozen=True, slots=True)
class ReplyReady:
    """Bytes to send that need no decision: the next part, the last block again, or NAK."""

    octets: bytes


MeterEvent = SpeedChange | SignedOn | Selected | Ordered | ReplyReady | BreakReceived


class MeterState(Enum):
    """Where a meter is in its session."""

    IDLE = auto()
    SIGNED_ON = auto()
    IDENTIFIED = auto()
    READOUT = auto()
    PROGRAMMING = auto()


class MeterConnection:
    """The side of a meter; see the module for its laws. `has_parity`: 7E1 in 8-bit bytes."""

    def __init__(
        self, identification: Identification, *, address: str = "", has_parity: bool = False
    ) -> None:
        self.identification = identification
        self.address = address
        self.state = MeterState.IDLE
        self._has_parity = has_parity
        self._reader = MessageReader(has_parity=has_parity)
        self._baud = START_BAUD
        self._next_baud = START_BAUD
        self._rest: deque[Block] = deque()
        self._last: Message | None = None

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions; call `next_event` until it returns `None`."""
        self._reader.receive_data(octets)

    def receive_silence(self) -> None:
        """Learn that the line was silent for longer than a message allows; look for events."""
        self._reader.receive_silence()

    def reset(self) -> None:
        """Forget the session, as after it idled away; the line goes back to 300 baud."""
        self._end_session()
        self._reader.reset()

    def _end_session(self) -> None:
        self.state = MeterState.IDLE
        self._next_baud = START_BAUD
        self._reader.expects_option = False
        self._rest.clear()
        self._last = None

    def next_event(self) -> MeterEvent | None:
        """Return what came or is to be done, or `None` until more bytes come."""
        if self._baud != self._next_baud:
            self._baud = self._next_baud
            return SpeedChange(self._baud)
        while (message := self._reader.next_message()) is not None:
            if event := self._take(message):
                return event
        return None

    def identify(self) -> bytes:
        """Return the identification.

        Raises:
            LocalProtocolError: If nobody signed on.
        """
        self._require(MeterState.SIGNED_ON)
        self.state = MeterState.IDENTIFIED
        self._reader.expects_option = True
        return self._to_line(self.identification)

    def send_readout(self, data: str) -> bytes:
        """Return the readout, its data as `write_readout` makes it.

        The session is over with it, but a NAK brings it again: the owner calls `reset` where none
        comes within `REACTION_MAX_MS`, and the line is at 300 baud again.

        Raises:
            LocalProtocolError: If no readout is asked for.
        """
        self._require(MeterState.READOUT)
        return self._send(Block(data))

    def challenge(self, operand: str = "") -> bytes:
        """Return P0, which opens programming mode.

        Raises:
            LocalProtocolError: If programming mode was not chosen.
        """
        self._require(MeterState.PROGRAMMING)
        return self._send(Command(CommandCode.CHALLENGE, f"({operand})"))

    def answer(self, parts: Sequence[str]) -> bytes:
        """Return the first part of an answer; the others follow as they are acknowledged.

        Raises:
            LocalProtocolError: If programming mode is not on, or there is no part.
        """
        self._require(MeterState.PROGRAMMING)
        if not parts:
            message = "an answer has at least one part"
            raise LocalProtocolError(message)
        blocks = [Block(part, is_last=False) for part in parts[:-1]]
        self._rest = deque([*blocks, Block(parts[-1])])
        return self._send(self._rest.popleft())

    def acknowledge(self, *, is_positive: bool = True) -> bytes:
        """Return ACK: it was done; or NAK: it was not understood or not allowed.

        Raises:
            LocalProtocolError: If programming mode is not on.
        """
        self._require(MeterState.PROGRAMMING)
        return self._to_line(Acknowledgement(is_positive))

    def refuse(self, text: str) -> bytes:
        """Return an error in brackets; `ER` is put before it where it is missing.

        Raises:
            LocalProtocolError: If programming mode is not on.
        """
        self._require(MeterState.PROGRAMMING)
        prefix = "" if text.startswith(ERROR_PREFIX) else ERROR_PREFIX
        return self._send(Block(f"({prefix}{text})"))

    def _take(self, message: Message | Damaged) -> MeterEvent | None:
        match self.state, message:
            case _, SignOn() if self._is_meant(message):
                self._end_session()
                self.state = MeterState.SIGNED_ON
                return SignedOn(message.address)
            case MeterState.IDENTIFIED, OptionSelect():
                return self._take_option(message)
            case _, Command(code=CommandCode.BREAK):
                self._end_session()
                return BreakReceived()
            case MeterState.PROGRAMMING, Command():
                self._rest.clear()
                return Ordered(message)
            case _, Acknowledgement(is_positive=True) if self._rest:
                return ReplyReady(self._send(self._rest.popleft()))
            case _, Acknowledgement(is_positive=False) if self._last is not None:
                return ReplyReady(self._to_line(self._last))
            case MeterState.PROGRAMMING, Damaged():
                return ReplyReady(self._to_line(Acknowledgement(is_positive=False)))
            case _:
                return None

    def _take_option(self, chosen: OptionSelect) -> Selected:
        self._reader.expects_option = False
        is_offered = chosen.speed == self.identification.speed
        is_programming = is_offered and chosen.option is Option.PROGRAMMING
        self.state = MeterState.PROGRAMMING if is_programming else MeterState.READOUT
        if is_offered:
            self._next_baud = SPEEDS[chosen.speed]
        return Selected(Option.PROGRAMMING if is_programming else Option.READOUT)

    def _is_meant(self, message: SignOn) -> bool:
        asked = message.address.lstrip("0")
        return not message.address or asked == self.address.lstrip("0")

    def _require(self, state: MeterState) -> None:
        """Refuse what is out of turn.

        Raises:
            LocalProtocolError: If the session is in another state.
        """
        if self.state is not state:
            message = f"this cannot be said while {self.state.name.lower().replace('_', ' ')}"
            raise LocalProtocolError(message)

    def _send(self, message: Message) -> bytes:
        octets = self._to_line(message)
        self._last = message
        return octets

    def _to_line(self, message: Message) -> bytes:
        octets = message.to_bytes()
        return add_even_parity(octets) if self._has_parity else octets

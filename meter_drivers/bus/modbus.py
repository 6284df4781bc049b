"""Modbus on a line: what is asked again, and what a write comes to.

The line itself, its pauses and its quarantine, is `bus.line`. Here stands:
- **a write leaves at most once**. Whatever goes wrong after its first byte ends as `Unknown`: a
  timeout, a broken line, a garbled answer, an answer of another meter, and the exceptions with
  which a gateway or a busy meter leaves it open (`UNDECIDED_EXCEPTIONS`);
- a read is asked at most `READ_ATTEMPTS_MAX` times, and only where that can help.

An RTU answer carries no number of its request: the quarantine, and the byte count that
`protocols.modbus.frames` compares, keep a late one from being taken for the next.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from meter_drivers.bus.line import LineOwner, MeterTiming, Sending
from meter_drivers.bus.turns import Urgency
from meter_drivers.capabilities import Done, Refused, Unknown
from meter_drivers.errors import DriverError, MeterRefusedError, RemoteProtocolError
from meter_drivers.protocols.modbus.frames import (
    Answer,
    ExceptionAnswer,
    Framing,
    ReadRequest,
    RegistersRead,
    RegistersWritten,
    Request,
    WriteRequest,
    next_transaction,
)
from meter_drivers.transports.port import Timer

READ_ATTEMPTS_MAX: Final = 3
"""The first, and two more: a glitch and a collision."""
FRAME_SIZE_MAX: Final = 260
_SHOWN_OF_WRITE: Final = 7
"""Of a write a trace shows where it goes: it may carry a token or a credit order."""

EXCEPTIONS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        0x01: ("illegal_function", "the meter does not know this function"),
        0x02: ("illegal_address", "the meter has no such register"),
        0x03: ("illegal_value", "the meter does not take this value"),
        0x04: ("device_failure", "the meter failed while it carried out the request"),
        0x05: ("acknowledge", "the meter began and needs longer"),
        0x06: ("device_busy", "the meter is busy with something else"),
        0x08: ("memory_parity", "the meter found its memory damaged"),
        0x0A: ("gateway_path", "the gateway has no path to the meter"),
        0x0B: ("gateway_no_answer", "the gateway got no answer from the meter"),
    }
)
"""Exception codes (Modbus Application Protocol V1.1b3, 7)."""

UNDECIDED_EXCEPTIONS: Final = frozenset({0x04, 0x05, 0x08, 0x0A, 0x0B})
"""After these a write may have happened: gateways send 0x0A and 0x0B although the meter heard."""
PASSING_EXCEPTIONS: Final = frozenset({0x05, 0x06, 0x0A, 0x0B})
"""After these a read may be asked again."""

WriteResult = Done[None] | Refused | Unknown


class ModbusBus:
    """Sends requests to the meters of one line, for any number of threads."""

    def __init__(self, line: LineOwner, framing: Framing) -> None:
        self.line = line
        self._framing = framing
        self._transaction = 0

    @property
    def link(self) -> str:
        """Return what messages call this line."""
        return self.line.link

    @property
    def timer(self) -> Timer:
        """Return the timer of this line."""
        return self.line.timer

    def read(
        self, request: ReadRequest, timing: MeterTiming, urgency: Urgency = Urgency.READ
    ) -> tuple[int, ...]:
        """Return the registers of a read, asked again where that can help.

        Raises:
            DriverError: If no attempt brings them.
        """
        attempt = 1
        while True:
            with self.line.turn(urgency, request.unit, timing):
                try:
                    return self._read_once(request, timing)
                except DriverError as error:
                    if not error.retryable or attempt == READ_ATTEMPTS_MAX:
                        raise
            attempt += 1

    def write(self, request: WriteRequest, timing: MeterTiming, urgency: Urgency) -> WriteResult:
        """Send a write once, and return what is known of it.

        Raises:
            DriverError: If not one byte of it left.
        """
        with self.line.turn(urgency, request.unit, timing):
            try:
                answer = self._exchange(request, timing)
            except DriverError as error:
                return Unknown(str(error))
        if isinstance(answer, ExceptionAnswer):
            reason, meaning = _explain(answer.code)
            if answer.code in UNDECIDED_EXCEPTIONS:
                return Unknown(f"{meaning} ({reason})")
            return Refused(reason, meaning)
        assert isinstance(answer, RegistersWritten), "a receiver gives answers to its request"
        return Done(None)

    def _read_once(self, request: ReadRequest, timing: MeterTiming) -> tuple[int, ...]:
        answer = self._exchange(request, timing)
        if isinstance(answer, ExceptionAnswer):
            reason, meaning = _explain(answer.code)
            if answer.code in PASSING_EXCEPTIONS:
                message = f"{meaning} ({reason})"
                raise RemoteProtocolError(message)
            raise MeterRefusedError(reason, meaning)
        assert isinstance(answer, RegistersRead), "a receiver gives answers to its request"
        return answer.words

    def _exchange(self, request: Request, timing: MeterTiming) -> Answer:
        """Send a request and return its answer; only within a turn.

        Raises:
            DriverError: If no clean answer comes.
        """
        self._transaction = next_transaction(self._transaction)
        sending: Sending[Answer] = Sending(
            self._framing.encode(request, transaction=self._transaction),
            self._framing.receiver(request, transaction=self._transaction),
            shown_size=_SHOWN_OF_WRITE if isinstance(request, WriteRequest) else None,
        )
        answer = self.line.exchange(sending, timing)
        if isinstance(answer, ExceptionAnswer) and answer.code in PASSING_EXCEPTIONS:
            # The meter itself may still answer, after its gateway gave up on it.
            self.line.distrust(timing)
        return answer


def _explain(code: int) -> tuple[str, str]:
    return EXCEPTIONS.get(code, (f"exception_{code:02x}", f"exception 0x{code:02X}"))

"""DL/T 645 on a line: what is asked again, and what an order comes to.

The line itself, its pauses and its quarantine, is `bus.line`. Here stands:
- **an order leaves at most once**: whatever goes wrong after its first byte ends as `Unknown`;
- a question is asked at most `READ_ATTEMPTS_MAX` times, and only where that can help;
- follow-on frames are fetched one by one in the turn of the read they belong to;
- a refusal is what the meter said, and no proof that nothing happened: read back.

Frames carry address, function and identifier, which `protocols.dlt645.connection` compares; an
answer to the same question that comes late is what the quarantine is for.
"""

from dataclasses import dataclass
from typing import Final

from meter_drivers.bus.line import LineOwner, MeterTiming, Sending
from meter_drivers.bus.turns import Urgency
from meter_drivers.capabilities import Done, Refused, Unknown
from meter_drivers.errors import DriverError, MeterRefusedError
from meter_drivers.protocols.dlt645.connection import Answered, ClientConnection, FollowOnNeeded
from meter_drivers.protocols.dlt645.frames import LEADER_COUNT, Address, Function
from meter_drivers.protocols.dlt645.messages import Answer, Request
from meter_drivers.protocols.dlt645.messages import Refused as RefusedAnswer
from meter_drivers.protocols.dlt645.refusals import Refusal, explain
from meter_drivers.transports.port import Timer

READ_ATTEMPTS_MAX: Final = 3
"""The first, and two more: a glitch and a collision."""
_SHOWN_OF_SECRET: Final = LEADER_COUNT + 10
"""Of what carries passwords, ciphers and MACs a trace shows the head: to whom, which function."""
_OPEN_FUNCTIONS: Final = frozenset({Function.READ, Function.READ_MORE, Function.READ_ADDRESS})

OrderResult = Done[Answer] | Refused | Unknown


class DLT645Bus:
    """Sends requests to the meters of one line, for any number of threads."""

    def __init__(self, line: LineOwner) -> None:
        self.line = line

    @property
    def link(self) -> str:
        """Return what messages call this line."""
        return self.line.link

    @property
    def timer(self) -> Timer:
        """Return the timer of this line."""
        return self.line.timer

    def ask(
        self,
        address: Address,
        request: Request,
        timing: MeterTiming,
        urgency: Urgency = Urgency.READ,
    ) -> Answer:
        """Return the answer to a question, asked again where that can help.

        Only for requests that change nothing, or the same however often they come.

        Raises:
            DriverError: If no attempt brings it.
            MeterRefusedError: If the meter says no.
        """
        answer = self._ask(address, request, timing, urgency)
        if isinstance(answer, RefusedAnswer):
            raise MeterRefusedError(name_refusal(answer.refusal), explain(answer.refusal))
        return answer

    def order(
        self, address: Address, request: Request, timing: MeterTiming, urgency: Urgency
    ) -> OrderResult:
        """Send an order once, and return what is known of it.

        Raises:
            DriverError: If not one byte of it left.
        """
        prepared = _prepare(address, request)
        with self.line.turn(urgency, address, timing):
            try:
                answer = self._exchange(prepared, timing)
            except DriverError as error:
                return Unknown(str(error))
        if isinstance(answer, RefusedAnswer):
            return Refused(name_refusal(answer.refusal), explain(answer.refusal))
        return Done(answer)

    def _ask(
        self, address: Address, request: Request, timing: MeterTiming, urgency: Urgency
    ) -> Answer:
        attempt = 1
        while True:
            with self.line.turn(urgency, address, timing):
                try:
                    return self._exchange(_prepare(address, request), timing)
                except DriverError as error:
                    if not error.retryable or attempt == READ_ATTEMPTS_MAX:
                        raise
            attempt += 1

    def _exchange(self, prepared: "_Prepared", timing: MeterTiming) -> Answer:
        """Send a request and return its whole answer; only within a turn."""
        octets = prepared.octets
        while True:
            sending: Sending[Answered | FollowOnNeeded] = Sending(
                octets, _Receiver(prepared.connection), prepared.shown_size
            )
            event = self.line.exchange(sending, timing)
            if isinstance(event, Answered):
                return event.answer
            octets = event.octets


@dataclass(frozen=True, slots=True)
class _Prepared:
    connection: ClientConnection
    octets: bytes
    shown_size: int | None


def _prepare(address: Address, request: Request) -> _Prepared:
    """Return a request ready to leave; what cannot be sent is refused here, before it could."""
    connection = ClientConnection(address)
    shown_size = None if request.function in _OPEN_FUNCTIONS else _SHOWN_OF_SECRET
    return _Prepared(connection, connection.send(request), shown_size)


class _Receiver:
    """Finds the answer of one exchange; a follow-on frame that is needed counts as one."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def receive_data(self, data: bytes) -> None:
        """Take what came, in any portions."""
        self._connection.receive_data(data)

    def next_answer(self) -> Answered | FollowOnNeeded | None:
        """Return what came if it is whole."""
        return self._connection.next_event()


def name_refusal(refusal: Refusal) -> str:
    """Return the names of the bits set, as a stable code; a bit without name by its number."""
    kind = type(refusal)
    bits = [index for index in range(refusal.bit_length()) if refusal >> index & 1]
    names = [(kind(1 << index).name or f"bit_{index}").lower() for index in bits]
    return "+".join(names) or "no_reason"

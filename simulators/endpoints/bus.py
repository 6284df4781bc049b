"""A Modbus line with several meters on it: who answers, and what the line does to the answer.

One line, one bus: meters of one RS-485 line are units of one bus and never several servers on
one port, because each would take the others' answers for requests. An id with no meter is
silent, as on copper.
"""

from collections.abc import Mapping
from typing import Protocol

from simulators.endpoints.conversation import (
    Carrier,
    Conversation,
    Exchange,
    HangUpError,
    Listener,
    take_no_notice,
)
from simulators.endpoints.modbus_frames import (
    BrokenStreamError,
    Request,
    RTUServerFraming,
    TCPServerFraming,
)
from simulators.endpoints.modbus_server import RegisterBank, answer_request
from simulators.faults import Fault, FaultPlan, Transmission


class Framing(Protocol):
    """How requests and answers stand on a line."""

    def receive_data(self, data: bytes) -> list[Request]:
        """Return the requests that are whole with these bytes."""
        ...

    def reset(self) -> None:
        """Forget half a frame after a silence."""
        ...

    def encode(self, request: Request, pdu: bytes) -> bytes:
        """Return the frame that answers a request."""
        ...


class Bus:
    """The meters of one line by unit id, and the faults of the line."""

    def __init__(self, units: Mapping[int, RegisterBank], faults: FaultPlan) -> None:
        self._units = units
        self.faults = faults
        self.listener: Listener = take_no_notice

    def converse(self, carrier: Carrier) -> Conversation:
        """Begin a conversation in frames of Modbus RTU, or of Modbus TCP."""
        framing = TCPServerFraming() if carrier is Carrier.STREAM else RTUServerFraming()
        return _BusConversation(self, framing)

    def exchange(self, framing: Framing, request: Request) -> tuple[Transmission, ...]:
        """Let the addressed meter act, and return what comes back: nothing is silence."""
        sent = self._let_act(framing, request)
        self.listener(sent)
        return sent

    def _let_act(self, framing: Framing, request: Request) -> tuple[Transmission, ...]:
        bank = self._units.get(request.unit)
        if bank is None:
            return ()
        fault = self.faults.draw()
        if fault is Fault.DROP:
            return ()
        answer = framing.encode(request, answer_request(bank, request.pdu))
        return self.faults.spoil(answer, fault)


class _BusConversation:
    def __init__(self, bus: Bus, framing: Framing) -> None:
        self._bus = bus
        self._framing = framing

    def receive(self, data: bytes) -> list[Exchange]:
        try:
            requests = self._framing.receive_data(data)
        except BrokenStreamError as error:
            raise HangUpError from error
        return [
            Exchange(
                len(self._framing.encode(request, request.pdu)),
                self._bus.exchange(self._framing, request),
            )
            for request in requests
        ]

    def reset(self) -> None:
        self._framing.reset()

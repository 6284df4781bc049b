"""A DL/T 645 line with several meters on it: who answers, and what the line does to the answer.

Every meter of a line hears every frame; the addressed one acts. Security is that of
`simulators.dlt645_security`: public toy keys, in the shape of real ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from meter_drivers.profiles.dlt645_part import Counts, DLT645Profile, NumberCoding
from meter_drivers.protocols.dlt645.connection import ReplyReady, RequestReceived, ServerConnection
from meter_drivers.protocols.dlt645.frames import Address, Frame, FrameReader
from meter_drivers.protocols.dlt645.messages import (
    AddressRead,
    Answer,
    ControlDone,
    DataRead,
    Refused,
    Request,
    SecurityDone,
)
from meter_drivers.protocols.dlt645.prepaid import (
    AmountCoding,
    PrepaidDialect,
    SecurityRequest,
)
from meter_drivers.protocols.dlt645.purchases import PURCHASES
from meter_drivers.protocols.dlt645.refusals import ControlRefusal, PlainError, SecurityError
from meter_drivers.protocols.dlt645.remote_control import (
    ControlCommand,
    RemoteControl,
    SealedControl,
)
from meter_drivers.protocols.dlt645.requests import Credentials, ReadAddress, ReadData
from meter_drivers.protocols.dlt645.status_words import MeterKind
from simulators.endpoints.conversation import (
    Carrier,
    Conversation,
    Exchange,
    Listener,
    take_no_notice,
)
from simulators.endpoints.dlt645_data import Shown, find_value
from simulators.endpoints.dlt645_security_service import SecurityService
from simulators.faults import Fault, FaultPlan, Transmission
from simulators.meter import RelayPosition
from simulators.purchases import meter_time
from simulators.simulated_meter import SimulatedMeter

_POSITIONS: Final[Mapping[ControlCommand, RelayPosition]] = {
    ControlCommand.TRIP: RelayPosition.OPEN,
    ControlCommand.CLOSE: RelayPosition.CLOSED,
    ControlCommand.ALLOW_CLOSE: RelayPosition.CLOSED,
}
"""The simulated customer presses the button as soon as closing is allowed."""
_KINDS: Final = {Counts.MONEY: MeterKind.MONEY_PREPAID, Counts.ENERGY: MeterKind.ENERGY_PREPAID}
_CODINGS: Final = {
    NumberCoding.BINARY: AmountCoding.BINARY,
    NumberCoding.BCD: AmountCoding.BCD,
}


@dataclass(frozen=True, slots=True)
class DLT645Place:
    """Where a meter is on its line, and what opens it."""

    address: Address
    profile: DLT645Profile
    credentials: Credentials = field(repr=False)
    """The right it gives for orders to its relay."""


class DLT645Meter:
    """One meter of a line: frames in, answers out."""

    def __init__(
        self,
        simulated: SimulatedMeter,
        place: DLT645Place,
        *,
        make_random: Callable[[int], bytes],
    ) -> None:
        """Take the meter; `make_random` gives so many bytes that nobody foresees."""
        wallet = place.profile.part.wallet
        dialect = PrepaidDialect()
        if wallet is not None:
            dialect = PrepaidDialect(_CODINGS[wallet.amount_coding], _CODINGS[wallet.count_coding])
        self._simulated = simulated
        self._place = place
        self._kind = MeterKind.NOT_PREPAID if wallet is None else _KINDS[wallet.counts]
        self._server = ServerConnection(place.address)
        self._security = SecurityService(
            simulated, place.address, dialect=dialect, make_random=make_random
        )
        self.false_refusals = 0
        """How many of the next orders it carries out, and says no to."""

    @property
    def address(self) -> Address:
        """Return where it is on its line."""
        return self._place.address

    def is_meant(self, frame: Frame) -> bool:
        """Return whether a frame is for this meter."""
        return not frame.is_reply and frame.address.covers(self.address)

    def take(self, frame: Frame) -> bytes:
        """Act on a frame, and return what is answered; nothing at all is silence."""
        match self._server.take_frame(frame):
            case ReplyReady(octets=octets):
                return octets
            case RequestReceived(request=request, expects_reply=True):
                return self._server.reply(self._answer(request))
            case _:
                return b""

    def _answer(self, request: Request) -> Answer:
        match request:
            case ReadData(identifier=identifier):
                shown = Shown(self._simulated.state, self.address, self._kind)
                octets = find_value(shown, identifier)
                if octets is None:
                    return Refused(PlainError.NO_SUCH_DATA)
                return DataRead(identifier, octets)
            case ReadAddress():
                return AddressRead(self.address)
            case RemoteControl() | SealedControl():
                return self._tell(self._control(request))
            case SecurityRequest(identifier=identifier):
                answer = self._security.answer(request)
                return self._tell(answer) if identifier in PURCHASES else answer
            case _:
                return Refused(PlainError.PASSWORD)

    def _tell(self, answer: Answer) -> Answer:
        """Return the answer, or a refusal where the meter is to say no to what it did."""
        if not self.false_refusals or isinstance(answer, Refused):
            return answer
        self.false_refusals -= 1
        if isinstance(answer, SecurityDone):
            return Refused(SecurityError.OTHER, 2)
        return Refused(PlainError.OTHER)

    def _control(self, request: RemoteControl | SealedControl) -> Answer:
        control = self._unseal(request)
        if isinstance(control, ControlRefusal):
            return Refused(control, 2)
        now = meter_time(self._simulated.state)
        if control.valid_until is not None and control.valid_until < now:
            return Refused(ControlRefusal.VALIDITY_TIME, 2)
        position = _POSITIONS.get(control.command)
        if position is None:
            return Refused(PlainError.OTHER)
        self._simulated.order_relay(position)
        return ControlDone()

    def _unseal(self, request: RemoteControl | SealedControl) -> RemoteControl | ControlRefusal:
        if isinstance(request, RemoteControl):
            own, given = self._place.credentials, request.credentials
            is_right = given.level <= own.level and given.password == own.password
            return request if is_right else ControlRefusal.PASSWORD
        session = self._security.find_session()
        if session is None:
            return ControlRefusal.NO_SESSION
        return self._security.element.unseal_control(session, request) or ControlRefusal.MAC


class DLT645Service:
    """The meters of one line, and the faults of the line."""

    def __init__(self, meters: Sequence[DLT645Meter], faults: FaultPlan) -> None:
        self.meters = {str(meter.address): meter for meter in meters}
        """By address, 12 digits."""
        self.faults = faults
        self.listener: Listener = take_no_notice

    def converse(self, carrier: Carrier) -> Conversation:
        """Begin a conversation; frames are the same on a port and behind a gateway."""
        del carrier
        return _DLT645Conversation(self)

    def exchange(self, frame: Frame) -> tuple[Transmission, ...]:
        """Let the addressed meters act, and return what comes back: nothing is silence."""
        sent = self._let_act(frame)
        self.listener(sent)
        return sent

    def _let_act(self, frame: Frame) -> tuple[Transmission, ...]:
        meant = [meter for meter in self.meters.values() if meter.is_meant(frame)]
        if not meant:
            return ()
        fault = self.faults.draw()
        if fault is Fault.DROP:
            return ()
        answers = [answer for meter in meant if (answer := meter.take(frame))]
        return tuple(sent for answer in answers for sent in self.faults.spoil(answer, fault))


class _DLT645Conversation:
    def __init__(self, service: DLT645Service) -> None:
        self._service = service
        self._reader = FrameReader()

    def receive(self, data: bytes) -> list[Exchange]:
        self._reader.receive_data(data)
        exchanges = []
        while frame := self._reader.next_frame():
            exchanges.append(Exchange(len(frame.to_bytes()), self._service.exchange(frame)))
        return exchanges

    def reset(self) -> None:
        self._reader.receive_silence()

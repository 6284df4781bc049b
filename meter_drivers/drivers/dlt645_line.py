"""One DL/T 645 meter on its line: asked, and ordered."""

from dataclasses import dataclass
from typing import Final

from meter_drivers.bus.dlt645 import DLT645Bus, OrderResult
from meter_drivers.bus.line import MeterTiming
from meter_drivers.bus.turns import Urgency
from meter_drivers.capabilities import RelayReport, RelayState
from meter_drivers.drivers.access import MeterAccess
from meter_drivers.errors import RemoteProtocolError
from meter_drivers.profiles.dlt645_part import DLT645Profile
from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.dlt645.messages import DataRead, Request, SecurityDone
from meter_drivers.protocols.dlt645.prepaid import SecurityRequest
from meter_drivers.protocols.dlt645.requests import ReadData
from meter_drivers.protocols.dlt645.status_words import STATUS_WORD_3, StatusWord3
from meter_drivers.protocols.dlt645.values import Value, decode_value

WORD_BITS: Final = 16


@dataclass(frozen=True, slots=True)
class DLT645Line:
    """Where a meter is, what it needs, and what opens it."""

    bus: DLT645Bus
    address: Address
    profile: DLT645Profile
    timing: MeterTiming
    access: MeterAccess

    def read(self, identifier: int) -> Value | None:
        """Return the value of an identifier; `None` where the meter has none.

        Raises:
            RemoteProtocolError: If the answer is of another kind.
        """
        answer = self.bus.ask(self.address, ReadData(identifier), self.timing)
        if not isinstance(answer, DataRead):
            reason = "the answer to a read is none"
            raise RemoteProtocolError(reason)
        return decode_value(identifier, answer.octets)

    def read_number(self, identifier: int) -> int:
        """Return the whole number of an identifier, in its unit.

        Raises:
            RemoteProtocolError: If the meter has none.
        """
        value = self.read(identifier)
        if not isinstance(value, int):
            reason = f"{identifier:08X} holds no number"
            raise RemoteProtocolError(reason)
        return value

    def read_status_word(self) -> StatusWord3:
        """Return status word 3.

        Raises:
            RemoteProtocolError: If the meter marks it as not available.
        """
        value = self.read(STATUS_WORD_3)
        if not isinstance(value, StatusWord3):
            reason = "status word 3 is not available"
            raise RemoteProtocolError(reason)
        return value

    def ask_security(self, request: SecurityRequest) -> bytes:
        """Return the payload that answers a question of function 03, which changes no credit.

        Raises:
            RemoteProtocolError: If the answer is of another kind.
        """
        answer = self.bus.ask(self.address, request, self.timing, Urgency.CREDIT)
        if not isinstance(answer, SecurityDone):
            reason = "the answer to function 03 is none"
            raise RemoteProtocolError(reason)
        return answer.payload

    def order(self, request: Request, urgency: Urgency) -> OrderResult:
        """Send an order once, and return what is known of it."""
        return self.bus.order(self.address, request, self.timing, urgency)


def report_relay(status: StatusWord3) -> RelayReport:
    """Return the relay as status word 3 shows it: bit 6 the order, bit 4 the contact."""
    return RelayReport(
        command=_name_position(is_open=status.open_is_ordered),
        actual=_name_position(is_open=status.relay_is_open),
    )


def _name_position(*, is_open: bool) -> RelayState:
    return RelayState.OPEN if is_open else RelayState.CLOSED

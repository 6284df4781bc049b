"""A link and an association put together: what a driver or a simulated meter holds.

Laws: bytes in, events out; calls queue bytes and `data_to_send` hands them out; nothing waits.
What an exchange needs in between (next blocks, the proof of HLS-5) is queued by `next_event`.
"""

from collections.abc import Callable, Sequence

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import Data
from meter_drivers.protocols.dlms.client import ClientAssociation
from meter_drivers.protocols.dlms.client_events import ClientEvent, Continue
from meter_drivers.protocols.dlms.link import (
    AnswerPending,
    APDUReceived,
    ClientLink,
    LinkClosed,
    LinkOpened,
    RequestNotReceived,
    ServerLink,
)
from meter_drivers.protocols.dlms.names import Attribute, Method, Selection
from meter_drivers.protocols.dlms.server import ServerAssociation

DLMSEvent = ClientEvent | LinkOpened | LinkClosed | RequestNotReceived | AnswerPending


class DLMSClient:
    """One client on one link; the order is connect, associate, requests, release, disconnect."""

    def __init__(self, link: ClientLink, association: ClientAssociation) -> None:
        self._link = link
        self._association = association

    @property
    def is_ready(self) -> bool:
        """Return whether a request may be made."""
        return self._association.is_ready

    def connect(self) -> None:
        """Queue what opens the link; `LinkOpened` follows, or `LinkClosed`.

        Raises:
            LocalProtocolError: If it is open.
        """
        self._link.connect()

    def associate(self) -> None:
        """Queue the AARQ; `Associated` follows, or a refusal.

        Raises:
            LocalProtocolError: If the link is not open, or the association not idle.
        """
        self._send(self._association.associate())

    def release(self) -> None:
        """Queue the RLRQ; `Released` follows.

        Raises:
            LocalProtocolError: If no association stands.
        """
        self._send(self._association.release())

    def disconnect(self) -> None:
        """Queue what closes the link; `LinkClosed` follows."""
        self._link.disconnect()

    def get(self, attribute: Attribute, selection: Selection | None = None) -> None:
        """Queue GET; `Got` follows, or `ServiceRefused`.

        Raises:
            LocalProtocolError: If it cannot be asked.
        """
        self._send(self._association.get(attribute, selection))

    def get_list(self, attributes: Sequence[Attribute]) -> None:
        """Queue GET of a list; `GotList` follows, or `ServiceRefused`.

        Raises:
            LocalProtocolError: If it cannot be asked.
        """
        self._send(self._association.get_list(attributes))

    def set(self, attribute: Attribute, value: Data, selection: Selection | None = None) -> None:
        """Queue SET; `SetDone` follows, or `ServiceRefused`.

        Raises:
            LocalProtocolError: If it cannot be asked.
        """
        self._send(self._association.set(attribute, value, selection))

    def act(self, method: Method, parameter: Data | None = None) -> None:
        """Queue ACTION, once; `ActionDone` follows, or `ServiceRefused`.

        Raises:
            LocalProtocolError: If it cannot be asked.
        """
        self._send(self._association.act(method, parameter))

    def ask_again(self) -> None:
        """Ask for a lost answer without repeating the request: HDLC alone can.

        The answer follows, or `RequestNotReceived`, `AnswerPending` or `LinkClosed`.

        Raises:
            LocalProtocolError: If the link cannot, or no answer is awaited.
        """
        self._link.ask_again()

    def abandon(self) -> None:
        """Wait no longer for an answer; what became of its request is unknown.

        Over the wrapper the association goes on: an answer that comes late is ignored. HDLC sends
        nothing before the answer has come, so there `abort`, `connect` and `associate` follow.
        """
        self._association.abandon()

    def abort(self) -> None:
        """Forget link and association, as when the line broke; nothing leaves.

        `connect` begins anew. What became of a request without an answer is unknown.
        """
        self._link.abort()
        self._association.reset()

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions."""
        self._link.receive_data(octets)

    def data_to_send(self) -> bytes:
        """Return, once, the bytes that are to leave now."""
        return self._link.data_to_send()

    def next_event(self) -> DLMSEvent | None:
        """Return what the bytes mean, or `None` until more come.

        Raises:
            RemoteProtocolError: If the server breaks a rule; see link and association.
        """
        while (event := self._link.next_event()) is not None:
            if isinstance(event, LinkClosed):
                self._association.reset()
            if not isinstance(event, APDUReceived):
                return event
            meant = self._association.receive_apdu(event.apdu)
            if not isinstance(meant, Continue):
                return meant
            self._send(meant.apdu)
        return None

    def _send(self, apdu: bytes) -> None:
        try:
            self._link.send(apdu)
        except LocalProtocolError:
            self._association.abandon()  # it has not left
            raise


class DLMSServer:
    """A logical device on one link; `find_association` gives what a client's address may have.

    Without an association for an address, its APDUs are not answered. `refused` tells, newest
    last, at most `REFUSALS_MAX` reasons for which something was dropped.
    """

    REFUSALS_MAX = 32

    def __init__(
        self, link: ServerLink, find_association: Callable[[int], ServerAssociation | None]
    ) -> None:
        self._link = link
        self._find_association = find_association
        self._associations: dict[int, ServerAssociation] = {}
        self.refused: list[str] = []

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions, and queue the answers to what they ask.

        Raises:
            RemoteProtocolError: If the link is out of step for good (wrapper): close it.
        """
        self._link.receive_data(octets)
        while True:
            try:
                event = self._link.next_event()
            except RemoteProtocolError as error:
                self.refused = [*self.refused, error.reason][-self.REFUSALS_MAX :]
                if not self._link.survives_faults:
                    raise
                continue
            if event is None:
                return
            if isinstance(event, APDUReceived):
                self._answer(event)
            else:
                self._forget()

    def data_to_send(self) -> bytes:
        """Return, once, the bytes that are to leave now."""
        return self._link.data_to_send()

    def _answer(self, event: APDUReceived) -> None:
        association = self._associations.get(event.client)
        if association is None:
            association = self._find_association(event.client)
            if association is None:
                return
            self._associations[event.client] = association
        answer = association.receive_apdu(event.apdu)
        if answer is not None:
            self._link.send(answer)

    def _forget(self) -> None:
        for association in self._associations.values():
            association.reset()

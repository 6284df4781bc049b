"""The wrapper as a link: open as soon as TCP is, and each APDU is whole (IEC 62056-47)."""

from collections import deque

from meter_drivers.errors import LocalProtocolError
from meter_drivers.protocols.dlms.link import APDUReceived, LinkClosed, LinkEvent, LinkOpened
from meter_drivers.protocols.dlms.wrapper import WrapperPDU, WrapperReader


class WrapperClient:
    """Client `client` (16 is the public one) to logical device `server` (1 is management)."""

    def __init__(self, *, client: int, server: int) -> None:
        self._client = client
        self._server = server
        self._reader = WrapperReader()
        self._events: deque[LinkEvent] = deque()
        self._outgoing = bytearray()
        self.ignored_pdu_count = 0

    def connect(self) -> None:
        """Report the link open: TCP has done the rest."""
        self._reader = WrapperReader()
        self._events.append(LinkOpened())

    def disconnect(self) -> None:
        """Report the link closed: TCP does the rest."""
        self._events.append(LinkClosed())

    def abort(self) -> None:
        """Forget what came and what was to leave; TCP does the rest."""
        self._reader = WrapperReader()
        self._events.clear()
        self._outgoing.clear()

    def ask_again(self) -> None:
        """Refuse: the wrapper has no such question.

        Raises:
            LocalProtocolError: Always.
        """
        message = "the wrapper cannot ask for a lost answer"
        raise LocalProtocolError(message)

    def send(self, apdu: bytes) -> None:
        """Queue an APDU.

        Raises:
            LocalProtocolError: If it is empty or longer than 65,535 bytes.
        """
        self._outgoing += WrapperPDU(self._client, self._server, apdu).to_bytes()

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions."""
        self._reader.receive_data(octets)

    def next_event(self) -> LinkEvent | None:
        """Return the next event, or `None`; APDUs between other ports are dropped.

        Raises:
            RemoteProtocolError: If the stream is out of step; it is so for good.
        """
        if self._events:
            return self._events.popleft()
        while (pdu := self._reader.next_pdu()) is not None:
            if (pdu.source, pdu.destination) == (self._server, self._client):
                return APDUReceived(self._client, pdu.apdu)
            self.ignored_pdu_count += 1
        return None

    def data_to_send(self) -> bytes:
        """Return, once, the bytes that are to leave now."""
        outgoing = bytes(self._outgoing)
        self._outgoing.clear()
        return outgoing


class WrapperServer:
    """Logical device `server`; answers go to the client that asked last."""

    def __init__(self, *, server: int) -> None:
        self._server = server
        self._client: int | None = None
        self._reader = WrapperReader()
        self._outgoing = bytearray()
        self.ignored_pdu_count = 0

    @property
    def survives_faults(self) -> bool:
        """Return false: a stream out of step stays so."""
        return False

    def send(self, apdu: bytes) -> None:
        """Queue an APDU for the client that asked last.

        Raises:
            LocalProtocolError: If none has, or the APDU is empty or longer than 65,535 bytes.
        """
        if self._client is None:
            message = "no client has asked anything"
            raise LocalProtocolError(message)
        self._outgoing += WrapperPDU(self._server, self._client, apdu).to_bytes()

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions."""
        self._reader.receive_data(octets)

    def next_event(self) -> LinkEvent | None:
        """Return the next APDU for this logical device, or `None`.

        Raises:
            RemoteProtocolError: If the stream is out of step; it is so for good.
        """
        while (pdu := self._reader.next_pdu()) is not None:
            if pdu.destination == self._server:
                self._client = pdu.source
                return APDUReceived(pdu.source, pdu.apdu)
            self.ignored_pdu_count += 1
        return None

    def data_to_send(self) -> bytes:
        """Return, once, the bytes that are to leave now."""
        outgoing = bytes(self._outgoing)
        self._outgoing.clear()
        return outgoing

"""What carries APDUs between client and server: the events and the ports of a link.

Both links (HDLC and wrapper) keep the same shape: calls queue bytes, `data_to_send` hands them
out, `receive_data` takes bytes in, `next_event` tells what they mean. Neither ever waits.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """APDUs may be sent now."""


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """The other side closed the link, confirmed that it is closed, or refuses to open one."""


@dataclass(frozen=True, slots=True)
class APDUReceived:
    """A whole APDU came; `client` is the address of the client in this exchange."""

    client: int
    apdu: bytes


@dataclass(frozen=True, slots=True)
class RequestNotReceived:
    """The other station says that it has not received the frame sent last.

    So the request that it ends did not arrive. Whether to send it again is the caller's decision.
    """


@dataclass(frozen=True, slots=True)
class AnswerPending:
    """The other station received the request and has no answer yet."""


LinkEvent = LinkOpened | LinkClosed | APDUReceived | RequestNotReceived | AnswerPending


class Link(Protocol):
    """What both roles have."""

    def send(self, apdu: bytes) -> None:
        """Queue an APDU.

        Raises:
            LocalProtocolError: If the link is not open or busy, or the APDU too long.
        """

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions."""

    def next_event(self) -> LinkEvent | None:
        """Return what the bytes mean, or `None` until more come.

        Raises:
            RemoteProtocolError: If the other side breaks the protocol of the link.
        """

    def data_to_send(self) -> bytes:
        """Return, once, the bytes that are to leave now."""


class ClientLink(Link, Protocol):
    """The side that opens."""

    def connect(self) -> None:
        """Ask for the link; `LinkOpened` or `LinkClosed` follows.

        Raises:
            LocalProtocolError: If it is open.
        """

    def disconnect(self) -> None:
        """Ask for the end; `LinkClosed` follows."""

    def abort(self) -> None:
        """Forget the link and what came over it, as when the line broke; nothing leaves."""

    def ask_again(self) -> None:
        """Ask for a lost answer without repeating the request, where the link can.

        Raises:
            LocalProtocolError: If it cannot, or is not open.
        """


class ServerLink(Link, Protocol):
    """The side that is opened."""

    @property
    def survives_faults(self) -> bool:
        """Return whether the link goes on after a `RemoteProtocolError`."""

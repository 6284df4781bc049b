"""The wrapper: an APDU as bytes on a TCP connection, and APDUs out of its bytes.

IEC 62056-47, 5.3.3:

    version 0001 | source port (2) | destination port (2) | length (2) | APDU

Ports are the addresses of client and logical device, not those of TCP (4059). TCP loses and
damages nothing, so a header that is none means that the stream is out of step for good:
`RemoteProtocolError`, and the connection is to be closed. An APDU between other ports is dropped
and counted.
"""

from dataclasses import dataclass
from typing import Final

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError

VERSION: Final = 1
HEADER_SIZE: Final = 8
APDU_SIZE_MAX: Final = 0xFFFF
PORT_MAX: Final = 0xFFFF
TCP_PORT: Final = 4059


@dataclass(frozen=True, slots=True)
class WrapperPDU:
    """One APDU and between whom it goes."""

    source: int
    destination: int
    apdu: bytes

    def to_bytes(self) -> bytes:
        """Return header and APDU.

        Raises:
            LocalProtocolError: If the APDU or a port does not fit.
        """
        if not 1 <= len(self.apdu) <= APDU_SIZE_MAX:
            message = f"an APDU of {len(self.apdu)} bytes does not fit into a wrapper"
            raise LocalProtocolError(message)
        if not all(0 <= port <= PORT_MAX for port in (self.source, self.destination)):
            message = f"{self.source} or {self.destination} is no wrapper port"
            raise LocalProtocolError(message)
        numbers = (VERSION, self.source, self.destination, len(self.apdu))
        return b"".join(number.to_bytes(2, "big") for number in numbers) + self.apdu


class WrapperReader:
    """Cuts a stream into wrapper PDUs."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions; call `next_pdu` until it returns `None`."""
        self._buffer += octets

    def next_pdu(self) -> WrapperPDU | None:
        """Return the next whole PDU, or `None` until more bytes come.

        Raises:
            RemoteProtocolError: If the stream holds no wrapper header here.
        """
        head = bytes(self._buffer[:HEADER_SIZE])
        version = VERSION.to_bytes(2, "big")
        if not version.startswith(head[:2]):
            reason = "the stream is out of step: a wrapper header begins with 0001"
            raise RemoteProtocolError(reason, frame=head)
        if len(head) < HEADER_SIZE:
            return None
        _, source, destination, length = (
            int.from_bytes(head[start : start + 2], "big") for start in range(0, HEADER_SIZE, 2)
        )
        if not length:
            reason = "a wrapper PDU carries no APDU"
            raise RemoteProtocolError(reason, frame=head)
        if len(self._buffer) < HEADER_SIZE + length:
            return None
        apdu = bytes(self._buffer[HEADER_SIZE : HEADER_SIZE + length])
        del self._buffer[: HEADER_SIZE + length]
        return WrapperPDU(source, destination, apdu)

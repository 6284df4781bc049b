"""A TCP connection to a meter or to a gateway with meters behind it."""

import errno
import socket
from typing import Final

from meter_drivers.errors import ConnectionLostError, LinkTimeoutError

_TIMEOUT_S_MIN: Final = 0.001
"""A socket timeout of 0 would mean *do not wait and fail otherwise*."""
_EXPLANATIONS: Final = {
    errno.ECONNREFUSED: "connection refused; is the gateway running, and is the port right?",
    errno.EHOSTUNREACH: "no route to it; check the network",
    errno.ENETUNREACH: "no route to it; check the network",
}


class TCPStream:
    """A `ByteStream` over TCP; it connects on `open`."""

    def __init__(self, host: str, port: int, *, connect_timeout_s: float) -> None:
        self._address = (host, port)
        self._connect_timeout_s = connect_timeout_s
        self._socket: socket.socket | None = None

    @property
    def link(self) -> str:
        """Return host and port."""
        host, port = self._address
        return f"tcp {host}:{port}"

    @property
    def is_open(self) -> bool:
        """Return whether the connection stands, as far as this side knows."""
        return self._socket is not None

    def open(self) -> None:
        """Connect, without delay for small frames.

        Raises:
            ConnectionLostError: If nobody answers there.
        """
        if self._socket is not None:
            return
        try:
            opened = socket.create_connection(self._address, timeout=self._connect_timeout_s)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise ConnectionLostError(self.link, _explain(error)) from error
        except UnicodeError as error:
            # Out of the look-up: a part of the name is empty, or has more than 63 characters.
            raise ConnectionLostError(self.link, "this can be no host name; correct it") from error
        self._socket = opened

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def write(self, data: bytes, *, timeout_s: float) -> None:
        """Send all bytes.

        Raises:
            ConnectionLostError: If the connection is closed or breaks.
            LinkTimeoutError: If the other side does not take them in time.
        """
        connection = self._require_open()
        try:
            connection.settimeout(max(timeout_s, _TIMEOUT_S_MIN))
            connection.sendall(data)
        except TimeoutError as error:
            raise LinkTimeoutError(self.link, waited_s=timeout_s) from error
        except OSError as error:
            self.close()
            raise ConnectionLostError(self.link, _explain(error)) from error

    def read(self, size_max: int, *, timeout_s: float) -> bytes:
        """Return the bytes that came.

        Raises:
            ConnectionLostError: If the connection is closed, here or there, or breaks.
            LinkTimeoutError: If none comes in time.
        """
        connection = self._require_open()
        try:
            connection.settimeout(max(timeout_s, _TIMEOUT_S_MIN))
            data = connection.recv(size_max)
        except TimeoutError as error:
            raise LinkTimeoutError(self.link, waited_s=timeout_s) from error
        except OSError as error:
            self.close()
            raise ConnectionLostError(self.link, _explain(error)) from error
        if not data:
            self.close()
            raise ConnectionLostError(self.link, "the other side closed the connection")
        return data

    def _require_open(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionLostError(self.link, "the connection is closed")
        return self._socket


def _explain(error: OSError) -> str:
    if error.errno in _EXPLANATIONS:
        return _EXPLANATIONS[error.errno]
    if isinstance(error, TimeoutError):
        return "nobody answered in time; check address and network"
    return error.strerror or str(error)

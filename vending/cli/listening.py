"""The socket the service listens on, and why it cannot be had."""

import socket
from typing import Final

from vending.errors import ErrorKind, VendingError
from vending.settings import Settings

BACKLOG: Final = 2048
"""Connections that may wait to be accepted; beyond it the system refuses them."""


class PortInUseError(VendingError):
    """Another program listens there."""

    kind = ErrorKind.UNAVAILABLE
    code = "port_in_use"
    remedy = "Stop the other program, or choose another port with VENDING_PORT or --port."

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}", host=host, port=port)


def open_listener(settings: Settings) -> socket.socket:
    """Return a socket that holds the address; closing it is the caller's.

    Raises:
        PortInUseError: The address cannot be had.
    """
    host, port = settings.host, settings.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Listening starts here, so that a second service is refused here and not by uvicorn.
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PortInUseError(host, port, error.strerror or str(error)) from error


def address_of(listener: socket.socket) -> str:
    """Return where the socket listens, as a URL writes it."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if listener.family is socket.AF_INET6 else f"{host}:{port}"

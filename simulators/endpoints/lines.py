"""The lines that simulated meters hang on: TCP ports and pseudo-terminals, in one event loop.

A TCP port stands for a gateway and a pseudo-terminal for an RS-485 line; behind both is a
`LineService`. A pseudo-terminal carries 8N1 only, takes any speed that is set on it, and can be
paced to a speed of its own so that times look like a real line's.
"""

import asyncio
import os
import pty
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from simulators.endpoints.conversation import (
    Carrier,
    Conversation,
    Exchange,
    HangUpError,
    LineService,
)

BITS_PER_BYTE: Final = 10
"""8N1: a start bit, eight of data, a stop bit."""
FRAME_GAP_S: Final = 0.05
"""Half a frame is forgotten after this silence: 3.5 characters, and what a scheduler takes."""
_READ_SIZE_BYTES: Final = 4096


class LineError(Exception):
    """A line cannot be set up; the message says what to do about it."""


class Line(Protocol):
    """What the fleet opens and closes."""

    @property
    def address(self) -> str:
        """Return where a driver finds the open line."""
        ...

    async def open(self) -> None:
        """Begin to answer; raises `LineError`."""
        ...

    async def close(self) -> None:
        """Stop answering; closing a line that is not open does nothing."""
        ...


class TCPLine:
    """A TCP port that answers for every meter of its service."""

    def __init__(
        self, service: LineService, *, host: str, port: int, carrier: Carrier = Carrier.STREAM
    ) -> None:
        """Take the service; `Carrier.SERIAL` is for a gateway that passes serial frames on."""
        self._service = service
        self._carrier = carrier
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.BaseTransport] = set()

    async def open(self) -> None:
        """Listen.

        Raises:
            LineError: The port is taken, or may not be used.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self._service.converse(self._carrier), self._connections),
                self._host,
                self._port,
            )
        except OSError as error:
            message = (
                f"cannot listen on {self._host}:{self._port} ({error.strerror}); "
                "give another port in the fleet file, or 0 for any free one"
            )
            raise LineError(message) from error

    @property
    def address(self) -> str:
        """Return `host:port` as it is listened on."""
        assert self._server is not None, "the line is open"
        port: int = self._server.sockets[0].getsockname()[1]
        return f"{self._host}:{port}"

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            for connection in tuple(self._connections):
                if isinstance(connection, asyncio.Transport):
                    connection.abort()
            await self._server.wait_closed()


class _Connection(asyncio.Protocol):
    def __init__(self, conversation: Conversation, connections: set[asyncio.BaseTransport]) -> None:
        self._conversation = conversation
        self._connections = connections
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.add(transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._transport is not None:
            self._connections.discard(self._transport)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            exchanges = self._conversation.receive(data)
        except HangUpError:
            if self._transport is not None:
                self._transport.close()
            return
        for exchange in exchanges:
            _answer(exchange, send=self._send)

    def _send(self, frame: bytes) -> None:
        if isinstance(self._transport, asyncio.Transport):
            self._transport.write(frame)


class PTYLine:
    """A pseudo-terminal that answers for every meter of its service."""

    def __init__(self, service: LineService, *, link: Path, baud: int | None) -> None:
        """Take the service, the name to link to the terminal, and a speed (`None`: not paced)."""
        self._conversation = service.converse(Carrier.SERIAL)
        self._link = link
        self._baud = baud
        self._master_fd: int | None = None
        self._slave_fd: int | None = None
        self._terminal: Path | None = None
        self._heard_at_s = 0.0

    async def open(self) -> None:
        """Make the terminal and link its name.

        Raises:
            LineError: There is no terminal left, or the name cannot be linked.
        """
        try:
            # Kept open on both sides, so that a driver may come and go.
            self._master_fd, self._slave_fd = pty.openpty()
            tty.setraw(self._slave_fd)
            os.set_blocking(self._master_fd, False)
            self._terminal = Path(os.ttyname(self._slave_fd))
            self._make_link()
        except OSError as error:
            message = (
                f"cannot make the serial line {self._link} ({error.strerror}); "
                "give another name, in a folder that can be written to"
            )
            raise LineError(message) from error
        asyncio.get_running_loop().add_reader(self._master_fd, self._receive)

    @property
    def address(self) -> str:
        """Return the stable name of the terminal."""
        return str(self._link)

    async def close(self) -> None:
        """Take the terminal and its name away."""
        if self._master_fd is not None:
            asyncio.get_running_loop().remove_reader(self._master_fd)
            os.close(self._master_fd)
        if self._slave_fd is not None:
            os.close(self._slave_fd)
        if self._link.is_symlink() and self._link.readlink() == self._terminal:
            # Else another line has taken the name over.
            self._link.unlink()
        self._master_fd = self._slave_fd = None

    def _make_link(self) -> None:
        """Replace a link left by an earlier run; anything else of that name is kept."""
        assert self._terminal is not None, "the terminal is made"
        self._link.parent.mkdir(parents=True, exist_ok=True)
        if self._link.is_symlink():
            self._link.unlink()
        self._link.symlink_to(self._terminal)

    def _receive(self) -> None:
        assert self._master_fd is not None, "the line is open"
        data = os.read(self._master_fd, _READ_SIZE_BYTES)
        now_s = asyncio.get_running_loop().time()
        if now_s - self._heard_at_s > FRAME_GAP_S:
            self._conversation.reset()
        self._heard_at_s = now_s
        for exchange in self._conversation.receive(data):
            _answer(exchange, send=self._send, pace_s=self._pace_s)

    def _pace_s(self, size_bytes: int) -> float:
        return size_bytes * BITS_PER_BYTE / self._baud if self._baud else 0.0

    def _send(self, frame: bytes) -> None:
        """Put a frame on the line; what nobody reads is lost, as on copper."""
        if self._master_fd is not None:
            with suppress(BlockingIOError):
                os.write(self._master_fd, frame)


def _no_pace_s(_size_bytes: int) -> float:
    return 0.0


def _answer(
    exchange: Exchange,
    *,
    send: Callable[[bytes], None],
    pace_s: Callable[[int], float] = _no_pace_s,
) -> None:
    """Send what comes back, each frame when its time on the line is over."""
    loop = asyncio.get_running_loop()
    for sent in exchange.sent:
        wait_s = sent.delay_ms / 1000 + pace_s(exchange.request_size_bytes + len(sent.payload))
        if wait_s:
            loop.call_later(wait_s, send, sent.payload)
        else:
            send(sent.payload)

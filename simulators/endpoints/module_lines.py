"""The lines that a simulated security module hangs on: a pseudo-terminal, or a TCP port.

One thread a line. Answers leave in the order of their requests, as from a module that does one
thing at a time: a slow answer holds up those behind it.
"""

import os
import pty
import selectors
import socket
import time
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final, Protocol

from simulators.endpoints.lines import LineError
from simulators.security_module import SimulatedSecurityModule

POLL_S: Final = 0.01
_READ_SIZE_BYTES: Final = 4096
_MS_PER_S: Final = 1000


class _Port(Protocol):
    """Where bytes come from and go to; nobody need be at the other end."""

    @property
    def address(self) -> str: ...

    def read(self, wait_s: float) -> bytes: ...

    def write(self, octets: bytes) -> None: ...

    def close(self) -> None: ...


class TerminalPort:
    """A pseudo-terminal; both sides are kept open, so that a host may come and go."""

    def __init__(self) -> None:
        try:
            self._near, self._far = pty.openpty()
        except OSError as error:
            message = f"cannot make a serial line ({error.strerror}); close other programs"
            raise LineError(message) from error
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(self._near, selectors.EVENT_READ)

    @property
    def address(self) -> str:
        """Return the path of the terminal."""
        return os.ttyname(self._far)

    def read(self, wait_s: float) -> bytes:
        """Return what came within the time, perhaps nothing."""
        return os.read(self._near, _READ_SIZE_BYTES) if self._waiting.select(wait_s) else b""

    def write(self, octets: bytes) -> None:
        """Send; what nobody reads is lost, as on copper."""
        with suppress(BlockingIOError):
            os.write(self._near, octets)

    def close(self) -> None:
        """Take the terminal away, as when the adapter is unplugged."""
        self._waiting.close()
        os.close(self._near)
        os.close(self._far)


class TCPPort:
    """A port on the loopback that serves one host at a time."""

    def __init__(self, port: int = 0) -> None:
        try:
            self._listener = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            message = f"cannot listen on port {port} ({error.strerror}); give another, or 0"
            raise LineError(message) from error
        self._listener.settimeout(0)
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(self._listener, selectors.EVENT_READ)
        self._host: socket.socket | None = None

    @property
    def address(self) -> str:
        """Return `host:port` as it is listened on."""
        host, port = self._listener.getsockname()[:2]
        return f"{host}:{port}"

    def read(self, wait_s: float) -> bytes:
        """Return what came within the time, perhaps nothing; a second host waits for the first."""
        if not self._waiting.select(wait_s):
            return b""
        if self._host is not None:
            return self._receive()
        self._host, _ = self._listener.accept()
        self._waiting.unregister(self._listener)
        self._waiting.register(self._host, selectors.EVENT_READ)
        return b""

    def write(self, octets: bytes) -> None:
        """Send; when nobody is there it is lost."""
        if self._host is not None:
            with suppress(OSError):
                self._host.sendall(octets)

    def close(self) -> None:
        """Stop listening and hang up."""
        self._hang_up()
        self._waiting.close()
        self._listener.close()

    def _receive(self) -> bytes:
        assert self._host is not None, "it was registered"
        with suppress(OSError):
            if octets := self._host.recv(_READ_SIZE_BYTES):
                return octets
        self._hang_up()
        return b""

    def _hang_up(self) -> None:
        if self._host is not None:
            self._waiting.unregister(self._host)
            self._host.close()
            self._host = None
            self._waiting.register(self._listener, selectors.EVENT_READ)


@dataclass(frozen=True, slots=True)
class _Due:
    payload: bytes
    at_s: float


def serve(module: SimulatedSecurityModule, port: _Port, stop: Event) -> None:
    """Answer on the port until `stop` is set."""
    underway: deque[_Due] = deque()
    while not stop.is_set():
        for sent in module.receive(port.read(POLL_S)):
            earliest_s = underway[-1].at_s if underway else 0.0
            due_s = max(earliest_s, time.monotonic() + sent.delay_ms / _MS_PER_S)
            underway.append(_Due(sent.payload, due_s))
        due = b""
        while underway and underway[0].at_s <= time.monotonic():
            due += underway.popleft().payload
        if due:
            port.write(due)


@contextmanager
def serving(module: SimulatedSecurityModule, port: _Port) -> Iterator[str]:
    """Serve in a thread as long as the block lasts; yield the address."""
    stop = Event()
    thread = Thread(target=serve, args=(module, port, stop), name="security-module", daemon=True)
    thread.start()
    try:
        yield port.address
    finally:
        stop.set()
        thread.join()
        module.reset_line()
        port.close()

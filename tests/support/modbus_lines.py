"""Lines for a paper meter: one under a clock of its own, one over TCP, one over a pty."""

import os
import select
import socket
import struct
import threading
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from meter_drivers.errors import ConnectionLostError, LinkTimeoutError
from tests.support.modbus_meter import PaperMeter, compute_crc, rtu, tcp

Delivery = tuple[float, bytes]
"""After how many seconds which bytes arrive."""


class PaperTimer:
    """A timer that only moves when someone waits."""

    def __init__(self) -> None:
        self.at_s = 1000.0
        self.waits: list[float] = []

    def now_s(self) -> float:
        return self.at_s

    def wait(self, span_s: float) -> None:
        self.waits.append(span_s)
        self.at_s += max(0.0, span_s)


class PaperLine:
    """A `ByteStream` in one thread: what is written is answered by `reply`, after delays."""

    def __init__(self, timer: PaperTimer) -> None:
        self.timer = timer
        self.reply: Callable[[bytes], list[Delivery]] = lambda _: []
        self.written: list[tuple[float, bytes]] = []
        self.underway: deque[tuple[float, bytes]] = deque()
        self.open_count = 0
        self.is_open = False
        self.opens = True
        self.breaks_on_write = False

    @property
    def link(self) -> str:
        return "paper line"

    def open(self) -> None:
        if self.is_open:
            return
        if not self.opens:
            raise ConnectionLostError(self.link, "unplugged")
        self.is_open = True
        self.open_count += 1

    def close(self) -> None:
        self.is_open = False
        self.underway.clear()

    def write(self, data: bytes, *, timeout_s: float) -> None:
        assert timeout_s > 0
        self.written.append((self.timer.at_s, data))
        if self.breaks_on_write:
            self.close()
            raise ConnectionLostError(self.link, "broke")
        for delay_s, answer in self.reply(data):
            self.underway.append((self.timer.at_s + delay_s, answer))

    def read(self, size_max: int, *, timeout_s: float) -> bytes:
        if not self.is_open:
            raise ConnectionLostError(self.link, "closed")
        ends_s = self.timer.at_s + timeout_s
        if self.underway and self.underway[0][0] <= ends_s:
            due_s, data = self.underway.popleft()
            self.timer.at_s = max(self.timer.at_s, due_s)
            if data == b"":
                self.close()
                raise ConnectionLostError(self.link, "the other side closed it")
            if data[size_max:]:
                self.underway.appendleft((due_s, data[size_max:]))
            return data[:size_max]
        self.timer.at_s = ends_s
        raise LinkTimeoutError(self.link, waited_s=timeout_s)


def answer_rtu(meter: PaperMeter, frame: bytes) -> bytes:
    """Return the meter's answer to a whole RTU frame; none to other units."""
    assert compute_crc(frame[:-2]) == frame[-2:]
    pdu = meter.answer_pdu(frame[1:-2]) if frame[0] == meter.unit else b""
    return rtu(meter.unit, pdu) if pdu else b""


@contextmanager
def serve_tcp(meter: PaperMeter) -> Iterator[int]:
    """Serve Modbus TCP on a loopback port, one connection after the other; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()
    thread = threading.Thread(target=_serve_connections, args=(listener, meter, stop))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        thread.join()
        listener.close()


def _serve_connections(listener: socket.socket, meter: PaperMeter, stop: threading.Event) -> None:
    while not stop.is_set():
        if not select.select([listener], [], [], 0.02)[0]:
            continue
        connection, _ = listener.accept()
        with connection:
            _serve_connection(connection, meter, stop)


def _serve_connection(connection: socket.socket, meter: PaperMeter, stop: threading.Event) -> None:
    buffer = b""
    while not stop.is_set():
        if not select.select([connection], [], [], 0.02)[0]:
            continue
        data = connection.recv(512)
        if not data:
            return
        buffer += data
        while len(buffer) >= 6 and len(buffer) >= 6 + struct.unpack(">H", buffer[4:6])[0]:
            size = 6 + struct.unpack(">H", buffer[4:6])[0]
            frame, buffer = buffer[:size], buffer[size:]
            (transaction,) = struct.unpack(">H", frame[:2])
            if frame[6] == meter.unit:
                connection.sendall(tcp(transaction, meter.unit, meter.answer_pdu(frame[7:])))


@contextmanager
def serve_pty(meter: PaperMeter) -> Iterator[str]:
    """Serve Modbus RTU on a pseudo terminal; gives the path of its port."""
    near, far = os.openpty()
    tty.setraw(near)
    tty.setraw(far)
    stop = threading.Event()
    thread = threading.Thread(target=_serve_pty, args=(near, meter, stop))
    thread.start()
    try:
        yield os.ttyname(far)
    finally:
        stop.set()
        thread.join()
        os.close(near)
        os.close(far)


def _serve_pty(near: int, meter: PaperMeter, stop: threading.Event) -> None:
    buffer = b""
    while not stop.is_set():
        if not select.select([near], [], [], 0.02)[0]:
            continue
        buffer += os.read(near, 512)
        if len(buffer) > 3 and compute_crc(buffer[:-2]) == buffer[-2:]:
            os.write(near, answer_rtu(meter, buffer))
            buffer = b""

import os
import socket
import tty
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from meter_drivers.transports.memory import MemoryStream
from meter_drivers.transports.serial import SerialStream
from meter_drivers.transports.tcp import TCPStream
from tests.support.far_end import FarEnd


@pytest.fixture(params=["memory", "tcp", "pty"])
def line(request: pytest.FixtureRequest) -> Iterator[FarEnd]:
    """One line of each kind, open on both sides."""
    with ExitStack() as stack:
        stream, send, receive, leave = {"memory": _memory, "tcp": _tcp, "pty": _pty}[request.param](
            stack
        )
        stack.callback(stream.close)
        yield stream, send, receive, leave


def _memory(stack: ExitStack) -> FarEnd:
    del stack
    near, far = MemoryStream.pair()

    def receive(size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += far.read(size - len(data), timeout_s=60)
        return data

    return near, lambda data: far.write(data, timeout_s=1), receive, far.close


def _tcp(stack: ExitStack) -> FarEnd:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    stream = TCPStream("127.0.0.1", listener.getsockname()[1], connect_timeout_s=60)
    stream.open()
    connection, _ = listener.accept()
    stack.callback(connection.close)
    return (
        stream,
        connection.sendall,
        lambda size: connection.recv(size, socket.MSG_WAITALL),
        connection.close,
    )


def _pty(stack: ExitStack) -> FarEnd:
    near, far = os.openpty()
    tty.setraw(near)
    tty.setraw(far)
    open_ends = {near, far}

    def close_ends() -> None:
        while open_ends:
            os.close(open_ends.pop())

    stack.callback(close_ends)
    stream = SerialStream(os.ttyname(far), baud=9600, parity="N", stop_bits=1)
    stream.open()

    def receive(size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += os.read(near, size - len(data))
        return data

    def send(data: bytes) -> None:
        os.write(near, data)

    return stream, send, receive, close_ends

"""The lines of the simulated security module, with a host that comes, goes and waits."""

import errno
import os
import select
import socket
import time
from threading import Event
from typing import ClassVar

import pytest

from simulators.endpoints.lines import LineError
from simulators.endpoints.module_lines import TCPPort, TerminalPort, serve, serving
from simulators.faults import Fault
from tests.support.attached_module import LATE_MS, simulated_module
from vending.sts.module_messages import IdentificationRequest
from vending.sts.security_module import encode_request

WAIT_S = 100
LINE = encode_request(IdentificationRequest())


def exchange(descriptor: int, line: bytes = LINE) -> bytes:
    os.write(descriptor, line)
    return read_line(descriptor)


def read_line(descriptor: int) -> bytes:
    answer = b""
    while not answer.endswith(b"\r"):
        ready, _, _ = select.select([descriptor], [], [], WAIT_S)
        assert ready, "no answer"
        answer += os.read(descriptor, 1)
    return answer


def connect(address: str) -> socket.socket:
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), timeout=WAIT_S)


def test_terminal_answers_a_host_that_comes_twice() -> None:
    with serving(simulated_module(), TerminalPort()) as address:
        for _ in range(2):
            host = os.open(address, os.O_RDWR | os.O_NOCTTY)
            assert exchange(host).startswith(b"SM!DI00")
            os.close(host)


def test_tcp_port_serves_one_host_at_a_time() -> None:
    with serving(simulated_module(), TCPPort()) as address:
        first, second = connect(address), connect(address)
        assert exchange(first.fileno()).startswith(b"SM!DI00")
        second.sendall(LINE)
        assert not select.select([second], [], [], 0.1)[0], "the first is still there"
        first.close()
        assert read_line(second.fileno()).startswith(b"SM!DI00")
        second.close()


def test_answers_keep_their_order_behind_a_late_one() -> None:
    module = simulated_module()
    with serving(module, TCPPort()) as address, connect(address) as host:
        module.plan(Fault.LATE_ANSWER, None)
        module.state.identification = "first"
        begun_s = time.monotonic()
        os.write(host.fileno(), LINE + LINE)
        assert b"first" in read_line(host.fileno())
        assert read_line(host.fileno()).startswith(b"SM!DI00")
        assert time.monotonic() - begun_s >= LATE_MS / 1000


def test_port_that_is_taken_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LineError, match="give another"):
            TCPPort(port)


def test_machine_without_terminals_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[int, int]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pty.openpty", refuse)
    with pytest.raises(LineError, match="cannot make a serial line"):
        TerminalPort()


def test_answer_that_nobody_takes_is_lost() -> None:
    port = TCPPort()
    port.write(b"nobody is here\r")
    port.close()


def test_answers_that_are_due_together_leave_together() -> None:
    """Else the machine decides whether an answer that comes twice is noticed before the next."""

    class Port:
        address = "paper"
        written: ClassVar[list[bytes]] = []

        def read(self, _timeout_s: float) -> bytes:
            if self.written or stop.is_set():
                stop.set()
                return b""
            return LINE

        def write(self, octets: bytes) -> None:
            self.written.append(octets)

        def close(self) -> None:
            pass

    stop, module = Event(), simulated_module()
    module.plan(Fault.DUPLICATE)
    serve(module, Port(), stop)
    (written,) = Port.written
    assert written.count(b"\r") == 2

"""Lines as an independent client (pymodbus, sockets, the terminal itself) sees them."""

import os
import socket
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from simulators.endpoints.bus import Bus
from simulators.endpoints.lines import FRAME_GAP_S, LineError, PTYLine, TCPLine
from simulators.endpoints.modbus_frames import Request, RTUServerFraming, compute_crc
from simulators.endpoints.modbus_server import Function
from simulators.faults import Fault, FaultPlan, FaultRates
from simulators.fleet import Runner, loop_in_thread

READ = bytes.fromhex("030000000a")
TIMEOUT_S = 60.0


class Counter:
    """A bank whose every register holds its address."""

    def read_words(self, _function: Function, address: int, count: int) -> Sequence[int]:
        return range(address, address + count)

    def write_words(self, _function: Function, _address: int, _words: Sequence[int]) -> None:
        return


@pytest.fixture
def bus() -> Bus:
    return Bus({7: Counter()}, FaultPlan(FaultRates(delay_ms=20), seed=1))


@pytest.fixture
def run() -> Iterator[Runner]:
    with loop_in_thread() as runner:
        yield runner


@pytest.fixture
def tcp_line(bus: Bus, run: Runner) -> Iterator[TCPLine]:
    line = TCPLine(bus, host="127.0.0.1", port=0)
    run(line.open())
    yield line
    run(line.close())


@pytest.fixture
def pty_line(bus: Bus, run: Runner, tmp_path: Path) -> Iterator[PTYLine]:
    line = PTYLine(bus, link=tmp_path / "run" / "line", baud=None)
    run(line.open())
    yield line
    run(line.close())


@pytest.fixture
def connection(tcp_line: TCPLine) -> Iterator[socket.socket]:
    host, port = tcp_line.address.split(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as opened:
        yield opened


@pytest.fixture
def terminal_fd(pty_line: PTYLine) -> Iterator[int]:
    fd = os.open(pty_line.address, os.O_RDWR | os.O_NOCTTY)
    yield fd
    os.close(fd)


def mbap(unit: int, pdu: bytes) -> bytes:
    return bytes([0, 1, 0, 0, 0, len(pdu) + 1, unit]) + pdu


def rtu(unit: int, pdu: bytes) -> bytes:
    return RTUServerFraming().encode(Request(unit, pdu), pdu)


def read_fd(fd: int, size_bytes: int) -> bytes:
    data = b""
    while len(data) < size_bytes:
        data += os.read(fd, size_bytes - len(data))
    return data


def read_socket(connection: socket.socket, size_bytes: int) -> bytes:
    data = b""
    while len(data) < size_bytes and (part := connection.recv(size_bytes - len(data))):
        data += part
    return data


# --- TCP ----------------------------------------------------------------------------------------
def test_a_request_over_tcp_is_answered(connection: socket.socket) -> None:
    connection.sendall(mbap(7, READ))
    assert read_socket(connection, 29)[:11].hex() == "0001000000170703140000"


def test_requests_in_one_packet_are_all_answered(connection: socket.socket) -> None:
    connection.sendall(mbap(7, READ) * 3)
    assert len(read_socket(connection, 3 * 29)) == 3 * 29


def test_a_late_answer_comes_after_its_delay(connection: socket.socket, bus: Bus) -> None:
    bus.faults.queue(Fault.DELAY)
    connection.sendall(mbap(7, READ) + mbap(8, READ))
    assert len(read_socket(connection, 29)) == 29


def test_a_stream_that_is_no_modbus_is_closed(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert connection.recv(1) == b""


def test_a_late_answer_to_a_client_that_left_is_dropped(
    tcp_line: TCPLine, bus: Bus, connection: socket.socket
) -> None:
    bus.faults.queue(Fault.DELAY)
    connection.sendall(mbap(7, READ))
    connection.close()
    host, port = tcp_line.address.split(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as other:
        bus.faults.queue(Fault.DELAY)
        other.sendall(mbap(7, READ))
        assert len(read_socket(other, 29)) == 29


def test_a_taken_port_is_named(tcp_line: TCPLine, bus: Bus, run: Runner) -> None:
    port = int(tcp_line.address.split(":")[1])
    with pytest.raises(LineError, match="give another port"):
        run(TCPLine(bus, host="127.0.0.1", port=port).open())


def test_a_line_that_never_opened_is_closed_quietly(bus: Bus, run: Runner, tmp_path: Path) -> None:
    run(TCPLine(bus, host="127.0.0.1", port=0).close())
    run(PTYLine(bus, link=tmp_path / "none", baud=None).close())


# --- pseudo-terminals ---------------------------------------------------------------------------
def test_a_request_on_the_line_is_answered(terminal_fd: int) -> None:
    os.write(terminal_fd, rtu(7, READ))
    answer = read_fd(terminal_fd, 25)
    assert answer[:3].hex() == "070314"
    assert compute_crc(answer[:-2]) == answer[-2:]


def test_half_a_request_is_forgotten_after_a_silence(terminal_fd: int, pty_line: PTYLine) -> None:
    half = rtu(7, bytes.fromhex("10000000040800"))[:8]
    os.write(terminal_fd, half)
    while not pty_line._heard_at_s:
        threading.Event().wait(0.001)
    threading.Event().wait(2 * FRAME_GAP_S)
    os.write(terminal_fd, rtu(7, READ))
    assert read_fd(terminal_fd, 25)[:3].hex() == "070314"


def test_a_driver_may_come_and_go(pty_line: PTYLine) -> None:
    for _ in range(3):
        fd = os.open(pty_line.address, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, rtu(7, READ))
        assert len(read_fd(fd, 25)) == 25
        os.close(fd)


def test_a_paced_line_takes_the_time_of_its_speed(bus: Bus, run: Runner, tmp_path: Path) -> None:
    line = PTYLine(bus, link=tmp_path / "slow", baud=2400)
    run(line.open())
    fd = os.open(line.address, os.O_RDWR | os.O_NOCTTY)
    started_s = time.monotonic()
    os.write(fd, rtu(7, READ))
    read_fd(fd, 25)
    took_s = time.monotonic() - started_s
    os.close(fd)
    run(line.close())
    assert took_s >= (8 + 25) * 10 / 2400


def test_an_answer_after_the_line_closed_is_dropped(bus: Bus, run: Runner, tmp_path: Path) -> None:
    line = PTYLine(bus, link=tmp_path / "line", baud=None)
    run(line.open())
    bus.faults.queue(Fault.DELAY)
    fd = os.open(line.address, os.O_RDWR | os.O_NOCTTY)
    os.write(fd, rtu(7, READ))
    while bus.faults._queued:
        threading.Event().wait(0.001)
    run(line.close())
    threading.Event().wait(0.05)
    os.close(fd)


def test_what_nobody_reads_is_lost(terminal_fd: int, bus: Bus) -> None:
    bus.faults.queue(*[Fault.DUPLICATE] * 400)
    for _ in range(400):
        os.write(terminal_fd, rtu(7, READ))
        threading.Event().wait(0.0005)
    termios.tcflush(terminal_fd, termios.TCIFLUSH)
    threading.Event().wait(0.1)
    termios.tcflush(terminal_fd, termios.TCIFLUSH)
    bus.faults.queue(None)
    os.write(terminal_fd, rtu(7, READ))
    assert len(read_fd(terminal_fd, 25)) == 25


def test_the_name_is_stable_and_goes_with_the_line(bus: Bus, run: Runner, tmp_path: Path) -> None:
    link = tmp_path / "line"
    link.symlink_to("/dev/left-by-a-crash")
    line = PTYLine(bus, link=link, baud=None)
    run(line.open())
    assert link.readlink().is_char_device()
    run(line.close())
    assert not link.is_symlink()


def test_a_name_taken_over_by_another_line_stays(bus: Bus, run: Runner, tmp_path: Path) -> None:
    lines = [PTYLine(bus, link=tmp_path / "line", baud=None) for _ in range(2)]
    for line in lines:
        run(line.open())
    run(lines[0].close())
    assert (tmp_path / "line").is_symlink()
    run(lines[1].close())


def test_a_name_that_is_a_file_is_kept_and_named(bus: Bus, run: Runner, tmp_path: Path) -> None:
    (tmp_path / "line").write_text("mine")
    line = PTYLine(bus, link=tmp_path / "line", baud=None)
    with pytest.raises(LineError, match="give another name"):
        run(line.open())
    run(line.close())
    assert (tmp_path / "line").read_text() == "mine"

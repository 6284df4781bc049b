import errno
import os
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from meter_drivers.errors import ConnectionLostError, LineBusyError, LinkTimeoutError
from meter_drivers.transports.serial import SerialStream


@pytest.fixture
def port() -> Iterator[str]:
    near, far = os.openpty()
    tty.setraw(far)
    yield os.ttyname(far)
    os.close(near)
    os.close(far)


def test_port_that_is_not_there_is_said() -> None:
    stream = SerialStream("/dev/ttyNobody", baud=9600, parity="N", stop_bits=1)
    with pytest.raises(ConnectionLostError, match="no such port; is the adapter plugged in"):
        stream.open()


def test_path_that_is_no_port_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ConnectionLostError):
        SerialStream(str(path), baud=9600, parity="N", stop_bits=1).open()


def test_port_has_one_owner(port: str) -> None:
    first = SerialStream(port, baud=9600, parity="N", stop_bits=1)
    second = SerialStream(port, baud=9600, parity="N", stop_bits=1)
    first.open()
    with pytest.raises(LineBusyError, match="another process holds the port"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_line_is_named_with_its_settings(port: str) -> None:
    stream = SerialStream(port, baud=2400, parity="E", stop_bits=1)
    assert stream.link == f"{port} (2400 8E1)"


def test_port_whose_adapter_was_pulled_is_lost_when_written() -> None:
    near, far = os.openpty()
    tty.setraw(far)
    stream = SerialStream(os.ttyname(far), baud=9600, parity="N", stop_bits=1)
    stream.open()
    os.close(far)
    os.close(near)
    with pytest.raises(ConnectionLostError):
        stream.write(b"x", timeout_s=1)
    assert not stream.is_open


def test_port_whose_adapter_is_pulled_while_bytes_leave_is_lost(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise termios.error(errno.EIO, "Input/output error")

    monkeypatch.setattr("termios.tcdrain", fail)
    stream = SerialStream(port, baud=9600, parity="N", stop_bits=1)
    stream.open()
    with pytest.raises(ConnectionLostError):
        stream.write(b"x", timeout_s=1)
    assert not stream.is_open


def test_line_that_takes_nothing_ends_in_a_timeout(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meter_drivers.transports.serial._WRITE_TIMEOUT_S", 0.05)
    stream = SerialStream(port, baud=9600, parity="N", stop_bits=1)
    stream.open()
    with pytest.raises(LinkTimeoutError):
        stream.write(bytes(1_000_000), timeout_s=0.05)
    stream.close()

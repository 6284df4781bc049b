"""The contract of `ByteStream`, kept by every line: memory, TCP, serial port."""

import threading
import time

import pytest

from meter_drivers.errors import ConnectionLostError, LinkTimeoutError
from meter_drivers.transports.port import SystemTimer
from tests.support.far_end import FarEnd

EVERY_BYTE = bytes(range(256))


def test_bytes_arrive_unchanged_both_ways(line: FarEnd) -> None:
    stream, send, receive, _ = line
    stream.write(EVERY_BYTE, timeout_s=1)
    assert receive(256) == EVERY_BYTE
    send(EVERY_BYTE)
    data = b""
    while len(data) < 256:
        data += stream.read(256, timeout_s=60)
    assert data == EVERY_BYTE


def test_read_brings_at_most_what_was_asked_for(line: FarEnd) -> None:
    stream, send, _, _ = line
    send(b"abcdef")
    data = b""
    while len(data) < 6:
        portion = stream.read(2, timeout_s=60)
        assert 1 <= len(portion) <= 2
        data += portion
    assert data == b"abcdef"


def test_read_does_not_wait_for_more_than_came(line: FarEnd) -> None:
    stream, send, _, _ = line
    began_s = time.monotonic()
    send(b"a")
    assert stream.read(100, timeout_s=60) == b"a"
    assert time.monotonic() - began_s < 50


@pytest.mark.parametrize("timeout_s", [0, 0.05])
def test_silence_ends_in_a_timeout_after_the_time_given(line: FarEnd, timeout_s: float) -> None:
    stream, _, _, _ = line
    began_s = time.monotonic()
    with pytest.raises(LinkTimeoutError):
        stream.read(10, timeout_s=timeout_s)
    assert timeout_s * 0.9 <= time.monotonic() - began_s < timeout_s + 60


def test_waiting_read_wakes_when_bytes_come(line: FarEnd) -> None:
    stream, send, _, _ = line
    thread = threading.Thread(target=send, args=(b"x",))
    thread.start()
    assert stream.read(10, timeout_s=60) == b"x"
    thread.join()


def test_line_whose_other_side_left_is_lost(line: FarEnd) -> None:
    stream, _, _, leave = line
    leave()
    with pytest.raises(ConnectionLostError):
        stream.read(10, timeout_s=60)


def test_closed_line_neither_reads_nor_writes_and_says_so(line: FarEnd) -> None:
    stream, _, _, _ = line
    stream.close()
    stream.close()
    assert not stream.is_open
    with pytest.raises(ConnectionLostError):
        stream.read(1, timeout_s=0.05)
    with pytest.raises(ConnectionLostError):
        stream.write(b"x", timeout_s=0.05)


def test_open_line_stays_as_it_is_when_opened_again(line: FarEnd) -> None:
    stream, send, _, _ = line
    send(b"x")
    stream.open()
    assert stream.is_open
    assert stream.read(1, timeout_s=60) == b"x"


def test_line_has_a_name(line: FarEnd) -> None:
    assert line[0].link


def test_timer_waits_and_grows() -> None:
    timer = SystemTimer()
    began_s = timer.now_s()
    timer.wait(0.01)
    timer.wait(-5)
    assert 0.01 <= timer.now_s() - began_s < 60

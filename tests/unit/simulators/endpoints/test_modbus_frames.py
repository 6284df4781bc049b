"""Frames against captured bytes and against an independent implementation."""

import pytest
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from simulators.endpoints.modbus_frames import (
    BrokenStreamError,
    Request,
    RTUServerFraming,
    TCPServerFraming,
    compute_crc,
)

READ = bytes.fromhex("030000000a")
WRITE = bytes.fromhex("10001a0001020001")


def rtu(unit: int, pdu: bytes) -> bytes:
    return FramerRTU(DecodePDU(is_server=False)).encode(pdu, unit, 0)


def tcp(unit: int, pdu: bytes, transaction: int) -> bytes:
    return FramerSocket(DecodePDU(is_server=False)).encode(pdu, unit, transaction)


def test_the_crc_is_that_of_the_published_example() -> None:
    assert compute_crc(bytes.fromhex("01030000000a")) == bytes.fromhex("c5cd")


@pytest.mark.parametrize("pdu", [READ, WRITE])
def test_rtu_takes_a_request_byte_by_byte(pdu: bytes) -> None:
    framing = RTUServerFraming()
    found = [request for byte in rtu(7, pdu) for request in framing.receive_data(bytes([byte]))]
    assert found == [Request(7, pdu)]


def test_rtu_takes_two_requests_at_once() -> None:
    framing = RTUServerFraming()
    assert framing.receive_data(rtu(1, READ) + rtu(2, WRITE)) == [
        Request(1, READ),
        Request(2, WRITE),
    ]


def test_rtu_finds_a_request_behind_noise() -> None:
    noise = bytes.fromhex("55aa5503ff01")
    framing = RTUServerFraming()
    assert framing.receive_data(noise + rtu(1, READ)) == [Request(1, READ)]


@pytest.mark.parametrize("bit", range(8 * 8))
def test_rtu_refuses_every_single_bit_flip(bit: int) -> None:
    frame = bytearray(rtu(1, READ))
    frame[bit // 8] ^= 1 << bit % 8
    assert RTUServerFraming().receive_data(bytes(frame)) == []


def test_rtu_forgets_half_a_frame_after_a_silence() -> None:
    framing = RTUServerFraming()
    assert framing.receive_data(rtu(1, WRITE)[:9]) == []
    framing.reset()
    assert framing.receive_data(rtu(1, READ)) == [Request(1, READ)]


def test_rtu_passes_a_function_it_does_not_know_when_it_comes_whole() -> None:
    assert RTUServerFraming().receive_data(rtu(1, b"\x41\x01\x02")) == [Request(1, b"\x41\x01\x02")]


def test_rtu_answers_as_the_other_implementation_reads() -> None:
    answer = RTUServerFraming().encode(Request(7, READ), b"\x03\x02\x12\x34")
    assert answer == rtu(7, b"\x03\x02\x12\x34")


def test_tcp_takes_requests_byte_by_byte() -> None:
    framing = TCPServerFraming()
    stream = tcp(7, READ, 0x1234) + tcp(8, WRITE, 0x1235)
    found = [request for byte in stream for request in framing.receive_data(bytes([byte]))]
    assert found == [Request(7, READ, 0x1234), Request(8, WRITE, 0x1235)]
    framing.reset()


def test_tcp_answers_as_the_other_implementation_reads() -> None:
    answer = TCPServerFraming().encode(Request(7, READ, 0x1234), b"\x03\x02\x12\x34")
    assert answer == tcp(7, b"\x03\x02\x12\x34", 0x1234)


@pytest.mark.parametrize("header", ["00010001000601", "00010000000101", "0001000000ff01"])
def test_tcp_gives_up_on_a_header_that_is_none(header: str) -> None:
    with pytest.raises(BrokenStreamError):
        TCPServerFraming().receive_data(bytes.fromhex(header))

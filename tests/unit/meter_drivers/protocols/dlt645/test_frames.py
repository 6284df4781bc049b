import pytest

from meter_drivers.errors import LocalProtocolError
from meter_drivers.protocols.dlt645.frames import (
    ALL_METERS,
    ANY_METER,
    BUFFER_SIZE_MAX,
    CONTROLS,
    DATA_SIZE_MAX,
    Address,
    Frame,
    FrameReader,
    Function,
)

METER = Address.parse("161")


def reread(octets: bytes) -> FrameReader:
    reader = FrameReader()
    reader.receive_data(octets)
    assert reader.next_frame() is None
    return reader


def with_checksum(head: str) -> bytes:
    content = bytes.fromhex(head)
    return content + bytes([sum(content) % 256, 0x16])


@pytest.mark.parametrize(
    ("text", "octets"),
    [("161", "610100000000"), ("AAAAAAAA0161", "6101AAAAAAAA"), ("9" * 12, "999999999999")],
)
def test_address_is_written_high_digit_first(text: str, octets: str) -> None:
    assert Address.parse(text).octets == bytes.fromhex(octets)


@pytest.mark.parametrize("text", ["", "x", "1" * 13, "1" * 14, "F1", "AA0000000000AA", "61AA"])
def test_address_that_is_none_is_refused(text: str) -> None:
    if text:
        with pytest.raises(LocalProtocolError, match="no address"):
            Address.parse(text)
    with pytest.raises(LocalProtocolError, match="no address"):
        Address(text.encode())


def test_address_says_whom_it_means() -> None:
    assert METER.is_single
    assert not METER.is_broadcast
    assert ALL_METERS.is_broadcast
    assert not ALL_METERS.is_single
    assert not ANY_METER.is_single
    assert str(Address.shortened("0161")) == "AAAAAAAA0161"


@pytest.mark.parametrize(
    ("asked", "is_meant"),
    [
        (METER, True),
        (ALL_METERS, True),
        (ANY_METER, True),
        (Address.shortened("61"), True),
        (Address.shortened("62"), False),
        (Address.parse("162"), False),
    ],
)
def test_address_covers_its_meters(asked: Address, is_meant: bool) -> None:  # noqa: FBT001
    assert asked.covers(METER) is is_meant


@pytest.mark.parametrize("control", range(256))
def test_control_codes_are_those_of_the_standard(control: int) -> None:
    function = control & 0x1F
    is_known = function in set(Function) and control >> 5 in {0b000, 0b100, 0b110, 0b101}
    if function == Function.BROADCAST_TIME:
        is_known = control == function
    if control >> 5 == 0b101:
        is_known = control in {0xB1, 0xB2}
    assert (control in CONTROLS) is is_known


@pytest.mark.parametrize(
    "frame",
    [
        Frame(METER, Function.READ, bytes(DATA_SIZE_MAX + 1)),
        Frame(METER, Function.READ, is_error=True),
        Frame(METER, Function.WRITE, is_reply=True, has_more=True),
        Frame(METER, Function.BROADCAST_TIME, is_reply=True),
    ],
)
def test_frame_that_does_not_exist_is_our_fault(frame: Frame) -> None:
    with pytest.raises(LocalProtocolError):
        frame.to_bytes()


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (with_checksum("68 610100000000 68 1E 00"), "no control code 0x1E"),
        (with_checksum("68 610100000000 68 71 00"), "no control code 0x71"),
        (with_checksum("68 610100000000 68 91 C9"), "announces 201 bytes"),
        (with_checksum("68 6A0100000000 68 11 00"), "no address of a meter"),
        (with_checksum("68 610100000000 68 11 00")[:-1] + b"\x17", "does not end"),
        (bytes.fromhex("68 610100000000 68 11 00 00 16"), "checksum"),
    ],
)
def test_frame_that_is_none_is_dropped_with_its_reason(octets: bytes, fault: str) -> None:
    reader = reread(octets)
    assert reader.last_fault is not None
    assert fault in reader.last_fault


def test_leaders_are_not_counted_as_dropped() -> None:
    reader = FrameReader()
    reader.receive_data(b"\0\xfe\xfe" + Frame(METER, Function.READ).to_bytes(leader_count=4))
    assert reader.next_frame()
    assert reader.dropped_bytes == 1


def test_buffer_is_bounded() -> None:
    reader = reread(bytes.fromhex("68 610100000000 68 91 C8"))
    for _ in range(10):
        reader.receive_data(b"\x68" * 1000)
    assert len(reader._buffer) <= BUFFER_SIZE_MAX
    assert reader.dropped_bytes == 10 + 10_000 - BUFFER_SIZE_MAX
    assert reader.last_fault == "more bytes came than are kept"


def test_reset_forgets_what_has_begun() -> None:
    frame = Frame(METER, Function.READ).to_bytes()
    reader = reread(frame[:-1])
    reader.reset()
    reader.receive_data(frame[-1:])
    assert reader.next_frame() is None
    assert reader.dropped_bytes == len(frame)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.hdlc import (
    LENGTH_MAX,
    Control,
    Frame,
    FrameReader,
    HDLCAddress,
    compute_check_sequence,
)
from meter_drivers.protocols.dlms.link_parameters import LinkParameters

CLIENT = HDLCAddress(16)
FRAMES = [
    Frame(destination=HDLCAddress.of_server(1, 17), source=CLIENT, control=Control.SNRM),
    Frame(
        destination=HDLCAddress.of_server(1, 300),
        source=CLIENT,
        control=Control.INFORMATION,
        send_sequence=3,
        receive_sequence=6,
        segmented=True,
        information=bytes.fromhex("E6E600 7E C001C1 7E7E A0"),
    ),
    Frame(destination=CLIENT, source=HDLCAddress(1), control=Control.RR, receive_sequence=7),
    Frame(destination=CLIENT, source=HDLCAddress(1), control=Control.RNR, receive_sequence=1),
    Frame(
        destination=CLIENT,
        source=HDLCAddress.of_server(1, 17),
        control=Control.UA,
        information=LinkParameters(256, 512).to_bytes(),
    ),
    Frame(destination=CLIENT, source=HDLCAddress(1), control=Control.DM, poll_final=False),
    Frame(destination=HDLCAddress(1), source=CLIENT, control=Control.DISC),
    Frame(destination=HDLCAddress(1), source=CLIENT, control=Control.UI, information=b"\x01"),
    Frame(destination=CLIENT, source=HDLCAddress(1), control=Control.FRMR, information=b"123"),
]


def read(octets: bytes) -> list[Frame]:
    reader = FrameReader()
    reader.receive_data(octets)
    return list(iter(reader.next_frame, None))


def test_check_sequence_has_the_published_check_value() -> None:
    assert compute_check_sequence(b"123456789") == (0x906E).to_bytes(2, "little")


@pytest.mark.parametrize("frame", FRAMES)
def test_frame_comes_back(frame: Frame) -> None:
    assert read(frame.to_bytes()) == [frame]


@pytest.mark.parametrize("frame", FRAMES)
def test_frame_comes_back_a_byte_at_a_time_amid_noise(frame: Frame) -> None:
    reader = FrameReader()
    found = []
    noise = bytes.fromhex("00 FF 7E 12 7E A0 7E A7")
    for octet in noise + frame.to_bytes() + noise:
        reader.receive_data(bytes([octet]))
        found += list(iter(reader.next_frame, None))
    assert found == [frame]
    assert reader.dropped_bytes >= 8


def test_frames_may_share_a_flag() -> None:
    stream = b"".join(frame.to_bytes()[:-1] for frame in FRAMES) + b"\x7e"
    assert read(stream) == FRAMES


@pytest.mark.parametrize("frame", FRAMES)
def test_every_flipped_bit_loses_the_frame(frame: Frame) -> None:
    whole = frame.to_bytes()
    collisions = 0
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        collisions += len(read(bytes(flipped)))
    assert collisions == 0


@pytest.mark.parametrize("frame", FRAMES)
def test_frame_behind_a_damaged_one_is_found(frame: Frame) -> None:
    whole = frame.to_bytes()
    for position in range(1, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        assert read(bytes(damaged) + FRAMES[0].to_bytes()) == [FRAMES[0]]


@pytest.mark.parametrize("frame", FRAMES)
def test_truncated_frame_is_no_frame(frame: Frame) -> None:
    whole = frame.to_bytes()
    assert all(read(whole[:size_bytes]) == [] for size_bytes in range(len(whole)))


NOISE = st.one_of(
    st.binary(max_size=80), st.sampled_from([b"\x7e", b"\x7e\xa7", b"\x7e\xa7\xff\x03"])
)


@given(st.lists(NOISE, max_size=60))
def test_reader_is_bounded_and_finds_frames_behind_any_noise(portions: list[bytes]) -> None:
    reader = FrameReader()
    for portion in portions:
        reader.receive_data(portion)
        assert list(iter(reader.next_frame, None)) == []
        assert len(reader._buffer) <= LENGTH_MAX + 2
    reader.reset()
    reader.receive_data(FRAMES[0].to_bytes())
    assert reader.next_frame() == FRAMES[0]


@given(st.sampled_from(FRAMES), st.data())
def test_frame_comes_back_in_any_portions(frame: Frame, data: st.DataObject) -> None:
    whole = frame.to_bytes() * 3
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=9)))
    reader, found = FrameReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        reader.receive_data(whole[start:end])
        found += list(iter(reader.next_frame, None))
    assert found == [frame] * 3


def rebuilt(content: bytes) -> bytes:
    return b"\x7e" + content + compute_check_sequence(content) + b"\x7e"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("B008 03 21 93", "type 3"),
        ("A007 02 02 02 02 21 93", "address"),
        ("A008 02 02 03 21 93", "address"),
        ("A007 03 21 7F", "control"),
        ("A007 03 21 FF", "control"),
        ("A005 03 21 93", "impossible"),
        ("A009 03 21 93", "impossible"),
        ("A008 03 21 93", "impossible"),
    ],
)
def test_reader_tells_what_it_dropped(content: str, fault: str) -> None:
    reader = FrameReader()
    reader.receive_data(rebuilt(bytes.fromhex(content)))
    assert reader.next_frame() is None
    assert reader.last_fault is not None
    assert fault in reader.last_fault


def test_frame_with_a_wrong_end_is_dropped() -> None:
    reader = FrameReader()
    reader.receive_data(FRAMES[1].to_bytes()[:-1] + b"\x00")
    assert reader.next_frame() is None
    assert reader.last_fault is not None


@pytest.mark.parametrize(
    ("address", "octets"),
    [
        (HDLCAddress(16), "21"),
        (HDLCAddress.of_server(1), "03"),
        (HDLCAddress.of_server(1, 17), "0223"),
        (HDLCAddress.of_server(1, 0x7F), "02FF"),
        (HDLCAddress.of_server(1, 0x80), "00020201"),
        (HDLCAddress.of_server(0x3FFF, 0x3FFF), "FEFEFEFF"),
        (HDLCAddress(1, 17, 4), "00020023"),
    ],
)
def test_address_comes_back(address: HDLCAddress, octets: str) -> None:
    assert address.to_bytes() == bytes.fromhex(octets)
    assert HDLCAddress.from_bytes(bytes.fromhex(octets)) == address


@pytest.mark.parametrize(
    ("upper", "lower", "size_bytes"),
    [(128, None, 1), (1, 2, 1), (1, None, 2), (128, 1, 2), (1, 1, 3), (0x4000, 1, 4), (-1, 1, 4)],
)
def test_address_that_does_not_fit_is_refused(
    upper: int, lower: int | None, size_bytes: int
) -> None:
    with pytest.raises(LocalProtocolError, match="does not fit"):
        HDLCAddress(upper, lower, size_bytes)


def test_address_of_three_bytes_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="3 bytes"):
        HDLCAddress.from_bytes(b"\x02\x02\x03")


def test_frame_refuses_what_it_cannot_carry() -> None:
    with pytest.raises(LocalProtocolError, match="carries no information"):
        Frame(destination=CLIENT, source=CLIENT, control=Control.RR, information=b"x").to_bytes()
    with pytest.raises(LocalProtocolError, match="do not fit"):
        Frame(
            destination=CLIENT, source=CLIENT, control=Control.UI, information=bytes(2040)
        ).to_bytes()


def test_parameters_come_back_and_have_defaults() -> None:
    parameters = LinkParameters(256, 1024, 1, 7)
    assert LinkParameters.from_bytes(parameters.to_bytes()) == parameters
    assert LinkParameters.from_bytes(b"") == LinkParameters(128, 128, 1, 1)
    assert LinkParameters.from_bytes(bytes.fromhex("818000")) == LinkParameters()
    assert LinkParameters.from_bytes(bytes.fromhex("8180040502FFFF")).transmit_size_bytes == 2030


def test_parameters_agree_on_the_lesser() -> None:
    ours, theirs = LinkParameters(1000, 500, 7, 7), LinkParameters(300, 200, 1, 2)
    assert ours.agree(theirs) == LinkParameters(200, 300, 2, 1)


@pytest.mark.parametrize(
    "information",
    ["82", "8181", "8180", "818004050100", "81800305010000", "8180030501", "818003050100",
     "818003070100", "818003070108"],
)  # fmt: skip
def test_malformed_parameters_are_refused(information: str) -> None:
    with pytest.raises(RemoteProtocolError):
        LinkParameters.from_bytes(bytes.fromhex(information))

"""Frames of DL/T 645-2007 both ways, in portions, in noise, and with every bit turned."""

import json
from pathlib import Path
from typing import Any

import pytest

from meter_drivers.protocols.dlt645.frames import CONTROLS, Address, Frame, FrameReader

DOCUMENT = json.loads((Path(__file__).parent / "frames.json").read_text("utf-8"))
VECTORS = [*DOCUMENT["vectors"], *DOCUMENT["own"]["vectors"]]
NOISE = bytes.fromhex("00 FF 68 16 33 FE 68")


def frame_of(vector: dict[str, Any]) -> Frame:
    expect = vector["expect"]
    control = int(expect["control"], 16)
    return Frame(
        Address.parse(expect["address"]),
        CONTROLS[control],
        bytes.fromhex(expect["data"]),
        is_reply=bool(control & 0x80),
        is_error=bool(control & 0x40),
        has_more=bool(control & 0x20),
    )


def read_all(*portions: bytes) -> list[Frame]:
    reader = FrameReader()
    found = []
    for portion in portions:
        reader.receive_data(portion)
        while frame := reader.next_frame():
            found.append(frame)
    reader.receive_silence()
    while frame := reader.next_frame():
        found.append(frame)
    return found


@pytest.fixture(params=VECTORS, ids=[vector["id"] for vector in VECTORS])
def vector(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


@pytest.fixture
def octets(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["frame"])


def test_all_published_frames_are_here() -> None:
    assert [vector["id"] for vector in DOCUMENT["vectors"]] == [f"D{n}" for n in range(1, 20)]


def test_frame_is_made_of_its_parts(vector: dict[str, Any], octets: bytes) -> None:
    assert frame_of(vector).to_bytes() == octets


def test_frame_is_read_at_once(vector: dict[str, Any], octets: bytes) -> None:
    assert read_all(octets) == [frame_of(vector)]


def test_frame_is_read_a_byte_at_a_time(vector: dict[str, Any], octets: bytes) -> None:
    assert read_all(*(bytes([octet]) for octet in octets)) == [frame_of(vector)]


@pytest.mark.parametrize("leader_count", range(5))
def test_frame_is_read_behind_leaders(
    vector: dict[str, Any], octets: bytes, leader_count: int
) -> None:
    assert read_all(b"\xfe" * leader_count + octets) == [frame_of(vector)]


@pytest.mark.parametrize("cut", range(len(NOISE) + 1))
def test_frame_is_read_in_noise(vector: dict[str, Any], octets: bytes, cut: int) -> None:
    assert read_all(NOISE[:cut] + octets + NOISE[cut:]) == [frame_of(vector)]


def test_frames_back_to_back_are_all_read(vector: dict[str, Any], octets: bytes) -> None:
    assert read_all(octets * 3) == [frame_of(vector)] * 3


def test_truncated_frame_is_never_read_and_the_next_one_is(
    vector: dict[str, Any], octets: bytes
) -> None:
    for size in range(len(octets)):
        assert read_all(octets[:size]) == []
        assert read_all(octets[:size], octets) == [frame_of(vector)]


def test_every_single_bit_flip_is_refused(octets: bytes) -> None:
    for place in range(8 * len(octets)):
        flipped = bytearray(octets)
        flipped[place // 8] ^= 1 << place % 8
        assert read_all(bytes(flipped)) == []


def test_no_flip_hides_the_frame_behind(vector: dict[str, Any], octets: bytes) -> None:
    for place in range(8 * len(octets)):
        flipped = bytearray(octets)
        flipped[place // 8] ^= 1 << place % 8
        assert read_all(bytes(flipped), octets) == [frame_of(vector)]

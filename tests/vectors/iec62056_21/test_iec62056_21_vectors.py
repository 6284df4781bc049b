"""Messages of IEC 62056-21 both ways, in portions, in noise, and with every bit turned."""

import json
from pathlib import Path
from typing import Any

import pytest

from meter_drivers.protocols.iec62056_21.bcc import add_even_parity
from meter_drivers.protocols.iec62056_21.messages import (
    Acknowledgement,
    Block,
    Command,
    CommandCode,
    Damaged,
    Identification,
    Message,
    MessageReader,
    Option,
    OptionSelect,
    SignOn,
)

DOCUMENT = json.loads((Path(__file__).parent / "messages.json").read_text("utf-8"))
VECTORS = [*DOCUMENT["vectors"], *DOCUMENT["own"]["vectors"]]

CHECKED = [vector for vector in VECTORS if vector["expect"]["kind"] in {"command", "block"}]


def message_of(vector: dict[str, Any]) -> Message:
    parts = dict(vector["expect"])
    match parts.pop("kind"):
        case "command":
            return Command(CommandCode(parts["code"]), parts["data"])
        case "option":
            return OptionSelect(parts["speed"], Option(parts["option"]))
        case "sign_on":
            return SignOn(**parts)
        case "identification":
            return Identification(**parts)
        case "acknowledgement":
            return Acknowledgement(**parts)
        case _:
            return Block(**parts)


def read_all(
    *portions: bytes, expects_option: bool = False, has_parity: bool = False
) -> list[Message | Damaged]:
    reader = MessageReader(has_parity=has_parity)
    reader.expects_option = expects_option
    found = []
    for portion in portions:
        reader.receive_data(portion)
        while message := reader.next_message():
            found.append(message)
    return found


@pytest.fixture(params=VECTORS, ids=[vector["id"] for vector in VECTORS])
def vector(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


@pytest.fixture
def message(vector: dict[str, Any]) -> Message:
    return message_of(vector)


@pytest.fixture
def octets(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["octets"])


@pytest.fixture
def expects_option(message: Message) -> bool:
    return isinstance(message, OptionSelect)


def flips(octets: bytes, bits: range) -> list[bytes]:
    return [
        octets[:place] + bytes([octets[place] ^ 1 << bit]) + octets[place + 1 :]
        for place in range(len(octets))
        for bit in bits
    ]


def test_message_is_made_of_its_parts(message: Message, octets: bytes) -> None:
    assert message.to_bytes() == octets


def test_message_is_read_at_once(message: Message, octets: bytes, *, expects_option: bool) -> None:
    assert read_all(octets, expects_option=expects_option) == [message]


def test_message_is_read_a_byte_at_a_time(
    message: Message, octets: bytes, *, expects_option: bool
) -> None:
    portions = (bytes([octet]) for octet in octets)
    assert read_all(*portions, expects_option=expects_option) == [message]


def test_message_is_read_in_noise(message: Message, octets: bytes, *, expects_option: bool) -> None:
    noisy = b"\x00\xff\x7f\r\n" + octets + b"\x00\xff"
    assert read_all(noisy, expects_option=expects_option) == [message]


def test_message_is_read_with_parity_in_its_bytes(
    message: Message, octets: bytes, *, expects_option: bool
) -> None:
    sent = add_even_parity(octets)
    assert read_all(sent, expects_option=expects_option, has_parity=True) == [message]


def test_every_single_bit_flip_under_parity_is_refused(
    octets: bytes, *, expects_option: bool
) -> None:
    for flipped in flips(add_even_parity(octets), range(8)):
        found = read_all(flipped, expects_option=expects_option, has_parity=True)
        assert all(isinstance(each, Damaged) for each in found)


@pytest.mark.parametrize("checked", CHECKED, ids=[vector["id"] for vector in CHECKED])
def test_bcc_alone_refuses_every_single_bit_flip_but_that_of_stx_into_ack(
    checked: dict[str, Any],
) -> None:
    """ACK is one character without a check: on a line without parity nothing guards it."""
    octets = bytes.fromhex(checked["octets"])
    taken = [
        found
        for flipped in flips(octets, range(8))
        for found in read_all(flipped)
        if not isinstance(found, Damaged)
    ]
    assert taken == [Acknowledgement(is_positive=True)] * (octets[0] == 0x02)


def test_truncated_message_is_never_read(octets: bytes, *, expects_option: bool) -> None:
    for size in range(len(octets)):
        assert read_all(octets[:size], expects_option=expects_option) == []

import pytest

from meter_drivers.errors import LocalProtocolError
from meter_drivers.protocols.iec62056_21.bcc import compute_bcc
from meter_drivers.protocols.iec62056_21.messages import (
    LINE_SIZE_MAX,
    MESSAGE_SIZE_MAX,
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


@pytest.fixture
def reader() -> MessageReader:
    return MessageReader()


def close(content: str) -> bytes:
    octets = content.encode("ascii")
    return octets + bytes([compute_bcc(octets[1:])])


def test_third_letter_tells_the_reaction() -> None:
    assert Identification("ABC", "5", "").reaction_ms == 200
    assert Identification("ABc", "5", "").reaction_ms == 20


@pytest.mark.parametrize(("speed", "baud"), [("0", 300), ("5", 9600), ("6", 19200), ("A", None)])
def test_speed_character_tells_the_baud(speed: str, baud: int | None) -> None:
    assert Identification("ABC", speed, "").baud == baud


@pytest.mark.parametrize(
    "parts",
    [
        ("AB", "5", ""),
        ("AB1", "5", ""),
        ("ABC", "", ""),
        ("ABC", "/", ""),
        ("ABC", "5", "\n"),
        ("ABC", "5", "\xe9"),
        ("ÄBC", "5", ""),
    ],
)
def test_identification_that_is_none_is_refused(parts: tuple[str, str, str]) -> None:
    with pytest.raises(LocalProtocolError, match="no identification"):
        Identification(*parts)


@pytest.mark.parametrize(
    "message",
    [
        SignOn("1" * 33),
        SignOn("a/b"),
        SignOn("é"),
        OptionSelect("7", Option.READOUT),
        Command(CommandCode.READ, "é()"),
        Command(CommandCode.READ, "\x03"),
        Block("1(\x00)"),
    ],
)
def test_message_that_cannot_be_written_is_our_fault(message: Message) -> None:
    with pytest.raises(LocalProtocolError):
        message.to_bytes()


@pytest.mark.parametrize("code", CommandCode)
@pytest.mark.parametrize("is_last", [True, False])
def test_every_command_goes_both_ways(
    reader: MessageReader, code: CommandCode, *, is_last: bool
) -> None:
    command = Command(code, "1.8.0(1)", is_last)
    reader.receive_data(command.to_bytes())
    assert reader.next_message() == command


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (close("\x01R1X1()\x03"), "no STX"),
        (close("\x01Z1\x021()\x03"), "no such command"),
        (close("\x021(1)\x03")[:-1] + b"\x7f", "block check character"),
        (b"/?12\r\n", "exclamation mark"),
        (b"/AB\r\n", "no identification"),
        (b"/AB1\r\n", "no identification"),
        (b"/?\xb1!\r\n", "parity"),
    ],
)
def test_message_that_is_none_is_damaged(reader: MessageReader, octets: bytes, reason: str) -> None:
    reader.receive_data(octets)
    found = reader.next_message()
    assert isinstance(found, Damaged)
    assert reason in found.reason


@pytest.mark.parametrize(
    "octets", [b"\x06051X\r\n", b"\x06151\r\n", b"\x06071\r\n", b"\x06053\r\n"]
)
def test_option_select_that_is_none_is_damaged(reader: MessageReader, octets: bytes) -> None:
    reader.expects_option = True
    reader.receive_data(octets)
    found = reader.next_message()
    assert found == Damaged(f"an option select is none of mode C: {octets.hex(' ')}")


def test_ack_is_one_character_where_no_option_is_expected(reader: MessageReader) -> None:
    reader.receive_data(b"\x06\x15")
    assert reader.next_message() == Acknowledgement(is_positive=True)
    assert reader.next_message() == Acknowledgement(is_positive=False)
    assert reader.next_message() is None


def test_check_character_may_be_any_character(reader: MessageReader) -> None:
    blocks = [Block(chr(33 + place)) for place in range(90)]
    reader.receive_data(b"".join(block.to_bytes() for block in blocks))
    assert [reader.next_message() for _ in blocks] == blocks
    assert reader.dropped_bytes == 0


@pytest.mark.parametrize(
    ("start", "size"), [(b"\x02", MESSAGE_SIZE_MAX), (b"/", LINE_SIZE_MAX)], ids=["block", "line"]
)
def test_message_without_end_is_given_up(reader: MessageReader, start: bytes, size: int) -> None:
    reader.receive_data(start + b"1" * (size - 1))
    assert reader.next_message() is None
    reader.receive_data(b"1")
    assert reader.next_message() == Damaged("a message has no end")
    assert reader.dropped_bytes == size + 1


def test_reset_forgets_what_has_begun(reader: MessageReader) -> None:
    octets = Block("1(1)").to_bytes()
    reader.receive_data(octets[:-1])
    assert reader.next_message() is None
    reader.reset()
    reader.receive_data(octets[-1:])
    assert reader.next_message() is None

"""The same bytes through `iec62056-21`, which is not ours: readouts, answers, commands, sign-on.

It expects a backslash before the identification, and takes neither partial blocks nor errors.
"""

import pytest
from iec62056_21.messages import (
    AckOptionSelectMessage,
    AnswerDataMessage,
    CommandMessage,
    IdentificationMessage,
    ReadoutDataMessage,
    RequestMessage,
)
from iec62056_21.messages import (
    DataSet as PeerDataSet,
)

from meter_drivers.protocols.iec62056_21.data_lines import DataSet, parse_data, write_readout
from meter_drivers.protocols.iec62056_21.messages import (
    Block,
    Command,
    CommandCode,
    Identification,
    Message,
    MessageReader,
    Option,
    OptionSelect,
    SignOn,
)

LINES = [
    [DataSet("0.0.0", "00012345")],
    [DataSet("1-0:1.8.0*255", "000123.45", "kWh"), DataSet("1.8.1", "7", "kWh")],
    [DataSet("F.F", "00")],
]
COMMANDS = [
    (CommandCode.READ, "1.8.0", ""),
    (CommandCode.WRITE, "0.9.1", "123456"),
    (CommandCode.READ_MAKER, "P.01", "1;2"),
    (CommandCode.WRITE_FORMATTED, "C003", "910324092239"),
    (CommandCode.EXECUTE, "3:1", "1"),
]


def read(octets: bytes, *, expects_option: bool = False) -> object:
    reader = MessageReader()
    reader.expects_option = expects_option
    reader.receive_data(octets)
    return reader.next_message()


def sets_of(message: Message | object) -> list[tuple[str, str, str | None]]:
    assert isinstance(message, Block)
    return [(each.code, each.value, each.unit) for each in parse_data(message.data)]


def test_peer_reads_our_readout_and_writes_the_same_bytes() -> None:
    octets = Block(write_readout(LINES)).to_bytes()
    peer = ReadoutDataMessage.from_bytes(octets)
    theirs = [
        (each.address, each.value, each.unit)
        for line in peer.data_block.data_lines
        for each in line.data_sets
    ]
    assert theirs == [(each.code, each.value, each.unit) for line in LINES for each in line]
    assert peer.to_bytes() == octets
    assert sets_of(read(peer.to_bytes())) == theirs


def test_peer_reads_our_answer() -> None:
    octets = Block("1.8.0(000123.45*kWh)").to_bytes()
    (peer,) = AnswerDataMessage.from_bytes(octets).data
    assert (peer.address, peer.value, peer.unit) == ("1.8.0", "000123.45", "kWh")


@pytest.mark.parametrize(("code", "address", "value"), COMMANDS)
def test_commands_are_the_same_bytes(code: CommandCode, address: str, value: str) -> None:
    ours = Command(code, f"{address}({value})")
    theirs = CommandMessage(code[0], int(code[1]), PeerDataSet(address, value))
    assert ours.to_bytes() == theirs.to_bytes()
    assert read(theirs.to_bytes()) == ours


def test_break_is_the_same_bytes() -> None:
    assert Command(CommandCode.BREAK).to_bytes() == CommandMessage("B", 0, None).to_bytes()


@pytest.mark.parametrize("address", ["", "00012345"])
def test_sign_on_is_the_same_bytes(address: str) -> None:
    assert SignOn(address).to_bytes() == RequestMessage(address).to_bytes()
    assert read(RequestMessage(address).to_bytes()) == SignOn(address)


def test_option_select_is_the_same_bytes() -> None:
    ours = OptionSelect("5", Option.PROGRAMMING)
    theirs = AckOptionSelectMessage("5", "1").to_bytes()
    assert ours.to_bytes() == theirs
    assert read(theirs, expects_option=True) == ours


def test_identifications_are_read_both_ways() -> None:
    ours = Identification("ABC", "5", "\\PREPAY-1")
    theirs = IdentificationMessage("PREPAY-1", "ABC", "5")
    assert ours.to_bytes() == theirs.to_bytes()
    assert read(theirs.to_bytes()) == ours

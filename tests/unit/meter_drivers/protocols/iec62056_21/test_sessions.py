"""A host and a meter of ours on one line, and each alone with what it must refuse."""

from collections.abc import Callable

import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.iec62056_21 import connection
from meter_drivers.protocols.iec62056_21.bcc import add_even_parity
from meter_drivers.protocols.iec62056_21.connection import (
    BLOCKS_MAX,
    Acknowledged,
    BreakReceived,
    Challenged,
    DamagedReceived,
    DataReceived,
    ErrorReceived,
    FollowOnNeeded,
    HostConnection,
    HostState,
    Identified,
    SpeedChange,
)
from meter_drivers.protocols.iec62056_21.data_lines import DataSet, write_readout
from meter_drivers.protocols.iec62056_21.messages import (
    Acknowledgement,
    Block,
    Command,
    CommandCode,
    Identification,
    Option,
    OptionSelect,
    SignOn,
)
from meter_drivers.protocols.iec62056_21.meter_connection import (
    MeterConnection,
    MeterState,
    Ordered,
    ReplyReady,
    Selected,
    SignedOn,
)

IDENTITY = Identification("ABC", "5", "PREPAY-1")
ENERGY = DataSet("1.8.0", "000123.45", "kWh")
READOUT = write_readout([[DataSet("0.0.0", "00012345")], [ENERGY]])
READ = Command(CommandCode.READ, "1.8.0()")


@pytest.fixture(params=[False, True], ids=["plain", "parity"])
def has_parity(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def host(*, has_parity: bool) -> HostConnection:
    return HostConnection(has_parity=has_parity)


@pytest.fixture
def meter(*, has_parity: bool) -> MeterConnection:
    return MeterConnection(IDENTITY, address="00012345", has_parity=has_parity)


@pytest.fixture
def identified(host: HostConnection, meter: MeterConnection) -> HostConnection:
    meter.receive_data(host.sign_on("12345"))
    assert meter.next_event() == SignedOn("12345")
    host.receive_data(meter.identify())
    assert host.next_event() == Identified(IDENTITY)
    return host


@pytest.fixture
def programming(identified: HostConnection, meter: MeterConnection) -> HostConnection:
    meter.receive_data(identified.select(Option.PROGRAMMING))
    assert identified.next_event() == SpeedChange(9600)
    assert meter.next_event() == Selected(Option.PROGRAMMING)
    assert meter.next_event() == SpeedChange(9600)
    identified.receive_data(meter.challenge("00000000"))
    assert identified.next_event() == Challenged((DataSet("", "00000000"),))
    return identified


def encode(message: Acknowledgement | Block | Command, *, has_parity: bool) -> bytes:
    return add_even_parity(message.to_bytes()) if has_parity else message.to_bytes()


def test_readout_arrives_at_the_new_speed(
    identified: HostConnection, meter: MeterConnection
) -> None:
    meter.receive_data(identified.select(Option.READOUT))
    assert identified.next_event() == SpeedChange(9600)
    assert meter.next_event() == Selected(Option.READOUT)
    assert meter.next_event() == SpeedChange(9600)
    identified.receive_data(meter.send_readout(READOUT))
    assert identified.next_event() == DataReceived((DataSet("0.0.0", "00012345"), ENERGY))
    assert identified.next_event() == SpeedChange(300)
    assert identified.state is HostState.IDLE
    meter.reset()
    assert meter.next_event() == SpeedChange(300)


def test_damaged_readout_is_asked_for_again(
    identified: HostConnection, meter: MeterConnection
) -> None:
    meter.receive_data(identified.select(Option.READOUT))
    assert identified.next_event() == SpeedChange(9600)
    assert meter.next_event() == Selected(Option.READOUT)
    assert meter.next_event() == SpeedChange(9600)
    octets = bytearray(meter.send_readout(READOUT))
    octets[5] ^= 1
    identified.receive_data(bytes(octets))
    assert isinstance(identified.next_event(), DamagedReceived)
    meter.receive_data(identified.repeat_please())
    reply = meter.next_event()
    assert isinstance(reply, ReplyReady)
    identified.receive_data(reply.octets)
    assert isinstance(identified.next_event(), DataReceived)


def test_value_is_read(programming: HostConnection, meter: MeterConnection) -> None:
    meter.receive_data(programming.order(READ))
    assert meter.next_event() == Ordered(READ)
    programming.receive_data(meter.answer([ENERGY.to_text()]))
    assert programming.next_event() == DataReceived((ENERGY,))
    assert programming.state is HostState.PROGRAMMING


def test_answer_in_parts_is_put_together(
    programming: HostConnection, meter: MeterConnection
) -> None:
    text = ENERGY.to_text()
    meter.receive_data(programming.order(READ))
    assert meter.next_event() == Ordered(READ)
    programming.receive_data(meter.answer([text[:4], text[4:9], text[9:]]))
    for _ in range(2):
        event = programming.next_event()
        assert isinstance(event, FollowOnNeeded)
        meter.receive_data(event.octets)
        reply = meter.next_event()
        assert isinstance(reply, ReplyReady)
        programming.receive_data(reply.octets)
    assert programming.next_event() == DataReceived((ENERGY,))


@pytest.mark.parametrize("is_positive", [True, False])
def test_write_is_acknowledged_or_not(
    programming: HostConnection, meter: MeterConnection, *, is_positive: bool
) -> None:
    meter.receive_data(programming.order(Command(CommandCode.WRITE, "0.9.1(123456)")))
    assert isinstance(meter.next_event(), Ordered)
    programming.receive_data(meter.acknowledge(is_positive=is_positive))
    assert programming.next_event() == Acknowledged(is_positive)


@pytest.mark.parametrize("text", ["ER07", "07"])
def test_refusal_is_an_error_in_brackets(
    programming: HostConnection, meter: MeterConnection, text: str
) -> None:
    meter.receive_data(programming.order(Command(CommandCode.EXECUTE, "1()")))
    assert isinstance(meter.next_event(), Ordered)
    programming.receive_data(meter.refuse(text))
    assert programming.next_event() == ErrorReceived("ER07")


def test_host_ends_the_session(programming: HostConnection, meter: MeterConnection) -> None:
    meter.receive_data(programming.break_off())
    assert programming.next_event() == SpeedChange(300)
    assert [meter.next_event(), meter.next_event()] == [BreakReceived(), SpeedChange(300)]


def test_sign_on_right_behind_a_break_is_heard(meter: MeterConnection, *, has_parity: bool) -> None:
    octets = Command(CommandCode.BREAK).to_bytes() + b"/?!\r\n"
    meter.receive_data(add_even_parity(octets) if has_parity else octets)
    assert [meter.next_event(), meter.next_event()] == [BreakReceived(), SignedOn("")]


def test_meter_ends_the_session(programming: HostConnection, *, has_parity: bool) -> None:
    programming.receive_data(encode(Command(CommandCode.BREAK), has_parity=has_parity))
    assert programming.next_event() == BreakReceived()
    assert programming.next_event() == SpeedChange(300)


def test_speed_that_was_not_offered_is_not_taken(
    identified: HostConnection, meter: MeterConnection
) -> None:
    meter.receive_data(identified.select(Option.PROGRAMMING, speed="6"))
    assert identified.next_event() == SpeedChange(19200)
    assert meter.next_event() == Selected(Option.READOUT)
    assert meter.next_event() is None


def test_own_echo_of_the_sign_on_is_passed_over(
    host: HostConnection, meter: MeterConnection
) -> None:
    octets = host.sign_on()
    host.receive_data(octets)
    assert host.next_event() is None
    meter.receive_data(octets)
    assert meter.next_event() == SignedOn("")
    host.receive_data(meter.identify())
    assert isinstance(host.next_event(), Identified)
    assert host.dropped_bytes == 0


def test_meter_is_silent_to_the_sign_on_of_another(
    host: HostConnection, meter: MeterConnection
) -> None:
    meter.receive_data(host.sign_on("99"))
    assert meter.next_event() is None


def test_meter_answers_damage_in_programming_mode_with_nak(
    programming: HostConnection, meter: MeterConnection, *, has_parity: bool
) -> None:
    octets = bytearray(programming.order(READ))
    octets[5] ^= 1
    meter.receive_data(bytes(octets))
    expected = encode(Acknowledgement(is_positive=False), has_parity=has_parity)
    assert meter.next_event() == ReplyReady(expected)


# --- what is out of turn ------------------------------------------------------------------------
HOST_CALLS: list[Callable[[HostConnection], bytes]] = [
    lambda host: host.select(Option.READOUT),
    lambda host: host.order(READ),
    lambda host: host.repeat_please(),
]


@pytest.mark.parametrize("call", HOST_CALLS)
def test_host_says_nothing_out_of_turn(
    host: HostConnection, call: Callable[[HostConnection], bytes]
) -> None:
    with pytest.raises(LocalProtocolError, match="while idle"):
        call(host)


METER_CALLS: list[Callable[[MeterConnection], bytes]] = [
    lambda meter: meter.identify(),
    lambda meter: meter.send_readout(READOUT),
    lambda meter: meter.challenge(),
    lambda meter: meter.answer(["1(1)"]),
    lambda meter: meter.acknowledge(),
    lambda meter: meter.refuse("ER"),
]


@pytest.mark.parametrize("call", METER_CALLS)
def test_meter_says_nothing_out_of_turn(
    meter: MeterConnection, call: Callable[[MeterConnection], bytes]
) -> None:
    with pytest.raises(LocalProtocolError, match="while idle"):
        call(meter)
    assert meter.state is MeterState.IDLE


def test_second_sign_on_waits_for_the_end_of_the_first(identified: HostConnection) -> None:
    with pytest.raises(LocalProtocolError, match="while identified"):
        identified.sign_on()


def test_binary_mode_is_not_spoken(identified: HostConnection) -> None:
    with pytest.raises(LocalProtocolError, match="HDLC"):
        identified.select(Option.BINARY)


def test_break_is_no_order(programming: HostConnection) -> None:
    with pytest.raises(LocalProtocolError, match="break_off"):
        programming.order(Command(CommandCode.BREAK))


def test_answer_has_a_part(programming: HostConnection, meter: MeterConnection) -> None:
    assert programming.state is HostState.PROGRAMMING
    with pytest.raises(LocalProtocolError, match="at least one"):
        meter.answer([])


def test_answer_to_nothing_ends_the_session(
    programming: HostConnection, *, has_parity: bool
) -> None:
    programming.receive_data(encode(Block("1(1)"), has_parity=has_parity))
    with pytest.raises(RemoteProtocolError, match="Block comes while programming"):
        programming.next_event()
    assert programming.state is HostState.IDLE


def test_what_comes_while_idle_is_passed_over(host: HostConnection, *, has_parity: bool) -> None:
    host.receive_data(encode(Block("1(1)"), has_parity=has_parity))
    assert host.next_event() is None


def test_answer_without_end_is_given_up(programming: HostConnection, *, has_parity: bool) -> None:
    programming.order(READ)
    part = encode(Block("1(1)", is_last=False), has_parity=has_parity)
    for _ in range(BLOCKS_MAX):
        programming.receive_data(part)
        assert isinstance(programming.next_event(), FollowOnNeeded)
    programming.receive_data(part)
    with pytest.raises(RemoteProtocolError, match="no end"):
        programming.next_event()


def test_option_out_of_turn_is_passed_over(meter: MeterConnection, *, has_parity: bool) -> None:
    octets = OptionSelect("5", Option.READOUT).to_bytes()
    meter.receive_data(add_even_parity(octets) if has_parity else octets)
    assert meter.next_event() is None


def test_time_outs_are_data() -> None:
    assert connection.SESSION_TIMEOUT_MIN_S < connection.SESSION_TIMEOUT_MAX_S
    assert connection.START_BAUD == 300


def test_meter_hears_the_sign_on_behind_a_false_beginning(
    meter: MeterConnection, *, has_parity: bool
) -> None:
    octets = b"\x01\x02" + SignOn().to_bytes()
    meter.receive_data(add_even_parity(octets) if has_parity else octets)
    assert meter.next_event() is None
    meter.receive_silence()
    assert meter.next_event() == SignedOn("")


def test_host_reads_the_block_behind_a_false_beginning(
    programming: HostConnection, *, has_parity: bool
) -> None:
    programming.order(READ)
    octets = b"/" + Block("1(1)").to_bytes()
    programming.receive_data(add_even_parity(octets) if has_parity else octets)
    assert programming.next_event() is None
    programming.receive_silence()
    assert programming.next_event() == DataReceived((DataSet("1", "1"),))

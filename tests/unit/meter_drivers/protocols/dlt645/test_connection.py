import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlt645.connection import (
    SEQUENCE_MAX,
    STALE_FRAMES_MAX,
    Answered,
    ClientConnection,
    FollowOnNeeded,
    ReplyReady,
    RequestReceived,
    ServerConnection,
)
from meter_drivers.protocols.dlt645.frames import ALL_METERS, ANY_METER, Address, Frame, Function
from meter_drivers.protocols.dlt645.messages import AddressRead, Confirmed, DataRead, Refused
from meter_drivers.protocols.dlt645.refusals import PlainError
from meter_drivers.protocols.dlt645.requests import Freeze, ReadAddress, ReadData, WriteAddress

ENERGY = 0x00010000
ANSWER = DataRead(ENERGY, b"\x78\x06\0\0")
OTHER = Address.parse("1")


def reply_frame(address: Address, data: str, *, function: Function = Function.READ) -> bytes:
    return Frame(address, function, bytes.fromhex(data), is_reply=True).to_bytes()


@pytest.fixture
def asking(client: ClientConnection) -> ClientConnection:
    client.send(ReadData(ENERGY))
    return client


def answer_of(client: ClientConnection) -> object:
    event = client.next_event()
    assert isinstance(event, Answered)
    return event.answer


def test_request_is_the_captured_frame(client: ClientConnection) -> None:
    printed = "FEFEFEFE 68 61 10 01 30 12 15 68 11 04 33 33 34 33 7B 16"
    assert client.send(ReadData(ENERGY)) == bytes.fromhex(printed)


def test_answer_is_read_a_byte_at_a_time(asking: ClientConnection) -> None:
    captured = bytes.fromhex("68 61 10 01 30 12 15 68 91 08 33 33 34 33 AB 39 33 33 49 16")
    for octet in captured[:-1]:
        asking.receive_data(bytes([octet]))
        assert asking.next_event() is None
    asking.receive_data(captured[-1:])
    assert answer_of(asking) == ANSWER
    assert not asking.is_waiting


def test_own_echo_is_passed_over(client: ClientConnection, address: Address) -> None:
    client.receive_data(client.send(ReadData(ENERGY)))
    client.receive_data(reply_frame(address, "00000100 78060000"))
    assert answer_of(client) == ANSWER
    assert client.stale_frames == 1


def test_answers_to_others_are_passed_over(asking: ClientConnection, address: Address) -> None:
    asking.receive_data(reply_frame(OTHER, "00000100 11111111"))
    asking.receive_data(reply_frame(address, "00000200 11111111"))
    asking.receive_data(reply_frame(address, "", function=Function.WRITE))
    asking.receive_data(reply_frame(address, "00000100 78060000"))
    assert answer_of(asking) == ANSWER
    assert asking.stale_frames == 3


def test_line_out_of_step_ends_the_exchange(asking: ClientConnection) -> None:
    asking.receive_data(reply_frame(OTHER, "00000100 11111111") * (STALE_FRAMES_MAX + 1))
    with pytest.raises(RemoteProtocolError, match="no answer"):
        asking.next_event()
    assert not asking.is_waiting


def test_damaged_answer_is_dropped_and_counted(asking: ClientConnection, address: Address) -> None:
    damaged = bytearray(reply_frame(address, "00000100 78060000"))
    damaged[-2] ^= 1
    asking.receive_data(bytes(damaged))
    assert asking.next_event() is None
    assert asking.dropped_bytes == len(damaged)
    assert asking.last_fault == "the second start byte is missing"


def test_answer_behind_a_false_beginning_is_read_when_the_line_is_silent(
    asking: ClientConnection, address: Address
) -> None:
    asking.receive_data(bytes.fromhex("68 000000000000 68 91 C8"))
    asking.receive_data(reply_frame(address, "00000100 78060000"))
    assert asking.next_event() is None
    asking.receive_silence()
    assert answer_of(asking) == ANSWER


def test_malformed_answer_ends_the_exchange(client: ClientConnection, address: Address) -> None:
    client.send(ReadAddress())
    client.receive_data(reply_frame(address, "00", function=Function.READ_ADDRESS))
    with pytest.raises(RemoteProtocolError):
        client.next_event()
    assert not client.is_waiting


def test_second_request_waits_for_the_first(asking: ClientConnection) -> None:
    with pytest.raises(LocalProtocolError, match="still awaited"):
        asking.send(ReadData(ENERGY))
    asking.abandon()
    assert asking.send(ReadData(ENERGY))


def test_late_answer_of_an_abandoned_exchange_is_forgotten(
    asking: ClientConnection, address: Address
) -> None:
    asking.abandon()
    asking.receive_data(reply_frame(address, "00000100 78060000"))
    assert asking.next_event() is None
    asking.send(ReadData(ENERGY))
    assert asking.next_event() is None


def test_nobody_answers_what_was_sent_to_all() -> None:
    client = ClientConnection(ALL_METERS)
    octets = client.send(Freeze())
    assert not client.is_waiting
    server = ServerConnection(OTHER)
    server.receive_data(octets)
    assert server.next_event() == RequestReceived(Freeze(), expects_reply=False)
    with pytest.raises(LocalProtocolError, match="awaits an answer"):
        server.reply(Confirmed())


def test_address_of_the_only_meter_is_read(server: ServerConnection, address: Address) -> None:
    client = ClientConnection(ANY_METER, leader_count=0)
    server.receive_data(client.send(ReadAddress()))
    assert isinstance(server.next_event(), RequestReceived)
    client.receive_data(server.reply(AddressRead(address)))
    assert client.next_event() == Answered(AddressRead(address), address)


def test_meter_confirms_a_new_address_from_it(client: ClientConnection) -> None:
    client.send(WriteAddress(OTHER))
    client.receive_data(reply_frame(OTHER, "", function=Function.WRITE_ADDRESS))
    assert client.next_event() == Answered(Confirmed(), OTHER)


# --- reads in several frames --------------------------------------------------------------------
@pytest.fixture
def meter(address: Address) -> ServerConnection:
    return ServerConnection(address, leader_count=0, data_size_max=9)


def ask(server: ServerConnection, octets: bytes) -> bytes:
    server.receive_data(octets)
    event = server.next_event()
    if isinstance(event, ReplyReady):
        return event.octets
    assert isinstance(event, RequestReceived)
    return server.reply(DataRead(ENERGY, bytes(range(10))))


def test_long_read_is_put_together(client: ClientConnection, meter: ServerConnection) -> None:
    reply = ask(meter, client.send(ReadData(ENERGY)))
    count = 0
    client.receive_data(reply)
    while isinstance(event := client.next_event(), FollowOnNeeded):
        client.receive_data(ask(meter, event.octets))
        count += 1
    assert isinstance(event, Answered)
    assert event.answer == DataRead(ENERGY, bytes(range(10)))
    assert count == 2


def test_follow_on_asked_twice_is_answered_twice(
    client: ClientConnection, meter: ServerConnection
) -> None:
    client.receive_data(ask(meter, client.send(ReadData(ENERGY))))
    event = client.next_event()
    assert isinstance(event, FollowOnNeeded)
    assert ask(meter, event.octets) == ask(meter, event.octets)


def test_follow_on_of_another_sequence_is_passed_over(
    client: ClientConnection, meter: ServerConnection
) -> None:
    client.receive_data(ask(meter, client.send(ReadData(ENERGY))))
    first = client.next_event()
    assert isinstance(first, FollowOnNeeded)
    part = ask(meter, first.octets)
    client.receive_data(part)
    assert isinstance(client.next_event(), FollowOnNeeded)
    client.receive_data(part)
    assert client.next_event() is None
    assert client.stale_frames == 1


@pytest.mark.parametrize("asked", ["00000100 00", "00000100 03", "00000200 01"])
def test_follow_on_that_is_not_there_is_refused(
    meter: ServerConnection, client: ClientConnection, address: Address, asked: str
) -> None:
    ask(meter, client.send(ReadData(ENERGY)))
    reply = ask(meter, Frame(address, Function.READ_MORE, bytes.fromhex(asked)).to_bytes())
    expected = Frame(address, Function.READ_MORE, b"\x02", is_reply=True, is_error=True)
    assert reply == expected.to_bytes()


def test_read_that_never_ends_is_given_up(client: ClientConnection, address: Address) -> None:
    client.send(ReadData(ENERGY))
    data = bytes.fromhex("00000100 AA")
    client.receive_data(
        Frame(address, Function.READ, data, is_reply=True, has_more=True).to_bytes()
    )
    for sequence in range(1, SEQUENCE_MAX + 1):
        assert isinstance(client.next_event(), FollowOnNeeded)
        part = Frame(
            address,
            Function.READ_MORE,
            data + bytes([sequence]),
            is_reply=True,
            has_more=True,
        )
        client.receive_data(part.to_bytes())
    with pytest.raises(RemoteProtocolError, match="no end"):
        client.next_event()


def test_read_too_long_for_its_sequence_byte_is_our_fault(
    client: ClientConnection, meter: ServerConnection
) -> None:
    meter.receive_data(client.send(ReadData(ENERGY)))
    assert meter.next_event()
    with pytest.raises(LocalProtocolError, match="too many"):
        meter.reply(DataRead(ENERGY, bytes(4 * (SEQUENCE_MAX + 2))))


# --- the meter's side ---------------------------------------------------------------------------
def test_meter_is_silent_to_frames_of_others(server: ServerConnection, address: Address) -> None:
    server.receive_data(Frame(OTHER, Function.READ, bytes(4)).to_bytes())
    server.receive_data(reply_frame(address, "00000100"))
    assert server.next_event() is None


def test_meter_refuses_a_malformed_request(server: ServerConnection, address: Address) -> None:
    server.receive_data(Frame(address, Function.CHANGE_SPEED, b"\x03").to_bytes())
    event = server.next_event()
    assert isinstance(event, ReplyReady)
    refusal = Frame(address, Function.CHANGE_SPEED, b"\x01", is_reply=True, is_error=True)
    assert event.octets == refusal.to_bytes(leader_count=4)


@pytest.mark.parametrize("size", [1, 2])
def test_meter_refuses_malformed_security_in_its_makers_size(address: Address, size: int) -> None:
    server = ServerConnection(address, leader_count=0, security_error_size_bytes=size)
    event = server.take_frame(Frame(address, Function.SECURITY))
    content = b"\x01" + bytes(size - 1)
    refusal = Frame(address, Function.SECURITY, content, is_reply=True, is_error=True)
    assert event == ReplyReady(refusal.to_bytes())


@pytest.mark.parametrize(
    ("function", "data"), [(Function.BROADCAST_TIME, ""), (Function.READ_MORE, "0000010001")]
)
def test_meter_is_silent_to_nonsense_for_all(
    server: ServerConnection, function: Function, data: str
) -> None:
    assert server.take_frame(Frame(ALL_METERS, function, bytes.fromhex(data))) is None


def test_meter_can_say_no(client: ClientConnection, server: ServerConnection) -> None:
    server.receive_data(client.send(ReadData(1)))
    assert server.next_event()
    server.receive_silence()
    client.receive_data(server.reply(Refused(PlainError.NO_SUCH_DATA)))
    assert answer_of(client) == Refused(PlainError.NO_SUCH_DATA, 1)

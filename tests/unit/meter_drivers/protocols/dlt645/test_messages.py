from collections.abc import Callable
from datetime import datetime

import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlt645.frames import ALL_METERS, ANY_METER, Address, Frame, Function
from meter_drivers.protocols.dlt645.messages import (
    REQUESTS,
    AddressRead,
    Answer,
    Confirmed,
    ControlDone,
    DataRead,
    PasswordChanged,
    Refused,
    Request,
    SecurityDone,
    SpeedChanged,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from meter_drivers.protocols.dlt645.prepaid import SecurityFunction, SecurityRequest
from meter_drivers.protocols.dlt645.refusals import (
    ControlRefusal,
    ControlResult,
    PlainError,
    SecurityError,
)
from meter_drivers.protocols.dlt645.remote_control import (
    ControlCommand,
    RemoteControl,
    SealedControl,
)
from meter_drivers.protocols.dlt645.requests import (
    BroadcastTime,
    ChangePassword,
    ChangeSpeed,
    ClearDemand,
    ClearEvents,
    ClearMeter,
    Credentials,
    Freeze,
    ReadAddress,
    ReadData,
    ReadMore,
    Speed,
    WriteAddress,
    WriteData,
)
from meter_drivers.protocols.dlt645.status_words import StatusWord3

RIGHT = Credentials.from_digits(2, "123456", "00000007")
METER = Address.parse("000000000161")
NOON = datetime(2026, 11, 25, 12, 30)  # noqa: DTZ001

EXCHANGES: list[tuple[Request, Answer]] = [
    (ReadData(0x00010000), DataRead(0x00010000, b"\x26\0\0\0")),
    (ReadData(0x06010001, block_count=3), DataRead(0x06010001, b"\1")),
    (ReadData(0x06010001, block_count=3, since=NOON), DataRead(0x06010001, b"")),
    (ReadData(0x0001FF00), DataRead(0x0001FF00, bytes(range(256)) * 3)),
    (ReadAddress(), AddressRead(METER)),
    (WriteAddress(METER), Confirmed()),
    (WriteData(0x04001003, RIGHT, b"\0\0\0\0"), Confirmed()),
    (Freeze(), Confirmed()),
    (Freeze(hour=0, minute=30), Confirmed()),
    (ChangeSpeed(Speed.BAUD_9600), SpeedChanged(Speed.BAUD_9600)),
    (ChangePassword(2, b"abc", 4, b"def"), PasswordChanged(4, b"def")),
    (ClearDemand(RIGHT), Confirmed()),
    (ClearMeter(RIGHT), Confirmed()),
    (ClearEvents(RIGHT), Confirmed()),
    (RemoteControl(RIGHT, ControlCommand.TRIP, NOON, 5), ControlDone()),
    (RemoteControl(RIGHT, ControlCommand.CLOSE, None), ControlDone.with_status(StatusWord3())),
    (SealedControl(bytes(20)), ControlDone(b"\x04\x00")),
    (SecurityRequest(SecurityFunction.READ_STATUS), SecurityDone(0x078102FF, bytes(26))),
    (ReadData(0x1), Refused(PlainError.NO_SUCH_DATA, 1)),
    (ClearMeter(RIGHT), Refused(PlainError.PASSWORD | PlainError.OTHER, 1)),
    (SealedControl(bytes(20)), Refused(ControlRefusal.TRIP_KEPT, 2)),
    (RemoteControl(RIGHT, ControlCommand.TRIP, None), Refused(PlainError.PASSWORD, 1)),
    (SecurityRequest(0x070102FF), Refused(SecurityError.SUSPENDED, 2)),
    (SecurityRequest(0x070102FF), Refused(SecurityError.REPEATED_RECHARGE, 1)),
]


@pytest.mark.parametrize(("request_", "answer"), EXCHANGES)
def test_request_and_answer_arrive_as_they_were_sent(
    exchange: Callable[[Request, Answer], tuple[Request, Answer]],
    request_: Request,
    answer: Answer,
) -> None:
    assert exchange(request_, answer) == (request_, answer)


def test_every_function_can_be_read() -> None:
    assert set(REQUESTS) == set(Function)


def test_broadcast_time_is_sent_to_all() -> None:
    request = BroadcastTime(datetime(2026, 11, 25, 14, 30, 5))  # noqa: DTZ001
    frame = encode_request(ALL_METERS, request)
    assert frame.data.hex() == "053014251126"
    assert decode_request(frame) == request


@pytest.mark.parametrize(
    ("address", "request_"),
    [
        (METER, BroadcastTime(NOON)),
        (ALL_METERS, ReadData(0)),
        (ALL_METERS, ClearMeter(RIGHT)),
        (ANY_METER, ReadData(0)),
        (ANY_METER, RemoteControl(RIGHT, ControlCommand.TRIP, None)),
        (Address.shortened("61"), WriteData(0, RIGHT, b"")),
        (Address.shortened("61"), SecurityRequest(0)),
    ],
)
def test_request_is_not_sent_to_more_meters_than_are_meant(
    address: Address, request_: Request
) -> None:
    with pytest.raises(LocalProtocolError, match="is not sent to"):
        encode_request(address, request_)


@pytest.mark.parametrize(
    "request_", [ReadData(0x00010000), ReadMore(0x00010000, 1)], ids=["read", "more"]
)
def test_read_is_sent_to_a_shortened_address(request_: Request) -> None:
    assert str(encode_request(Address.shortened("0161"), request_).address) == "AAAAAAAA0161"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (ReadData(0x100000000), "no data identifier"),
        (ReadData(0, since=NOON), "has a count"),
        (ReadData(0, block_count=256), "no count"),
        (WriteAddress(ANY_METER), "not the address of one meter"),
        (Freeze(month=13), "no time to freeze"),
        (ChangePassword(2, b"ab", 4, b"def"), "three bytes"),
        (RemoteControl(RIGHT, ControlCommand.TRIP, None, 256), "N2"),
        (SecurityRequest(0, operator=b""), "four bytes"),
    ],
)
def test_request_that_does_not_fit_is_our_fault(request_: Request, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        encode_request(METER, request_)


def test_there_is_no_password_level_ten() -> None:
    with pytest.raises(LocalProtocolError, match="level 10"):
        Credentials(10, b"abc")


def test_passwords_are_not_shown() -> None:
    shown = repr(Credentials(2, b"\x56\x34\x12")) + repr(ChangePassword(2, b"old", 4, b"new"))
    assert "password" not in shown
    assert "old=" not in shown


@pytest.mark.parametrize("function", sorted(set(Function) - {Function.READ_ADDRESS}))
def test_request_without_data_is_malformed(function: Function) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_request(Frame(METER, function))


@pytest.mark.parametrize(
    ("function", "data", "reason"),
    [
        (Function.READ_ADDRESS, "00", "not 0"),
        (Function.WRITE_ADDRESS, "999999999999", "one meter"),
        (Function.WRITE_ADDRESS, "0F0000000000", "no address"),
        (Function.CHANGE_SPEED, "03", "no speed"),
        (Function.CLEAR_METER, "0A00000000000000", "level 10"),
        (Function.BROADCAST_TIME, "616014251126", "no moment"),
        (Function.REMOTE_CONTROL, "02000000000000001F00000000000000", "no remote control"),
        (Function.REMOTE_CONTROL, "02000000000000001A00000000003299", "no moment"),
        (Function.REMOTE_CONTROL, "9800000000000000", "is empty"),
    ],
)
def test_malformed_request_is_refused(function: Function, data: str, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        decode_request(Frame(METER, function, bytes.fromhex(data)))


@pytest.mark.parametrize(
    ("function", "data"),
    [
        (Function.READ, "0000"),
        (Function.SECURITY, "0000"),
        (Function.READ_ADDRESS, "00"),
        (Function.CHANGE_SPEED, ""),
        (Function.CHANGE_PASSWORD, "02"),
    ],
)
def test_malformed_answer_is_refused(function: Function, data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_answer(Frame(METER, function, bytes.fromhex(data), is_reply=True))


@pytest.mark.parametrize("function", [Function.READ, Function.SECURITY, Function.REMOTE_CONTROL])
def test_refusal_of_three_bytes_is_malformed(function: Function) -> None:
    with pytest.raises(RemoteProtocolError, match="3 bytes"):
        decode_answer(Frame(METER, function, bytes(3), is_reply=True, is_error=True))


def test_refusal_that_does_not_fit_its_size_is_our_fault() -> None:
    with pytest.raises(LocalProtocolError, match="1 bytes"):
        encode_answer(METER, Function.SECURITY, Refused(SecurityError.SUSPENDED, 1))


def test_refusal_has_the_size_of_the_standard() -> None:
    answers = [Refused(PlainError.OTHER), Refused(SecurityError.OTHER)]
    frames = [encode_answer(METER, Function.SECURITY, answer) for answer in answers]
    assert [len(frame.data) for frame in frames] == [1, 2]


def test_control_result_is_told_by_two_bytes() -> None:
    done = ControlDone(b"\x24\x01")
    expected = ControlResult.TRIPPED | ControlResult.TRIP_WAITS_FOR_CURRENT
    assert done.result == expected | ControlResult.KEEP_POWER_ON
    assert done.status is None


def test_control_status_is_told_behind_its_identifier() -> None:
    status = StatusWord3(relay_is_open=True, open_is_ordered=True)
    done = ControlDone.with_status(status)
    assert done.octets.hex() == "030500045000"
    assert done.status == status
    assert done.result is None
    assert ControlDone(bytes(6)).status is None

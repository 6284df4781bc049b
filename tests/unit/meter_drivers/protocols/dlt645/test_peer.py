"""The same frames through `dlt645`, which is not ours: its server for our client, and back.

It has neither function 12 nor 1C nor 03, takes the moment of a broadcast the other way round (year
first), and has the speeds from 4800 on as 16, 32 and 64 in hexadecimal. So what is compared is
reads, errors, the address, writes, a slow speed, and the frames.
"""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import pytest
from dlt645.model.types.data_type import DataItem
from dlt645.protocol.protocol import DLT645Protocol
from dlt645.service.clientsvc.client_service import MeterClientService
from dlt645.service.serversvc.server_service import MeterServerService

from meter_drivers.protocols.dlt645.connection import (
    Answered,
    ClientConnection,
    RequestReceived,
    ServerConnection,
)
from meter_drivers.protocols.dlt645.frames import ANY_METER, CONTROLS, Address, Frame, FrameReader
from meter_drivers.protocols.dlt645.messages import (
    AddressRead,
    Answer,
    Confirmed,
    DataRead,
    Refused,
    Request,
    SpeedChanged,
)
from meter_drivers.protocols.dlt645.refusals import PlainError
from meter_drivers.protocols.dlt645.requests import (
    ChangeSpeed,
    ClearEvents,
    ClearMeter,
    Credentials,
    ReadAddress,
    ReadData,
    Speed,
    WriteData,
)
from meter_drivers.protocols.dlt645.values import Demand, decode_value, encode_value

METER: Final = Address.parse("151230011061")
RIGHT: Final = Credentials.from_digits(2, "000000")
READS: Final = [
    (0x00010000, "00", 123.45, 123_450),
    (0x00000000, "00", 0.26, 260),
    (0x02010100, "02", 230.1, 230_100),
    (0x02020100, "02", 5.234, 5_234),
    (0x02030000, "02", 1.3412, 1_341_200),
    (0x02800002, "02", 49.99, 49_990),
    (0x02060000, "02", 0.998, 998),
]
"""Identifier, the peer's class of data, its value as the peer tells it, and as we do."""


@pytest.fixture(autouse=True)
def _quiet_peer() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def peer_meter() -> MeterServerService:
    """One for all tests: it takes seconds to make, and each test sets what it reads."""
    meter = MeterServerService(server=None)
    meter.set_address(METER.octets)
    meter.set_password("02000000")
    return meter


def ask(meter: MeterServerService, request: Request, *, address: Address = METER) -> Answer:
    client = ClientConnection(address)
    frame = DLT645Protocol.deserialize(client.send(request))
    client.receive_data(bytes(meter.handle_request(frame)))
    event = client.next_event()
    assert isinstance(event, Answered)
    return event.answer


@pytest.mark.parametrize(("identifier", "kind", "told", "value"), READS)
def test_our_client_reads_the_peers_meter(
    peer_meter: MeterServerService, identifier: int, kind: str, told: float, value: int
) -> None:
    assert getattr(peer_meter, f"set_{kind}")(identifier, told)
    answer = ask(peer_meter, ReadData(identifier))
    assert isinstance(answer, DataRead)
    assert decode_value(identifier, answer.octets) == value


def test_our_client_reads_the_demand_of_the_peers_meter(peer_meter: MeterServerService) -> None:
    answer = ask(peer_meter, ReadData(0x01010000))
    assert isinstance(answer, DataRead)
    assert isinstance(decode_value(0x01010000, answer.octets), Demand)


def test_our_client_understands_the_peers_error(peer_meter: MeterServerService) -> None:
    answer = ask(peer_meter, ReadData(0x00FE0000))
    assert answer == Refused(PlainError.NO_SUCH_DATA, 1)


def test_our_client_reads_the_peers_address(peer_meter: MeterServerService) -> None:
    assert ask(peer_meter, ReadAddress(), address=ANY_METER) == AddressRead(METER)


def test_our_client_changes_the_speed_of_the_peers_meter(peer_meter: MeterServerService) -> None:
    answer = ask(peer_meter, ChangeSpeed(Speed.BAUD_2400))
    assert answer == SpeedChanged(Speed.BAUD_2400)
    assert peer_meter.baud_rate == 2400


def test_our_client_writes_the_peers_meter(peer_meter: MeterServerService) -> None:
    octets = encode_value(0x04000103, 30)
    assert ask(peer_meter, WriteData(0x04000103, RIGHT, octets)) == Confirmed()
    answer = ask(peer_meter, ReadData(0x04000103))
    assert isinstance(answer, DataRead)
    assert decode_value(0x04000103, answer.octets) == 30


def test_our_client_clears_the_events_of_the_peers_meter(peer_meter: MeterServerService) -> None:
    assert ask(peer_meter, ClearEvents(RIGHT)) == Confirmed()


def test_the_peers_meter_refuses_a_wrong_password(peer_meter: MeterServerService) -> None:
    wrong = Credentials.from_digits(2, "999999")
    assert ask(peer_meter, ClearEvents(wrong)) == Refused(PlainError.PASSWORD, 1)
    assert isinstance(ask(peer_meter, ClearMeter(wrong)), Refused)


class OurMeter:
    """A line of the peer's client that ends in our server role."""

    def __init__(self) -> None:
        self.server = ServerConnection(METER)
        self.values: dict[int, int | datetime] = {}
        self.requests: list[Request] = []

    def _ensure_connection(self) -> bool:
        return True

    def send_request(self, octets: bytes) -> bytes | None:
        self.server.receive_data(bytes(octets))
        event = self.server.next_event()
        assert isinstance(event, RequestReceived)
        self.requests.append(event.request)
        return self.server.reply(self.answer(event.request))

    def answer(self, request: Request) -> Answer:
        match request:
            case ReadData() if request.identifier in self.values:
                value = self.values[request.identifier]
                return DataRead(request.identifier, encode_value(request.identifier, value))
            case ReadData():
                return Refused(PlainError.NO_SUCH_DATA)
            case ReadAddress():
                return AddressRead(METER)
            case ChangeSpeed():
                return SpeedChanged(request.speed)
            case _:
                return Confirmed()


@pytest.fixture
def our_meter() -> OurMeter:
    return OurMeter()


@pytest.fixture(scope="module")
def shared_peer_client() -> MeterClientService:
    """One for all tests, as it takes seconds to make."""
    return MeterClientService(None)


@pytest.fixture
def peer_client(shared_peer_client: MeterClientService, our_meter: OurMeter) -> MeterClientService:
    shared_peer_client.client = our_meter
    shared_peer_client.address = bytearray(METER.octets)
    return shared_peer_client


@pytest.mark.parametrize(("identifier", "kind", "told", "value"), READS)
def test_peers_client_reads_our_meter(
    our_meter: OurMeter,
    peer_client: MeterClientService,
    identifier: int,
    kind: str,
    told: float,
    value: int,
) -> None:
    our_meter.values[identifier] = value
    item = getattr(peer_client, f"read_{kind}")(identifier)
    assert isinstance(item, DataItem)
    assert item.value == pytest.approx(told)


def test_peers_client_reads_our_address(
    our_meter: OurMeter, peer_client: MeterClientService
) -> None:
    peer_client.address = bytearray(ANY_METER.octets)
    peer_client.read_address()
    assert our_meter.requests == [ReadAddress()]


def test_peers_client_changes_our_speed(
    our_meter: OurMeter, peer_client: MeterClientService
) -> None:
    peer_client.change_baud_rate(2400)
    assert our_meter.requests == [ChangeSpeed(Speed.BAUD_2400)]


@pytest.mark.parametrize("control", sorted(CONTROLS))
@pytest.mark.parametrize("leader_count", [0, 4])
def test_frames_are_the_same_bytes(control: int, leader_count: int) -> None:
    data = bytes((control * 7 + place) % 256 for place in range(control % 60))
    ours = Frame(
        METER,
        CONTROLS[control],
        data,
        is_reply=bool(control & 0x80),
        is_error=bool(control & 0x40),
        has_more=bool(control & 0x20),
    )
    theirs = bytes(DLT645Protocol.build_frame(METER.octets, control, data, leader_count))
    assert ours.to_bytes(leader_count=leader_count) == theirs
    reader = FrameReader()
    reader.receive_data(theirs)
    assert reader.next_frame() == ours

"""DL/T 645 on a line: how often a question is asked, what an order comes to."""

from collections.abc import Callable

import pytest

from meter_drivers.bus.dlt645 import DLT645Bus, name_refusal
from meter_drivers.bus.line import LineOwner, MeterTiming, Pacing
from meter_drivers.bus.turns import Urgency
from meter_drivers.capabilities import Done, Refused, Unknown
from meter_drivers.errors import LinkTimeoutError, LocalProtocolError, MeterRefusedError
from meter_drivers.protocols.dlt645.connection import ReplyReady, RequestReceived, ServerConnection
from meter_drivers.protocols.dlt645.frames import ALL_METERS, Address
from meter_drivers.protocols.dlt645.messages import Answer, ControlDone, DataRead, Request
from meter_drivers.protocols.dlt645.messages import Refused as RefusedAnswer
from meter_drivers.protocols.dlt645.refusals import PlainError, SecurityError
from meter_drivers.protocols.dlt645.remote_control import ControlCommand, RemoteControl
from meter_drivers.protocols.dlt645.requests import Credentials, ReadData
from tests.support.modbus_lines import PaperLine, PaperTimer

ADDRESS = Address.parse("000000000161")
READ = ReadData(0x00010000)
TRIP = RemoteControl(Credentials.from_digits(2, "123456"), ControlCommand.TRIP, None)


class PaperMeter:
    """Answers as it is told, and counts what it heard."""

    def __init__(self, *, data_size_max: int = 200) -> None:
        self.heard: list[Request] = []
        self.answer: Callable[[Request], Answer | None] = lambda _: None
        self._server = ServerConnection(ADDRESS, data_size_max=data_size_max)

    def reply(self, frame: bytes) -> list[tuple[float, bytes]]:
        self._server.receive_data(frame)
        match self._server.next_event():
            case ReplyReady(octets=octets):
                return [(0.01, octets)]
            case RequestReceived(request=request):
                self.heard.append(request)
                answer = self.answer(request)
                return [] if answer is None else [(0.01, self._server.reply(answer))]
            case _:
                return []


@pytest.fixture
def meter() -> PaperMeter:
    return PaperMeter()


@pytest.fixture
def dlt645_bus(paper_line: PaperLine, timer: PaperTimer, meter: PaperMeter) -> DLT645Bus:
    paper_line.reply = meter.reply
    line = LineOwner(
        paper_line,
        pacing=Pacing(gap_s=0.004, answer_s=0.3),
        timer=timer,
        reopens_after_silence=False,
    )
    return DLT645Bus(line)


def test_question_is_answered(
    dlt645_bus: DLT645Bus, meter: PaperMeter, timing: MeterTiming
) -> None:
    meter.answer = lambda _: DataRead(0x00010000, b"\x26\x00\x00\x00")
    answer = dlt645_bus.ask(ADDRESS, READ, timing)
    assert answer == DataRead(0x00010000, b"\x26\x00\x00\x00")
    assert dlt645_bus.link == "paper line"


def test_long_answer_is_fetched_frame_by_frame(
    paper_line: PaperLine, dlt645_bus: DLT645Bus, timing: MeterTiming
) -> None:
    slow = PaperMeter(data_size_max=12)
    content = bytes(range(40))
    slow.answer = lambda _: DataRead(0x00010000, content)
    paper_line.reply = slow.reply
    assert dlt645_bus.ask(ADDRESS, READ, timing) == DataRead(0x00010000, content)


def test_question_without_answer_is_asked_three_times(
    dlt645_bus: DLT645Bus, meter: PaperMeter, timing: MeterTiming
) -> None:
    with pytest.raises(LinkTimeoutError):
        dlt645_bus.ask(ADDRESS, READ, timing)
    assert len(meter.heard) == 3


def test_question_that_is_refused_is_asked_once(
    dlt645_bus: DLT645Bus, meter: PaperMeter, timing: MeterTiming
) -> None:
    meter.answer = lambda _: RefusedAnswer(PlainError.NO_SUCH_DATA)
    with pytest.raises(MeterRefusedError, match="no such data"):
        dlt645_bus.ask(ADDRESS, READ, timing)
    assert len(meter.heard) == 1


def test_order_leaves_once_whatever_comes_back(
    dlt645_bus: DLT645Bus, meter: PaperMeter, timing: MeterTiming
) -> None:
    assert isinstance(dlt645_bus.order(ADDRESS, TRIP, timing, Urgency.RELAY), Unknown)
    assert len(meter.heard) == 1
    meter.answer = lambda _: ControlDone()
    assert dlt645_bus.order(ADDRESS, TRIP, timing, Urgency.RELAY) == Done(ControlDone())
    meter.answer = lambda _: RefusedAnswer(PlainError.PASSWORD)
    refused = dlt645_bus.order(ADDRESS, TRIP, timing, Urgency.RELAY)
    assert refused == Refused("password", "wrong password or no right")
    assert len(meter.heard) == 3


def test_order_that_cannot_be_sent_is_no_unknown(
    dlt645_bus: DLT645Bus, meter: PaperMeter, timing: MeterTiming
) -> None:
    with pytest.raises(LocalProtocolError, match="not sent to the address"):
        dlt645_bus.order(ALL_METERS, TRIP, timing, Urgency.RELAY)
    assert meter.heard == []


def test_trace_hides_what_an_order_carries(dlt645_bus: DLT645Bus, timing: MeterTiming) -> None:
    dlt645_bus.order(ADDRESS, TRIP, timing, Urgency.RELAY)
    (sent, _) = dlt645_bus.line.trace.frames()
    assert (len(sent.shown), sent.hidden_count) == (14, 18)


def test_refusals_go_by_the_names_of_their_bits() -> None:
    assert name_refusal(SecurityError.PURCHASE_COUNT) == "purchase_count"
    assert name_refusal(SecurityError.OTHER | SecurityError.HOARDING) == "other+hoarding"
    assert name_refusal(PlainError(0x80)) == "bit_7"
    assert name_refusal(PlainError(0)) == "no_reason"

import pytest

from meter_drivers.bus.breaker import BACK_OFF_S_MAX, BACK_OFF_S_MIN, SILENCES_MAX, SilenceBreaker
from meter_drivers.bus.line import MeterTiming
from meter_drivers.bus.modbus import ModbusBus
from meter_drivers.bus.turns import Urgency
from meter_drivers.errors import LinkTimeoutError, MeterSilentError
from meter_drivers.protocols.modbus.frames import ReadRequest
from meter_drivers.registers import RegisterTable
from tests.support.modbus_lines import PaperLine, PaperTimer, answer_rtu
from tests.support.modbus_meter import PaperMeter


def read_of(unit: int) -> ReadRequest:
    return ReadRequest(unit, RegisterTable.HOLDING, 0, 1)


@pytest.fixture
def breaker(timer: PaperTimer) -> SilenceBreaker:
    return SilenceBreaker("paper", timer)


def test_meter_is_left_alone_after_its_silences_and_polled_again_later(
    breaker: SilenceBreaker, timer: PaperTimer
) -> None:
    for _ in range(SILENCES_MAX):
        breaker.require_heard(1)
        breaker.note_silence(1)
    with pytest.raises(MeterSilentError) as refused:
        breaker.require_heard(1)
    assert refused.value.left_s == pytest.approx(BACK_OFF_S_MIN)
    assert breaker.silent_stations() == (1,)
    breaker.require_heard(2)
    timer.wait(BACK_OFF_S_MIN)
    breaker.require_heard(1)


def test_each_further_silence_doubles_the_wait_up_to_a_bound(
    breaker: SilenceBreaker, timer: PaperTimer
) -> None:
    waits = []
    for _ in range(30):
        breaker.note_silence("a")
    for _ in range(3):
        with pytest.raises(MeterSilentError) as refused:
            breaker.require_heard("a")
        waits.append(refused.value.left_s)
        timer.wait(refused.value.left_s)
        breaker.require_heard("a")
        breaker.note_silence("a")
    assert waits == [pytest.approx(BACK_OFF_S_MAX)] * 3


def test_one_answer_makes_a_meter_heard(breaker: SilenceBreaker) -> None:
    for _ in range(SILENCES_MAX + 2):
        breaker.note_silence(1)
    breaker.note_answer(1)
    breaker.require_heard(1)
    assert breaker.silent_stations() == ()


def test_polls_of_a_silent_meter_send_nothing_but_what_was_asked_for_is_sent(
    bus: ModbusBus, paper_line: PaperLine, timing: MeterTiming
) -> None:
    meter = PaperMeter(unit=2, holding={0: 11})
    paper_line.reply = lambda frame: [(0.01, answer_rtu(meter, frame))] if frame[0] == 2 else []
    with pytest.raises(LinkTimeoutError):
        bus.read(read_of(1), timing, Urgency.POLL)
    sent_count = len(paper_line.written)
    with pytest.raises(MeterSilentError):
        bus.read(read_of(1), timing, Urgency.POLL)
    assert len(paper_line.written) == sent_count
    assert bus.read(read_of(2), timing, Urgency.POLL) == (11,), "the others go on"
    with pytest.raises(LinkTimeoutError):
        bus.read(read_of(1), timing, Urgency.READ)
    assert len(paper_line.written) > sent_count + 1

import logging
import threading

import pytest

from meter_drivers.bus.line import LineOwner, MeterTiming, Pacing
from meter_drivers.bus.modbus import (
    EXCEPTIONS,
    PASSING_EXCEPTIONS,
    READ_ATTEMPTS_MAX,
    UNDECIDED_EXCEPTIONS,
    ModbusBus,
)
from meter_drivers.bus.turns import Urgency
from meter_drivers.capabilities import Done, Refused, Unknown
from meter_drivers.errors import (
    ConnectionLostError,
    LinkTimeoutError,
    MeterRefusedError,
    RemoteProtocolError,
)
from meter_drivers.protocols.modbus.frames import (
    ReadRequest,
    RTUFraming,
    TCPFraming,
    WriteRequest,
)
from meter_drivers.registers import RegisterTable, WriteRule
from tests.support.modbus_lines import Delivery, PaperLine, PaperTimer, answer_rtu
from tests.support.modbus_meter import PaperMeter, rtu, tcp

READ = ReadRequest(1, RegisterTable.HOLDING, 0, 1)
OTHER_READ = ReadRequest(1, RegisterTable.HOLDING, 100, 1)
WRITE = WriteRequest(1, 0, (5,), WriteRule.FC16)
ANSWER_S = 0.8
"""What the fixtures give an answer: the meter's 0.5 s and the line's 0.3 s."""


@pytest.fixture
def meter(paper_line: PaperLine) -> PaperMeter:
    meter = PaperMeter(holding={0: 11, 100: 22})
    paper_line.reply = lambda frame: [(0.01, answer_rtu(meter, frame))]
    return meter


@pytest.fixture
def tcp_bus(paper_line: PaperLine, timer: PaperTimer) -> ModbusBus:
    line = LineOwner(
        paper_line,
        pacing=Pacing(gap_s=0, answer_s=0.3),
        timer=timer,
        reopens_after_silence=True,
    )
    return ModbusBus(line, TCPFraming())


@pytest.mark.usefixtures("meter")
def test_read_brings_the_registers(bus: ModbusBus, timing: MeterTiming) -> None:
    assert bus.read(READ, timing) == (11,)


# --- writes leave once --------------------------------------------------------------------------
def write_frames(paper_line: PaperLine) -> list[bytes]:
    return [frame for _, frame in paper_line.written if frame[1] in {0x06, 0x10}]


def test_write_is_confirmed(
    bus: ModbusBus, timing: MeterTiming, meter: PaperMeter, paper_line: PaperLine
) -> None:
    assert bus.write(WRITE, timing, Urgency.CREDIT) == Done(None)
    assert meter.holding[0] == 5
    assert len(write_frames(paper_line)) == 1


@pytest.mark.parametrize(
    ("deliveries", "why"),
    [
        ([], "no answer"),
        ([(0.01, rtu(1, b"\x10\x00"))], "only"),
        ([(0.01, b"\x01\x10\x00\x00\x00\x01\x00\x00")], "CRC"),
        ([(0.01, rtu(2, b"\x10\x00\x00\x00\x01"))], "unit 2 answers"),
        ([(0.01, rtu(1, b"\x03\x02\x00\x05"))], "function 0x03"),
        ([(0.01, rtu(1, b"\x10\x00\x09\x00\x01"))], "another write"),
        ([(0.01, b"")], "closed"),
        ([(5.0, rtu(1, b"\x10\x00\x00\x00\x01"))], "no answer"),
    ],
    ids=[
        "silence", "short", "bad crc", "wrong unit", "wrong function", "wrong echo", "lost", "late",
    ],
)  # fmt: skip
def test_write_without_clean_answer_is_unknown_and_not_repeated(
    bus: ModbusBus,
    timing: MeterTiming,
    paper_line: PaperLine,
    deliveries: list[Delivery],
    why: str,
) -> None:
    paper_line.reply = lambda _: deliveries
    result = bus.write(WRITE, timing, Urgency.CREDIT)
    assert isinstance(result, Unknown)
    assert why in result.why
    assert len(write_frames(paper_line)) == 1


@pytest.mark.parametrize("code", [*EXCEPTIONS, 0x42])
def test_write_exception_is_refused_or_unknown_by_its_code(
    bus: ModbusBus, timing: MeterTiming, paper_line: PaperLine, code: int
) -> None:
    paper_line.reply = lambda _: [(0.01, rtu(1, bytes([0x90, code])))]
    result = bus.write(WRITE, timing, Urgency.CREDIT)
    assert isinstance(result, Unknown if code in UNDECIDED_EXCEPTIONS else Refused)
    assert len(write_frames(paper_line)) == 1


def test_gateway_exceptions_are_among_the_undecided() -> None:
    assert {0x0A, 0x0B} <= UNDECIDED_EXCEPTIONS


def test_write_on_a_line_that_breaks_is_unknown(
    bus: ModbusBus, timing: MeterTiming, paper_line: PaperLine
) -> None:
    paper_line.breaks_on_write = True
    assert isinstance(bus.write(WRITE, timing, Urgency.CREDIT), Unknown)
    assert len(paper_line.written) == 1


def test_write_on_a_line_that_does_not_open_raises_since_nothing_left(
    bus: ModbusBus, timing: MeterTiming, paper_line: PaperLine
) -> None:
    paper_line.opens = False
    with pytest.raises(ConnectionLostError):
        bus.write(WRITE, timing, Urgency.CREDIT)
    assert paper_line.written == []


# --- reads are asked again, within bounds -------------------------------------------------------
def test_read_is_asked_again_after_a_glitch(
    bus: ModbusBus, timing: MeterTiming, meter: PaperMeter, paper_line: PaperLine
) -> None:
    garbled = iter([True, False])
    paper_line.reply = lambda frame: (
        [(0.01, b"\x01\x03\x02\x00\x00\x00\x00")]
        if next(garbled)
        else [(0.01, answer_rtu(meter, frame))]
    )
    assert bus.read(READ, timing) == (11,)
    assert len(paper_line.written) == 2


def test_read_gives_up_after_the_last_attempt(
    bus: ModbusBus, timing: MeterTiming, paper_line: PaperLine
) -> None:
    with pytest.raises(LinkTimeoutError, match="nothing came"):
        bus.read(READ, timing)
    assert len(paper_line.written) == READ_ATTEMPTS_MAX


@pytest.mark.parametrize("code", [*EXCEPTIONS, 0x42])
def test_read_exception_is_asked_again_only_where_it_can_pass(
    bus: ModbusBus, timing: MeterTiming, paper_line: PaperLine, code: int
) -> None:
    paper_line.reply = lambda _: [(0.01, rtu(1, bytes([0x83, code])))]
    passes = code in PASSING_EXCEPTIONS
    with pytest.raises(RemoteProtocolError if passes else MeterRefusedError):
        bus.read(READ, timing)
    assert len(paper_line.written) == (READ_ATTEMPTS_MAX if passes else 1)


# --- quarantine ---------------------------------------------------------------------------------
def test_late_answer_is_not_taken_for_the_next_one(
    bus: ModbusBus, timing: MeterTiming, meter: PaperMeter, paper_line: PaperLine
) -> None:
    delays_s = iter([ANSWER_S + 0.5, 0.01, 0.01])
    paper_line.reply = lambda frame: [(next(delays_s), answer_rtu(meter, frame))]
    assert isinstance(bus.write(WRITE, timing, Urgency.CREDIT), Unknown)
    meter.holding[0] = 33
    assert bus.read(READ, timing) == (33,)
    assert len(paper_line.written) == 2


def test_late_answer_of_the_same_shape_is_drained_before_the_next_request(
    bus: ModbusBus, timing: MeterTiming, meter: PaperMeter, paper_line: PaperLine, timer: PaperTimer
) -> None:
    delays_s = iter([ANSWER_S + 0.5, ANSWER_S + 0.5, ANSWER_S + 0.5, 0.01])
    paper_line.reply = lambda frame: [(next(delays_s), answer_rtu(meter, frame))]
    with pytest.raises(LinkTimeoutError):
        bus.read(READ, timing)
    given_up_s = timer.at_s
    assert bus.read(OTHER_READ, timing) == (22,)
    left_s, _ = paper_line.written[-1]
    assert left_s >= given_up_s + ANSWER_S


def test_gateway_exception_leaves_the_line_in_quarantine(
    bus: ModbusBus, timing: MeterTiming, meter: PaperMeter, paper_line: PaperLine
) -> None:
    late = rtu(1, b"\x03\x02\x00\x63")
    answers = iter([[(0.01, rtu(1, b"\x90\x0b")), (0.4, late)], None])
    paper_line.reply = lambda frame: next(answers) or [(0.01, answer_rtu(meter, frame))]
    assert isinstance(bus.write(WRITE, timing, Urgency.CREDIT), Unknown)
    assert bus.read(READ, timing) == (11,)


def test_bytes_nobody_asked_for_are_dropped_before_a_request(
    bus: ModbusBus, timing: MeterTiming, meter: PaperMeter, paper_line: PaperLine
) -> None:
    answers = iter([b"\x03\x02\x00\x63", b""])
    paper_line.reply = lambda frame: [
        (0.01, answer_rtu(meter, frame) + b"\xee"),
        (0.015, rtu(1, next(answers)) + b"\xee"),
    ]
    assert bus.read(READ, timing) == (11,)
    assert bus.read(OTHER_READ, timing) == (22,)


def test_line_that_brings_bytes_without_end_is_refused(
    bus: ModbusBus, timing: MeterTiming, paper_line: PaperLine, timer: PaperTimer
) -> None:
    paper_line.open()
    paper_line.underway.extend([(timer.at_s, b"\x55" * 250)] * 20)
    with pytest.raises(RemoteProtocolError, match="without end"):
        bus.write(WRITE, timing, Urgency.CREDIT)
    assert paper_line.written == []


def test_interrupted_exchange_leaves_the_line_in_quarantine(
    bus: ModbusBus, timing: MeterTiming, meter: PaperMeter, paper_line: PaperLine
) -> None:
    def interrupt(_: bytes) -> list[Delivery]:
        raise KeyboardInterrupt

    paper_line.reply = interrupt
    with pytest.raises(KeyboardInterrupt):
        bus.read(READ, timing)
    late = rtu(1, b"\x03\x02\x00\x63")
    paper_line.underway.append((paper_line.timer.at_s + 1.0, late))
    paper_line.reply = lambda frame: [(0.01, answer_rtu(meter, frame))]
    assert bus.read(READ, timing) == (11,)


# --- TCP ----------------------------------------------------------------------------------------
def test_tcp_connection_is_opened_anew_after_a_silence(
    tcp_bus: ModbusBus, timing: MeterTiming, paper_line: PaperLine
) -> None:
    answers = iter([False, True])
    paper_line.reply = lambda frame: (
        [(0.01, tcp(int.from_bytes(frame[:2], "big"), 1, b"\x03\x02\x00\x0b"))]
        if next(answers)
        else []
    )
    assert tcp_bus.read(READ, timing) == (11,)
    assert paper_line.open_count == 2


def test_idle_connection_that_the_other_side_closed_is_opened_anew_before_a_write(
    tcp_bus: ModbusBus, timing: MeterTiming, paper_line: PaperLine, timer: PaperTimer
) -> None:
    paper_line.open()
    paper_line.underway.append((timer.at_s, b""))
    paper_line.reply = lambda frame: [
        (0.01, tcp(int.from_bytes(frame[:2], "big"), 1, b"\x10\x00\x00\x00\x01"))
    ]
    assert tcp_bus.write(WRITE, timing, Urgency.CREDIT) == Done(None)
    assert (paper_line.open_count, len(paper_line.written)) == (2, 1)


# --- echo ---------------------------------------------------------------------------------------
@pytest.fixture
def echo_bus(paper_line: PaperLine, timer: PaperTimer) -> ModbusBus:
    line = LineOwner(
        paper_line,
        pacing=Pacing(gap_s=0.004, answer_s=0.3, strips_echo=True),
        timer=timer,
        reopens_after_silence=False,
    )
    return ModbusBus(line, RTUFraming())


def test_echo_is_stripped_in_any_portions(
    echo_bus: ModbusBus, timing: MeterTiming, meter: PaperMeter, paper_line: PaperLine
) -> None:
    paper_line.reply = lambda frame: [
        (0.001, frame[:3]),
        (0.002, frame[3:] + answer_rtu(meter, frame)),
    ]
    assert echo_bus.read(READ, timing) == (11,)
    # The echo of a write by function 0x06 is a perfect answer to it; only the second one counts.
    paper_line.reply = lambda frame: [(0.001, frame)]
    write = WriteRequest(1, 0, (5,), WriteRule.FC06)
    assert isinstance(echo_bus.write(write, timing, Urgency.RELAY), Unknown)


def test_echo_that_differs_is_a_collision(
    echo_bus: ModbusBus, timing: MeterTiming, meter: PaperMeter, paper_line: PaperLine
) -> None:
    paper_line.reply = lambda frame: [(0.001, b"\x7f" + frame[1:] + answer_rtu(meter, frame))]
    with pytest.raises(RemoteProtocolError, match="echo differs"):
        echo_bus.read(READ, timing)


# --- pacing -------------------------------------------------------------------------------------
def test_pauses_follow_line_meter_and_change_of_meter(
    bus: ModbusBus, timing: MeterTiming, paper_line: PaperLine
) -> None:
    paper_line.reply = lambda frame: [(0.01, rtu(frame[0], b"\x03\x02\x00\x0b"))]
    for unit in (1, 1, 2):
        bus.read(ReadRequest(unit, RegisterTable.HOLDING, 0, 1), timing)
    starts_s = [at_s for at_s, _ in paper_line.written]
    assert starts_s[1] - starts_s[0] == pytest.approx(0.01 + timing.turnaround_s)
    assert starts_s[2] - starts_s[1] == pytest.approx(0.01 + timing.switch_s)


def test_gap_of_the_line_holds_for_a_meter_that_needs_none(
    bus: ModbusBus, paper_line: PaperLine
) -> None:
    paper_line.reply = lambda frame: [(0.01, rtu(frame[0], b"\x03\x02\x00\x0b"))]
    hasty = MeterTiming(turnaround_s=0, switch_s=0, answer_s=0.5)
    for _ in range(2):
        bus.read(READ, hasty)
    (first_s, _), (second_s, _) = paper_line.written
    assert second_s - first_s == pytest.approx(0.01 + 0.004)


# --- many threads, and the log ------------------------------------------------------------------
def test_threads_share_the_line_without_mixing_answers(
    bus: ModbusBus, timing: MeterTiming, paper_line: PaperLine
) -> None:
    paper_line.reply = lambda frame: [(0.001, rtu(frame[0], bytes([3, 2, 0, frame[0]])))]
    got: dict[int, set[tuple[int, ...]]] = {}

    def poll(unit: int) -> None:
        request = ReadRequest(unit, RegisterTable.HOLDING, 0, 1)
        got[unit] = {bus.read(request, timing) for _ in range(20)}

    threads = [threading.Thread(target=poll, args=(unit,)) for unit in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {unit: {(unit,)} for unit in range(1, 6)}


def test_log_tells_once_that_a_line_is_lost_and_once_that_it_is_back(
    bus: ModbusBus,
    timing: MeterTiming,
    meter: PaperMeter,
    paper_line: PaperLine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="meter_drivers")
    paper_line.reply = lambda _: []
    for _ in range(2):
        with pytest.raises(LinkTimeoutError):
            bus.read(READ, timing)
    paper_line.reply = lambda frame: [(0.01, answer_rtu(meter, frame))]
    for _ in range(2):
        bus.read(READ, timing)
    assert [record.getMessage() for record in caplog.records] == [
        "line lost: paper line",
        "line back: paper line",
    ]


def test_resting_bus_closes_its_line_and_opens_it_on_use(
    bus: ModbusBus, timing: MeterTiming, meter: PaperMeter, paper_line: PaperLine
) -> None:
    bus.read(READ, timing)
    bus.line.rest()
    assert not paper_line.is_open
    assert bus.read(READ, timing) == (meter.holding[0],)

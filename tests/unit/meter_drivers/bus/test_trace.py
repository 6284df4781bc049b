from meter_drivers.bus.line import MeterTiming
from meter_drivers.bus.modbus import ModbusBus
from meter_drivers.bus.trace import Direction, FrameTrace
from meter_drivers.bus.turns import Urgency
from meter_drivers.protocols.modbus.frames import ReadRequest, WriteRequest
from meter_drivers.registers import RegisterTable, WriteRule
from tests.support.modbus_lines import PaperLine, PaperTimer, answer_rtu
from tests.support.modbus_meter import PaperMeter

READ = ReadRequest(1, RegisterTable.HOLDING, 0, 1)


def test_trace_shows_both_ways_with_their_time(
    bus: ModbusBus, paper_line: PaperLine, timing: MeterTiming
) -> None:
    meter = PaperMeter(holding={0: 11})
    paper_line.reply = lambda frame: [(0.01, answer_rtu(meter, frame))]
    bus.read(READ, timing)
    sent, received = bus.line.trace.frames()
    assert (sent.direction, received.direction) == (Direction.SENT, Direction.RECEIVED)
    assert sent.shown.hex(" ") == "01 03 00 00 00 01 84 0a"
    assert str(received).endswith("< 01 03 02 00 0b f9 83")
    assert received.at_s > sent.at_s


def test_trace_hides_what_a_write_carries(
    bus: ModbusBus, paper_line: PaperLine, timing: MeterTiming
) -> None:
    meter = PaperMeter(holding=dict.fromkeys(range(10), 0))
    paper_line.reply = lambda frame: [(0.01, answer_rtu(meter, frame))]
    secret = (0x1234, 0x5678, 0x9ABC)
    bus.write(WriteRequest(1, 0, secret, WriteRule.FC16), timing, Urgency.CREDIT)
    told = "\n".join(map(str, bus.line.trace.frames()))
    assert "01 10 00 00 00 03 06 ·· (8 bytes hidden)" in told
    assert not any(f"{word >> 8:02x} {word & 255:02x}" in told for word in secret)


def test_trace_says_how_an_exchange_ended(
    bus: ModbusBus, paper_line: PaperLine, timing: MeterTiming
) -> None:
    paper_line.reply = lambda _frame: []
    bus.write(WriteRequest(1, 0, (1,), WriteRule.FC16), timing, Urgency.CREDIT)
    assert str(bus.line.trace.frames()[-1]).endswith("= link_timeout")


def test_trace_counts_but_does_not_keep_what_came_unasked(
    bus: ModbusBus, paper_line: PaperLine, timing: MeterTiming
) -> None:
    meter = PaperMeter(holding={0: 11})
    paper_line.reply = lambda frame: [
        (0.01, answer_rtu(meter, frame)),
        (0.02, b"late and perhaps secret"),
    ]
    bus.read(READ, timing)
    bus.read(READ, timing)
    drained = [one for one in bus.line.trace.frames() if one.direction is Direction.DRAINED]
    assert [(one.shown, one.hidden_count) for one in drained] == [(b"", 23)]


def test_trace_keeps_the_latest_only() -> None:
    trace = FrameTrace(PaperTimer(), frames_max=3)
    for number in range(5):
        trace.note(Direction.SENT, bytes([number]))
    assert [one.shown for one in trace.frames()] == [b"\x02", b"\x03", b"\x04"]

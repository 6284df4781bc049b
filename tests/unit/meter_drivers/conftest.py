from collections.abc import Callable

import pytest

from meter_drivers.bus.line import LineOwner, MeterTiming, Pacing
from meter_drivers.bus.modbus import ModbusBus
from meter_drivers.capabilities import Meter
from meter_drivers.drivers.modbus import build_meter
from meter_drivers.drivers.modbus_line import MeterLine
from meter_drivers.profiles.loader import load_profile
from meter_drivers.profiles.modbus_part import ModbusPart, ModbusProfile
from meter_drivers.profiles.model import narrow_profile
from meter_drivers.protocols.modbus.credit import SiteKey
from meter_drivers.protocols.modbus.frames import RTUFraming
from tests.support.modbus_lines import PaperLine, PaperTimer, answer_rtu
from tests.support.modbus_meter import PaperMeter, PrepayMeter

SITE_KEY = SiteKey(bytes(range(32)))


@pytest.fixture
def timer() -> PaperTimer:
    return PaperTimer()


@pytest.fixture
def paper_line(timer: PaperTimer) -> PaperLine:
    return PaperLine(timer)


@pytest.fixture
def timing() -> MeterTiming:
    return MeterTiming(turnaround_s=0.02, switch_s=0.1, answer_s=0.5)


@pytest.fixture
def bus(paper_line: PaperLine, timer: PaperTimer) -> ModbusBus:
    line = LineOwner(
        paper_line,
        pacing=Pacing(gap_s=0.004, answer_s=0.3),
        timer=timer,
        reopens_after_silence=False,
    )
    return ModbusBus(line, RTUFraming())


@pytest.fixture
def reference() -> ModbusProfile:
    return narrow_profile(load_profile("reference_prepay"), ModbusPart)


@pytest.fixture
def site_key() -> SiteKey:
    return SITE_KEY


@pytest.fixture
def prepay_meter(reference: ModbusProfile) -> PrepayMeter:
    return PrepayMeter(reference, site_key=SITE_KEY)


@pytest.fixture
def connect(
    bus: ModbusBus, paper_line: PaperLine, timing: MeterTiming
) -> Callable[[PaperMeter, ModbusProfile], Meter]:
    """Return what puts a paper meter on the paper line, and gives its driver."""

    def connect_meter(meter: PaperMeter, profile: ModbusProfile) -> Meter:
        paper_line.reply = lambda frame: [(0.01, answer_rtu(meter, frame))]
        line = MeterLine(
            bus=bus, unit=meter.unit, profile=profile, timing=timing, site_key=SITE_KEY
        )
        return build_meter(line, link="paper")

    return connect_meter

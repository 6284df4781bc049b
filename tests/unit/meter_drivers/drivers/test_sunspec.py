"""SunSpec: devices on paper, and the layout against the definitions that the alliance publishes."""

from collections.abc import Callable
from itertools import accumulate, pairwise

import pytest
from sunspec2 import mb, mdef
from sunspec2.device import get_model_def

from meter_drivers.capabilities import Meter
from meter_drivers.drivers.sunspec import MODELS_MAX
from meter_drivers.errors import RemoteProtocolError
from meter_drivers.profiles.loader import load_profile
from meter_drivers.profiles.modbus_part import ModbusPart, ModbusProfile
from meter_drivers.profiles.model import narrow_profile
from meter_drivers.registers import Encoding, Unit, encode_text
from tests.support.modbus_meter import PaperMeter

Connect = Callable[[PaperMeter, ModbusProfile], Meter]
MARKER = (0x5375, 0x6E53)
COMMON = (1, 66, *encode_text("Maker", 16), *encode_text("Meter 3", 16), *(0,) * 8,
          *encode_text("2.1", 8), *(0,) * 18)  # fmt: skip
LENGTH = 105
ENCODINGS = {
    mdef.TYPE_INT16: Encoding.S16, mdef.TYPE_SUNSSF: Encoding.S16, mdef.TYPE_ACC32: Encoding.U32,
}  # fmt: skip


@pytest.fixture
def profile() -> ModbusProfile:
    return narrow_profile(load_profile("sunspec_meter"), ModbusPart)


def meter_of(points: dict[int, int], *, base: int = 40_000, model: int = 203) -> PaperMeter:
    """Return a device whose meter model holds these words, and nothing it has implemented else."""
    body = [points.get(offset, 0x8000) for offset in range(2, 2 + LENGTH)]
    for offset in range(38, 54):
        body[offset - 2] = points.get(offset, 0)
    paper = PaperMeter()
    paper.set(base, (*MARKER, *COMMON, model, LENGTH, *body, 0xFFFF, 0))
    return paper


VOLTAGE = {7: 2296, 15: 0xFFFF}
ENERGY = {46: 0x0001, 47: 0x0002, 54: 1}


@pytest.mark.parametrize("base", [40_000, 50_000, 0])
@pytest.mark.parametrize("model", [201, 202, 203, 204])
def test_model_is_found_at_each_base(
    connect: Connect, profile: ModbusProfile, base: int, model: int
) -> None:
    meter = connect(meter_of(VOLTAGE | ENERGY, base=base, model=model), profile)
    readings = {reading.name: reading for reading in meter.read_registers()}
    assert readings["voltage"].value == 229_600
    assert readings["energy.import.total"].value == 655_380
    identity = meter.identify()
    assert (identity.model, identity.firmware) == ("Maker Meter 3", "2.1")


def test_what_is_not_implemented_is_unavailable_never_a_number(
    connect: Connect, profile: ModbusProfile
) -> None:
    readings = connect(meter_of(VOLTAGE | ENERGY), profile).read_registers()
    values = {reading.name: reading.value for reading in readings}
    has_value = {name for name, value in values.items() if value is not None}
    # A total of 0 is a count: every meter has it. Of a phase it says that there is none.
    assert has_value == {"voltage", "energy.import.total", "energy.export.total"}
    assert values["energy.export.total"] == 0
    assert all(each.unavailable_reason for each in readings if each.value is None)


@pytest.mark.parametrize("exponent", [0x8000, 11, 0xFFF5])
def test_value_without_its_scale_is_unavailable(
    connect: Connect, profile: ModbusProfile, exponent: int
) -> None:
    meter = connect(meter_of({7: 2296, 15: exponent}), profile)
    readings = {reading.name: reading for reading in meter.read_registers()}
    assert readings["voltage"].value is None
    assert "scale.voltage holds no scale" in str(readings["voltage"].unavailable_reason)


@pytest.mark.parametrize(
    ("base", "words", "said"),
    [
        (40_000, (0, 0), "the marker SunS is at none of 40000, 50000, 0"),
        (40_000, (*MARKER, 1, 1, 0, 0xFFFF, 0), r"models \[1\], and none of \[201, 202"),
        (40_000, MARKER + (7, 0) * MODELS_MAX, "no end"),
        (0xFFFC - 0xFFFC, (*MARKER, 7, 0xFFFC), "no end"),
    ],
)
def test_device_without_the_model_is_said_to_be_another(
    connect: Connect, profile: ModbusProfile, base: int, words: tuple[int, ...], said: str
) -> None:
    paper = PaperMeter()
    paper.set(base, words)
    with pytest.raises(RemoteProtocolError, match=said):
        connect(paper, profile).read_registers()


def test_common_model_that_is_no_text_is_refused(connect: Connect, profile: ModbusProfile) -> None:
    paper = meter_of(VOLTAGE)
    paper.set(40_004, (0xFFFF,))
    with pytest.raises(RemoteProtocolError, match="no printable ASCII"):
        connect(paper, profile).identify()


# --- the published definitions ------------------------------------------------------------------
POINTS = {
    "current": "A", "voltage": "PhV", "frequency": "Hz", "power.active": "W",
    "power.apparent": "VA", "power.reactive": "VAR", "power_factor": "PF",
    "energy.import": "TotWhImp", "energy.export": "TotWhExp", "energy.import.total": "TotWhImp",
    "energy.export.total": "TotWhExp", "scale.energy": "TotWh_SF",
}  # fmt: skip
PHASES = {"l1": "phA", "l2": "phB", "l3": "phC"}


def point_of(name: str) -> str:
    """Return what a register is called in the definitions."""
    if name in POINTS:
        return POINTS[name]
    if name.startswith("scale."):
        return {"voltage": "V"}.get(name[6:], POINTS[name[6:]]) + "_SF"
    quantity, _, phase = name.rpartition(".")
    suffix = PHASES[phase]
    return POINTS[quantity] + (suffix if not quantity.startswith("energy") else f"P{suffix[1:]}")


@pytest.mark.parametrize("model", [201, 202, 203, 204])
def test_layout_is_that_of_the_published_model(profile: ModbusProfile, model: int) -> None:
    points = get_model_def(model)["group"]["points"]
    starts = [0, *accumulate(int(point["size"]) for point in points)]
    published = {
        point["name"]: (point, start) for point, start in zip(points, starts, strict=False)
    }
    assert starts[-1] == LENGTH + 2
    for spec in profile.part.registers:
        point, start = published[point_of(spec.name)]
        assert (spec.address, spec.count) == (start, point["size"]), spec.name
        assert spec.encoding is ENCODINGS[point["type"]]
        if spec.unit is not Unit.EXPONENT:
            assert spec.scale_from is not None
            assert point["sf"] == point_of(spec.scale_from)
        missing = mb.unimpl_value[point["type"]] % (1 << 16 * spec.count)
        is_counted = spec.name in {"energy.import.total", "energy.export.total"}
        assert spec.invalid == (set() if is_counted else {missing}), spec.name
    assert all(one.address < other.address for one, other in pairwise(profile.part.registers))

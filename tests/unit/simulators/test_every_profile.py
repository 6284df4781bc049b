"""Every profile, simulated from its file and read through the real driver over TCP."""

from collections.abc import Iterator

import pytest

from meter_drivers.capabilities import Meter
from meter_drivers.profiles.loader import list_profiles, load_profile
from meter_drivers.profiles.modbus_part import ModbusPart, ModbusProfile
from meter_drivers.profiles.model import Capability, ProtocolName, narrow_profile
from meter_drivers.registers import Unit
from meter_drivers.registry import BusPool, open_meter
from simulators.clock import StillClock
from simulators.endpoints.bus import Bus
from simulators.endpoints.lines import TCPLine
from simulators.endpoints.register_image import RegisterImage, RegisterLayout
from simulators.faults import FaultPlan, FaultRates
from simulators.fleet import loop_in_thread
from simulators.load import LoadCurve, LoadShape
from simulators.meter import measure, start_meter
from simulators.prepaid_meter import PrepaidMeter, with_electric
from simulators.simulated_meter import SimulatedMeter

UNIT = 3
ENERGY_WH = 12_345_670
TIMEOUT_S = 60.0
PROFILES = list_profiles(ProtocolName.MODBUS)


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> ModbusProfile:
    return narrow_profile(load_profile(request.param), ModbusPart)


@pytest.fixture
def simulated(meter: PrepaidMeter, clock: StillClock) -> SimulatedMeter:
    electric = start_meter(at_ms=clock.now_ms(), credit_wh=50_000, energy_wh=ENERGY_WH)
    load = LoadCurve(LoadShape.CONSTANT, 2400)
    simulated = SimulatedMeter(with_electric(meter, electric), load=load, clock=clock)
    clock.move(3_600_000)
    return simulated


@pytest.fixture
def driven(profile: ModbusProfile, simulated: SimulatedMeter) -> Iterator[Meter]:
    image = RegisterImage(RegisterLayout(profile), simulated)
    line = TCPLine(Bus({UNIT: image}, FaultPlan(FaultRates(), seed=1)), host="127.0.0.1", port=0)
    with loop_in_thread() as run:
        run(line.open())
        link = f"modbus-tcp://{line.address}/{UNIT}"
        with open_meter(link, profile=profile.name, timeout_s=TIMEOUT_S, pool=BusPool()) as meter:
            yield meter
        run(line.close())


def test_every_register_is_read_as_the_meter_has_it(
    driven: Meter, profile: ModbusProfile, simulated: SimulatedMeter
) -> None:
    figures = measure(simulated.state.electric)
    readings = {reading.name: reading for reading in driven.read_registers()}
    shown = [spec for spec in profile.part.registers if spec.unit is not Unit.EXPONENT]
    assert readings.keys() == {spec.name for spec in shown}
    expected = {
        "energy.total": simulated.state.electric.energy_wh,
        "energy.import.total": simulated.state.electric.energy_wh,
        "energy.export.total": 0,
        "voltage": figures.voltage_dv * 100,
        "voltage.l3": figures.voltage_dv * 100,
        "current": figures.current_ma,
        "power.active": figures.power_w * 1000,
        "power_factor": figures.power_factor_permille,
        "frequency": figures.frequency_chz * 10,
    }
    for spec in shown:
        reading = readings[spec.name]
        assert reading.unavailable_reason is None, spec.name
        assert reading.unit is spec.unit
        if spec.name in expected:
            assert isinstance(reading.value, int)
            # A float of 24 bits is coarser than 1 Wh up there, a whole number never than its scale.
            coarsest = (
                max(spec.scale, expected[spec.name] >> 23)
                if spec.unit is Unit.WH
                else (spec.scale if spec.encoding != "f32" else 1)
            )
            assert abs(reading.value - expected[spec.name]) < coarsest + 1, spec.name


def test_abilities_are_those_the_profile_declares(driven: Meter, profile: ModbusProfile) -> None:
    abilities = driven.abilities
    declared = profile.capabilities
    assert (abilities.reads_registers is not None) is (Capability.READ_REGISTERS in declared)
    assert (abilities.identifies is not None) is (Capability.IDENTIFY in declared)
    assert (abilities.switches_relay is not None) is (Capability.SWITCH_RELAY in declared)
    assert (abilities.accepts_token is not None) is (Capability.ACCEPT_TOKEN in declared)
    # A site key comes with it, and none was given.
    assert abilities.accepts_credit is None


def test_meter_is_recognised_by_its_own_profile(driven: Meter, profile: ModbusProfile) -> None:
    if Capability.IDENTIFY in profile.capabilities:
        identity = driven.identify()
        assert identity.profile == profile.name
        assert profile.part.tells_model or identity.model == profile.model


def test_acrel_offers_neither_credit_nor_relay_until_they_are_verified() -> None:
    profile = narrow_profile(load_profile("acrel_1352"), ModbusPart)
    assert profile.capabilities == {Capability.READ_REGISTERS}
    assert profile.part.relay is None
    assert all(spec.end <= 0x0011 for spec in profile.part.registers)

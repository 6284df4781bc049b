from collections.abc import Callable
from dataclasses import replace

import pytest

from meter_drivers.capabilities import Identity, Meter, RelayReport, RelayState
from meter_drivers.drivers.modbus_reading import name_credit_result
from meter_drivers.errors import LinkTimeoutError, RemoteProtocolError
from meter_drivers.profiles.loader import list_profiles, load_profile
from meter_drivers.profiles.modbus_part import ModbusPart, ModbusProfile
from meter_drivers.profiles.model import ProtocolName, narrow_profile
from meter_drivers.profiles.plan import plan_reads
from meter_drivers.protocols.modbus.status import AlarmBit, RelayCode, TamperBit, TripCause
from meter_drivers.registers import RegisterTable, Unit, encode_value
from tests.support.modbus_lines import PaperLine
from tests.support.modbus_meter import PaperMeter, PrepayMeter

Connect = Callable[[PaperMeter, ModbusProfile], Meter]


def fill(meter: PaperMeter, profile: ModbusProfile) -> dict[str, int | str]:
    """Give every register a value of its own."""
    values: dict[str, int | str] = {}
    for index, spec in enumerate(profile.part.registers):
        value = "text" if spec.unit is Unit.TEXT else spec.scale * (40 + index)
        meter.set(spec.address, encode_value(spec, value), inputs=spec.table is RegisterTable.INPUT)
        values[spec.name] = value
    return values


def list_fixed() -> list[str]:
    """Return the profiles whose registers stand at their addresses."""
    names = list_profiles(ProtocolName.MODBUS)
    return [
        name
        for name in names
        if narrow_profile(load_profile(name), ModbusPart).part.sunspec is None
    ]


@pytest.mark.parametrize("name", list_fixed())
def test_every_register_of_every_profile_is_read(connect: Connect, name: str) -> None:
    profile = narrow_profile(load_profile(name), ModbusPart)
    paper = PaperMeter()
    values = fill(paper, profile)
    readings = connect(paper, profile).read_registers()
    assert {reading.name: reading.value for reading in readings} == values
    assert len(paper.pdus) == len(plan_reads(profile.part.registers, profile.part.reads))


def test_block_that_the_meter_refuses_is_unavailable_and_the_rest_is_read(
    connect: Connect,
) -> None:
    profile = narrow_profile(load_profile("eastron_sdm120"), ModbusPart)
    paper = PaperMeter()
    fill(paper, profile)
    for address in range(0x0156, 0x015A):
        del paper.inputs[address]
    readings = {each.name: each for each in connect(paper, profile).read_registers()}
    assert readings["energy.total"].value is None
    assert "no such register" in str(readings["energy.total"].unavailable_reason)
    assert readings["voltage"].value == 40_000


def test_meter_that_does_not_answer_is_an_error_not_a_reading(
    connect: Connect, paper_line: PaperLine
) -> None:
    meter = connect(PaperMeter(), narrow_profile(load_profile("eastron_sdm120"), ModbusPart))
    paper_line.reply = lambda _: []
    with pytest.raises(LinkTimeoutError):
        meter.read_registers()


# --- identity -----------------------------------------------------------------------------------
def test_meter_of_the_open_profile_says_who_it_is(
    connect: Connect, prepay_meter: PrepayMeter, reference: ModbusProfile
) -> None:
    identity = connect(prepay_meter, reference).identify()
    assert identity == Identity(
        profile="reference_prepay",
        model="open prepay",
        drn="12345678903",
        pan="600727123456789034",
        firmware="1.0",
    )


def test_meter_without_identity_is_recognised_by_its_frequency(connect: Connect) -> None:
    profile = narrow_profile(load_profile("hiking_dds238_zn_sr"), ModbusPart)
    paper = PaperMeter()
    paper.set(0x11, (5001,))
    assert connect(paper, profile).identify() == Identity(profile.name, profile.model)


@pytest.mark.parametrize("raw", [0, 4499, 6501, 0xFFFF])
def test_frequency_that_makes_no_sense_is_another_model(connect: Connect, raw: int) -> None:
    paper = PaperMeter()
    paper.set(0x11, (raw,))
    meter = connect(paper, narrow_profile(load_profile("hiking_dds238_zn_sr"), ModbusPart))
    with pytest.raises(RemoteProtocolError, match="another model than DDS238"):
        meter.identify()


def test_other_device_behind_the_open_profile_is_recognised_as_such(
    connect: Connect, reference: ModbusProfile
) -> None:
    paper = PaperMeter(holding=dict.fromkeys(range(40), 0))
    with pytest.raises(RemoteProtocolError, match="does not follow the open prepay profile"):
        connect(paper, reference).identify()


# --- credit -------------------------------------------------------------------------------------
def test_credit_is_read_in_watt_hours(
    connect: Connect, prepay_meter: PrepayMeter, reference: ModbusProfile
) -> None:
    prepay_meter.status = replace(
        prepay_meter.status,
        balance=-3,
        relay_actual=RelayCode.OPEN,
        trip_cause=TripCause.NO_CREDIT,
        alarm_bits=AlarmBit.NO_CREDIT | AlarmBit(0x40),
        tamper_bits=TamperBit.COVER | TamperBit.MAGNET,
    )
    prepay_meter.show()
    credit = connect(prepay_meter, reference).read_credit()
    assert credit.balance_wh == -30
    assert credit.cumulative_credit_wh == 50_000
    assert credit.relay == RelayReport(RelayState.CLOSED, RelayState.OPEN, "no_credit")
    assert credit.alarms == ("no_credit", "bit_6")
    assert credit.tampers == ("cover", "magnet")
    assert (credit.last_result, credit.last_tid) == ("none", None)


def test_result_of_another_profile_goes_by_its_number() -> None:
    assert name_credit_result(1) == "done"
    assert name_credit_result(77) == "result_77"

from collections.abc import Callable
from dataclasses import replace

import pytest

from meter_drivers.bus.line import MeterTiming
from meter_drivers.bus.modbus import ModbusBus
from meter_drivers.capabilities import Meter
from meter_drivers.drivers.modbus import build_meter
from meter_drivers.drivers.modbus_line import MeterLine
from meter_drivers.errors import NotSupportedError, ProfileError
from meter_drivers.profiles.loader import load_profile
from meter_drivers.profiles.modbus_part import Block, ModbusPart, ModbusProfile
from meter_drivers.profiles.model import Capability, narrow_profile
from tests.support.modbus_meter import PaperMeter, PrepayMeter
from tests.support.profiles import with_part

Connect = Callable[[PaperMeter, ModbusProfile], Meter]


@pytest.mark.parametrize(
    ("name", "abilities"),
    [
        ("eastron_sdm120", {"identifies", "reads_registers"}),
        ("eastron_sdm230", {"identifies", "reads_registers"}),
        ("eastron_sdm630", {"identifies", "reads_registers"}),
        ("hiking_dds238_zn_sr", {"identifies", "reads_registers", "switches_relay"}),
        (
            "reference_prepay",
            {
                "identifies", "reads_registers", "reads_credit", "accepts_token",
                "accepts_credit", "switches_relay",
            },
        ),
    ],
)  # fmt: skip
def test_meter_has_the_abilities_its_profile_declares(
    connect: Connect, name: str, abilities: set[str]
) -> None:
    meter = connect(PaperMeter(), narrow_profile(load_profile(name), ModbusPart))
    assert set(meter.ability_names) == abilities


def test_meter_without_site_key_takes_no_credit_orders(
    bus: ModbusBus, timing: MeterTiming, reference: ModbusProfile
) -> None:
    line = MeterLine(bus=bus, unit=1, profile=reference, timing=timing)
    meter = build_meter(line, link="paper")
    assert "accepts_credit" not in meter.ability_names


def test_block_that_a_profile_does_not_have_is_said(bus: ModbusBus, timing: MeterTiming) -> None:
    line = MeterLine(
        bus=bus,
        unit=1,
        profile=narrow_profile(load_profile("eastron_sdm120"), ModbusPart),
        timing=timing,
    )
    with pytest.raises(ProfileError, match=r"blocks.status: missing"):
        line.block_address(Block.STATUS)


@pytest.mark.parametrize(
    "use",
    [
        lambda meter: meter.read_credit(),
        lambda meter: meter.enter_token("0" * 20),
        lambda meter: meter.add_credit(10, seq=1),
        lambda meter: meter.read_relay(),
        lambda meter: meter.open_relay(),
        lambda meter: meter.close_relay(),
    ],
)
def test_ability_a_meter_has_not_is_refused_by_name(
    connect: Connect, use: Callable[[Meter], object]
) -> None:
    meter = connect(PaperMeter(), narrow_profile(load_profile("eastron_sdm120"), ModbusPart))
    with pytest.raises(NotSupportedError, match="eastron_sdm120 cannot"):
        use(meter)


def test_meter_that_can_only_be_switched_neither_identifies_nor_reads(connect: Connect) -> None:
    profile = narrow_profile(load_profile("hiking_dds238_zn_sr"), ModbusPart)
    meter = connect(
        PaperMeter(), replace(profile, capabilities=frozenset({Capability.SWITCH_RELAY}))
    )
    assert meter.ability_names == ("switches_relay",)
    with pytest.raises(NotSupportedError, match="cannot say who it is"):
        meter.identify()
    with pytest.raises(NotSupportedError, match="cannot be read"):
        meter.read_registers()


def test_credit_without_token_blocks_has_no_last_tid(
    connect: Connect, prepay_meter: PrepayMeter, reference: ModbusProfile
) -> None:
    blocks = dict(reference.part.blocks)
    del blocks[Block.TOKEN_RESULT]
    declared = reference.capabilities - {Capability.ACCEPT_TOKEN}
    meter = connect(
        prepay_meter, with_part(replace(reference, capabilities=declared), blocks=blocks)
    )
    assert meter.read_credit().last_tid is None
    assert "accepts_token" not in meter.ability_names

from dataclasses import replace

import pytest

from meter_drivers.profiles.lint import lint_profile
from meter_drivers.profiles.loader import load_profile, parse_profile
from meter_drivers.profiles.modbus_part import Block, ModbusPart, ModbusProfile, ProbeSpec
from meter_drivers.profiles.model import Capability, Quirk, narrow_profile
from meter_drivers.protocols.modbus.blocks import Layout, place
from meter_drivers.protocols.modbus.credit import CREDIT_LAYOUT
from meter_drivers.protocols.modbus.identity import IDENTITY_LAYOUT
from meter_drivers.protocols.modbus.status import STATUS_LAYOUT
from meter_drivers.protocols.modbus.token_entry import TOKEN_ENTRY_LAYOUT, TOKEN_RESULT_LAYOUT
from meter_drivers.registers import Encoding, RegisterSpec, RegisterTable, Unit, WriteRule
from tests.support.profiles import with_part


@pytest.fixture
def profile(good_text: str) -> ModbusProfile:
    return narrow_profile(parse_profile(good_text, file="good.toml"), ModbusPart)


def with_register(profile: ModbusProfile, **changes: object) -> ModbusProfile:
    spec = RegisterSpec("added", 0x0200, Encoding.U16, Unit.COUNT)
    return with_part(profile, registers=(*profile.part.registers, replace(spec, **changes)))  # type: ignore[arg-type] # a test names fields


def problems(profile: ModbusProfile) -> list[str]:
    return [f"{finding.key}: {finding.problem}" for finding in lint_profile(profile)]


def test_good_profile_has_no_findings(profile: ModbusProfile) -> None:
    assert problems(with_register(profile)) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "energy"}, "registers: energy stands 2 times"),
        ({"address": 0xFFFF, "count": 2}, "registers.added: it ends past"),
        ({"count": 21, "encoding": Encoding.TEXT, "unit": Unit.TEXT}, "it is longer than"),
        ({"unit": Unit.TEXT}, "unit and encoding disagree"),
        ({"encoding": Encoding.TEXT}, "unit and encoding disagree"),
        ({"table": RegisterTable.INPUT, "write": WriteRule.FC16}, "cannot be written"),
        ({"address": 0x0003}, "registers.added: it overlaps serial"),
        ({"unit": Unit.EXPONENT}, "an exponent is a plain s16"),
        ({"scale_from": "frequency"}, "there is no register frequency of unit exponent"),
    ],
)
def test_register_that_contradicts_is_found(
    profile: ModbusProfile, changes: dict[str, object], problem: str
) -> None:
    (found,) = problems(with_register(profile, **changes))
    assert problem in found


def test_float_takes_no_exponent_from_elsewhere(profile: ModbusProfile) -> None:
    scale = RegisterSpec("scale", 0x0300, Encoding.S16, Unit.EXPONENT)
    scaled = with_part(profile, registers=(*profile.part.registers, scale))
    assert problems(with_register(scaled, scale_from="scale")) == []
    (found,) = problems(
        with_register(scaled, scale_from="scale", encoding=Encoding.F32, count=2, address=0x0400)
    )
    assert "f32 has no exponent elsewhere" in found


def test_registers_of_two_tables_do_not_overlap(profile: ModbusProfile) -> None:
    assert problems(with_register(profile, address=0x0010)) == []


@pytest.mark.parametrize(
    ("capability", "missing"),
    [
        (Capability.READ_CREDIT, "status"),
        (Capability.ACCEPT_TOKEN, "token_entry, token_result"),
        (Capability.ACCEPT_CREDIT, "credit, identity, status"),
    ],
)
def test_capability_without_its_blocks_is_found(
    profile: ModbusProfile, capability: Capability, missing: str
) -> None:
    declared = profile.capabilities | {capability}
    (found,) = problems(replace(profile, capabilities=declared))
    assert f"{capability} needs {missing}" in found


def test_profile_that_can_do_nothing_is_found(profile: ModbusProfile) -> None:
    found = problems(replace(profile, capabilities=frozenset()))
    assert "capabilities: none is declared" in found


def test_reading_without_registers_is_found(profile: ModbusProfile) -> None:
    found = problems(with_part(profile, registers=()))
    assert "registers: there are none to read" in found


def test_identifying_without_block_or_probe_is_found(profile: ModbusProfile) -> None:
    (found,) = problems(with_part(profile, probe=None))
    assert "identify needs" in found


def test_relay_and_its_capability_go_together(profile: ModbusProfile) -> None:
    assert any("go together" in each for each in problems(with_part(profile, relay=None)))
    declared = profile.capabilities - {Capability.SWITCH_RELAY}
    found = problems(replace(profile, capabilities=declared))
    assert any("go together" in each for each in found)


def test_relay_that_is_read_back_from_its_order_must_say_so(profile: ModbusProfile) -> None:
    assert profile.part.relay is not None
    one_register = with_part(
        profile, relay=replace(profile.part.relay, actual=profile.part.relay.command)
    )
    quirk = frozenset({Quirk.RELAY_READ_BACK_IS_ORDER})
    assert any("say otherwise" in each for each in problems(one_register))
    assert any("say otherwise" in each for each in problems(replace(profile, quirks=quirk)))
    assert problems(replace(one_register, quirks=quirk)) == []


def test_probe_is_a_register_with_bounds_in_order(profile: ModbusProfile) -> None:
    (found,) = problems(with_part(profile, probe=ProbeSpec("voltage", 1, 2)))
    assert "no register voltage" in found
    (found,) = problems(with_part(profile, probe=ProbeSpec("frequency", 2, 1)))
    assert "above highest" in found


LAYOUTS: dict[Block, Layout] = {
    Block.IDENTITY: IDENTITY_LAYOUT,
    Block.STATUS: STATUS_LAYOUT,
    Block.CREDIT: CREDIT_LAYOUT,
    Block.TOKEN_ENTRY: TOKEN_ENTRY_LAYOUT,
    Block.TOKEN_RESULT: TOKEN_RESULT_LAYOUT,
}


def test_blocks_and_registers_of_the_reference_profile_do_not_overlap() -> None:
    reference = narrow_profile(load_profile("reference_prepay"), ModbusPart)
    placed = [
        spec
        for block, address in reference.part.blocks.items()
        for spec in place(LAYOUTS[block], address)
    ]
    together = with_part(reference, registers=(*reference.part.registers, *placed))
    assert problems(together) == []


def test_relay_of_the_reference_profile_is_read_back_from_its_status_block() -> None:
    reference = narrow_profile(load_profile("reference_prepay"), ModbusPart)
    placed = {spec.name: spec for spec in place(STATUS_LAYOUT, reference.part.blocks[Block.STATUS])}
    assert reference.part.relay is not None
    assert reference.part.relay.actual == placed["status.relay_actual"].address

from pathlib import Path

import pytest

from meter_drivers.errors import ProfileError
from meter_drivers.profiles.lint import lint_profile
from meter_drivers.profiles.loader import list_profiles, load_profile, parse_profile
from meter_drivers.profiles.modbus_part import Block, ModbusPart
from meter_drivers.profiles.model import (
    Capability,
    Confidence,
    Parity,
    ProtocolName,
    Quirk,
    Verification,
    narrow_profile,
)
from meter_drivers.profiles.plan import plan_reads
from meter_drivers.registers import Encoding, RegisterTable, Unit, WordOrder, decode_reading


def test_good_profile_is_read_whole(good_text: str) -> None:
    profile = narrow_profile(parse_profile(good_text, file="good.toml"), ModbusPart)
    assert (profile.name, profile.line.parity) == ("good_meter", Parity.NONE)
    assert profile.source.confidence is Confidence.A
    assert profile.capabilities >= {Capability.SWITCH_RELAY}
    assert profile.part.register("serial").count == 4
    energy = profile.part.register("energy")
    assert (energy.encoding, energy.count) == (Encoding.U32, 2)
    assert (energy.word_order, energy.table) == (WordOrder.LITTLE, RegisterTable.INPUT)
    assert profile.part.register("frequency").invalid == {0xFFFF}
    assert profile.part.tables == {RegisterTable.HOLDING, RegisterTable.INPUT}


@pytest.mark.parametrize(
    ("old", "new", "key", "problem"),
    [
        ("format = 1", "format = 2", "format", "2 is out of place"),
        ("format = 1", "", "format", "missing"),
        ('name = "good_meter"', 'name = "Good Meter"', "name", "is no name"),
        ('maker = "Maker"', 'maker = ""', "maker", "is no text"),
        ('maker = "Maker"', 'maker = "Maker"\ncolour = "red"', "colour", "unknown key"),
        ('firmware_seen = ["1.0"]', "firmware_seen = [1]", "firmware_seen", "is no text"),
        ('firmware_seen = ["1.0"]', 'firmware_seen = "1.0"', "firmware_seen", "is no list"),
        ('"identify",', '"fly",', "capabilities", "'fly' is unknown"),
        ('"identify",', '"identify", "identify",', "capabilities", "stands twice"),
        ("baud = 9600", 'baud = "fast"', "line.baud", "out of place"),
        ("baud = 9600", "baud = true", "line.baud", "out of place"),
        ('parity = "N"', 'parity = "X"', "line.parity", "unknown"),
        ("stop_bits = 1", "stop_bits = 3", "line.stop_bits", "out of place"),
        ("[timing]", "[timings]", "timing", "missing"),
        ("answer_ms = 300", "answer_ms = 0", "timing.answer_ms", "out of place"),
        ("registers_max = 20", "registers_max = 126", "reads.registers_max", "out of place"),
        ("address = 0x0010", "address = 65536", "registers[2].address", "out of place"),
        ("invalid = [0xFFFF]", "invalid = [-1]", "registers.frequency", "wider than 16 bits"),
        ("invalid = [0xFFFF]", "invalid = [65536]", "registers.frequency", "wider than 16 bits"),
        ("invalid = [0xFFFF]", 'invalid_marks = ["nan"]', "registers[0].invalid_marks", "unknown"),
        ("count = 4", 'count = 4\ninvalid_marks = ["zero"]', "registers.serial", "text has no"),
        ("invalid = [0xFFFF]", 'invalid = ["x"]', "registers[0].invalid", "no whole number"),
        ('encoding = "u16"', 'encoding = "u17"', "registers[0].encoding", "unknown"),
        ("scale = 10", "scale = 0", "registers[0].scale", "out of place"),
        ('write = "fc16"', 'write = "fc05"', "relay.write", "unknown"),
        ("[relay]", "[[relay]]", "relay", "is no table"),
        ("format = 1", "format = ", "TOML", "Invalid value"),
    ],
)
def test_bad_profile_names_file_key_and_remedy(
    good_text: str, old: str, new: str, key: str, problem: str
) -> None:
    assert old in good_text
    with pytest.raises(ProfileError) as caught:
        parse_profile(good_text.replace(old, new, 1), file="bad.toml")
    assert (caught.value.file, caught.value.key) == ("bad.toml", key)
    assert problem in caught.value.problem
    assert caught.value.remedy
    assert str(caught.value).startswith(f"bad.toml: {key}: ")


def test_profile_that_contradicts_itself_is_refused(good_text: str) -> None:
    text = good_text.replace("open_value = 0", "open_value = 1")
    with pytest.raises(ProfileError, match=r"bad.toml: relay.open_value: it equals closed_value"):
        parse_profile(text, file="bad.toml")


def test_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"use one of: .*reference_prepay"):
        load_profile("nobody_made_it")


def test_profile_of_ones_own_is_read_from_its_path(good_text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(good_text)
    assert load_profile(str(path)).name == "good_meter"


def test_path_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="cannot be read"):
        load_profile(str(tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileError, match="cannot be read"):
        load_profile(str(tmp_path / "bytes.toml"))


FRAMES_MAX = 8
"""Where nobody knows whether a meter answers across a gap, each gap costs a frame."""


# --- every profile that ships -------------------------------------------------------------------
@pytest.mark.parametrize("name", list_profiles())
def test_built_in_profile_agrees_with_itself_and_names_its_source(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert lint_profile(profile) == []
    assert len(profile.source.document) > 8


@pytest.mark.parametrize("name", list_profiles(ProtocolName.MODBUS))
def test_built_in_profile_is_read_in_few_frames(name: str) -> None:
    profile = narrow_profile(load_profile(name), ModbusPart)
    plan = plan_reads(profile.part.registers, profile.part.reads)
    assert sum(len(planned.specs) for planned in plan) == len(profile.part.registers)
    assert all(planned.count <= profile.part.reads.registers_max for planned in plan)
    assert len(plan) <= FRAMES_MAX


@pytest.mark.parametrize("name", list_profiles(ProtocolName.MODBUS))
def test_built_in_profile_reads_zeros_as_zeros(name: str) -> None:
    for spec in narrow_profile(load_profile(name), ModbusPart).part.registers:
        reading = decode_reading(spec, (0,) * spec.count)
        assert reading.value == (None if spec.unit is Unit.TEXT or 0 in spec.invalid else 0)


@pytest.mark.parametrize(
    ("encoding", "marks", "raw"),
    [
        ("u16", '"all_ones"', {0xFFFF}),
        ("s32", '"highest", "lowest"', {0x7FFFFFFF, 0x80000000}),
        ("u64", '"all_ones", "zero"', {0xFFFFFFFFFFFFFFFF, 0}),
        ("s64", '"lowest"', {0x8000000000000000}),
    ],
)
def test_markers_are_as_wide_as_their_register(
    good_text: str, encoding: str, marks: str, raw: set[int]
) -> None:
    text = good_text.replace('encoding = "u16"', f'encoding = "{encoding}"').replace(
        "invalid = [0xFFFF]", f"invalid_marks = [{marks}]"
    )
    # The wider frequency would run into the next register.
    text = text.replace("address = 0x0002", "address = 0x0004")
    profile = narrow_profile(parse_profile(text, file="good.toml"), ModbusPart)
    assert profile.part.register("frequency").invalid == raw


def test_only_the_relay_of_a_hiking_can_be_written() -> None:
    profile = narrow_profile(load_profile("hiking_dds238_zn_sr"), ModbusPart)
    assert all(spec.write is None for spec in profile.part.registers)
    assert profile.part.relay is not None
    assert profile.part.relay.command == 0x001A
    assert profile.quirks == {Quirk.RELAY_READ_BACK_IS_ORDER}


def test_profile_without_a_meter_behind_it_says_so() -> None:
    verified = {name: load_profile(name).source.verification for name in list_profiles()}
    for simulated in ("reference_prepay", "generic_dlt645_prepaid"):
        assert verified.pop(simulated) is Verification.SIMULATED_METER
    assert set(verified.values()) == {Verification.NONE}


def test_reference_profile_has_every_block_and_ability() -> None:
    profile = narrow_profile(load_profile("reference_prepay"), ModbusPart)
    assert profile.part.blocks.keys() == set(Block)
    assert profile.capabilities == set(Capability) - {
        Capability.READ_WALLET,
        Capability.ACCEPT_RECHARGE,
    }


# --- protocols ----------------------------------------------------------------------------------
def test_profile_that_names_no_protocol_is_of_modbus(good_text: str) -> None:
    text = good_text.replace('protocol = "modbus"\n', "")
    assert parse_profile(text, file="good.toml").protocol is ProtocolName.MODBUS


def test_profile_of_a_protocol_that_nobody_reads_is_refused(good_text: str) -> None:
    text = f'protocol = "dlms"\n{good_text}'
    with pytest.raises(
        ProfileError, match=r"bad.toml: protocol: no driver .* use one of: .*modbus"
    ):
        parse_profile(text, file="bad.toml")


def test_profile_is_narrowed_to_its_own_protocol_only() -> None:
    class OtherPart(ModbusPart):
        """A part of another protocol."""

    profile = load_profile("reference_prepay")
    assert narrow_profile(profile, ModbusPart) is profile
    with pytest.raises(
        ProfileError, match="reference_prepay: protocol: modbus is not the protocol"
    ):
        narrow_profile(profile, OtherPart)


def test_profiles_are_listed_by_their_protocol() -> None:
    assert "reference_prepay" in list_profiles(ProtocolName.MODBUS)
    assert list_profiles(ProtocolName.DLMS) == ()

"""Every profile has its page; tables in it are those of the code, quality lines are all there."""

import re
from pathlib import Path

import pytest

from meter_drivers.profiles.dlt645_part import DLT645Part
from meter_drivers.profiles.loader import list_profiles, load_profile, parse_profile
from meter_drivers.profiles.modbus_part import Block, ModbusPart
from meter_drivers.profiles.model import Capability, ProtocolName, narrow_profile
from tests.support.register_table import (
    render_block,
    render_codes,
    render_data,
    render_registers,
)

DRIVERS = Path(__file__).parents[2] / "docs" / "drivers"
PAGES = {
    "reference_prepay": "reference-prepay.md",
    "hiking_dds238_zn_sr": "hiking-dds238.md",
    "eastron_sdm120": "eastron-sdm.md",
    "eastron_sdm230": "eastron-sdm.md",
    "eastron_sdm630": "eastron-sdm.md",
    "generic_dlt645_prepaid": "dlt645-prepaid.md",
    "chint_ddsu666": "chint.md",
    "chint_dtsu666": "chint.md",
    "chint_dtsu666_4000": "chint.md",
    "carlo_gavazzi_em111": "carlo-gavazzi.md",
    "carlo_gavazzi_em330": "carlo-gavazzi.md",
    "abb_b_series": "abb-b-series.md",
    "schneider_iem3000": "schneider-iem3000.md",
    "acrel_1352": "acrel-1352.md",
    "sunspec_meter": "sunspec.md",
}
QUALITY = (
    "probe", "identity", "registers", "relay with read-back", "token entry with result", "clock",
    "timeout", "reconnect", "garbage on the line", "broadcast safety", "log once lost / once back",
    "simulator", "captured vectors", "real device tried",
)  # fmt: skip


def page(name: str) -> str:
    return (DRIVERS / PAGES[name]).read_text("utf-8")


def test_every_profile_has_a_page() -> None:
    assert PAGES.keys() == set(list_profiles())


@pytest.mark.parametrize("name", list_profiles(ProtocolName.DLT645))
def test_page_prints_the_data_of_the_profile(name: str) -> None:
    assert render_data(narrow_profile(load_profile(name), DLT645Part)) in page(name)


@pytest.mark.parametrize("name", list_profiles(ProtocolName.MODBUS))
def test_page_prints_the_registers_of_the_profile(name: str) -> None:
    assert render_registers(narrow_profile(load_profile(name), ModbusPart)) in page(name)


@pytest.mark.parametrize("block", Block)
def test_page_prints_the_blocks_of_the_open_prepay_profile(block: Block) -> None:
    assert render_block(
        narrow_profile(load_profile("reference_prepay"), ModbusPart), block
    ) in page("reference_prepay")


@pytest.mark.parametrize("title", render_codes())
def test_page_prints_the_codes_of_the_open_prepay_profile(title: str) -> None:
    assert render_codes()[title] in page("reference_prepay")


@pytest.mark.parametrize("file_name", sorted(set(PAGES.values())))
@pytest.mark.parametrize("line", QUALITY)
def test_quality_table_has_every_line(file_name: str, line: str) -> None:
    rows = (DRIVERS / file_name).read_text("utf-8").splitlines()
    (row,) = (each for each in rows if each.startswith(f"| {line} |"))
    verdict = row.split("|")[2].strip()
    assert verdict.startswith(("done", "exempt", "none"))


@pytest.mark.parametrize("name", list_profiles())
def test_page_tells_the_source_and_how_well_it_is_known(name: str) -> None:
    source = load_profile(name).source
    assert f"confidence {source.confidence}" in page(name)
    assert f"verification: {source.verification}" in page(name)


# --- the list of models -------------------------------------------------------------------------
OVERVIEW = (DRIVERS / "README.md").read_text("utf-8")


def test_blueprint_is_a_profile() -> None:
    (blueprint,) = re.findall(r"```toml\n(.*?)```", OVERVIEW, re.DOTALL)
    assert parse_profile(blueprint, file="blueprint.toml").name == "maker_model"


@pytest.mark.parametrize("name", list_profiles(ProtocolName.MODBUS))
def test_list_of_models_says_what_the_profile_declares(name: str) -> None:
    profile = load_profile(name)
    (row,) = (line for line in OVERVIEW.splitlines() if line.startswith(f"| [`{name}`]("))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    declared = [
        "yes" if capability in profile.capabilities else "no"
        for capability in (
            Capability.READ_REGISTERS,
            Capability.SWITCH_RELAY,
            Capability.ACCEPT_TOKEN,
            Capability.ACCEPT_CREDIT,
        )
    ]
    source = profile.source
    assert cells[1] == profile.protocol
    assert (cells[2] != "no") is (Capability.IDENTIFY in profile.capabilities)
    assert cells[3:] == [*declared, source.confidence, source.verification, "none"]

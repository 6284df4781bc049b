"""Reads profiles: TOML in, a `Profile` out, or an error that names file, key and remedy."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Final

from meter_drivers.errors import ProfileError
from meter_drivers.profiles.lint import lint_profile
from meter_drivers.profiles.model import (
    Block,
    Capability,
    Confidence,
    LineSettings,
    Parity,
    ProbeSpec,
    Profile,
    Quirk,
    ReadLimits,
    RelaySpec,
    Source,
    Timing,
    Verification,
)
from meter_drivers.profiles.toml_table import TOMLTable
from meter_drivers.registers import (
    WORD_COUNTS,
    Encoding,
    RegisterSpec,
    RegisterTable,
    Unit,
    WordOrder,
    WriteRule,
)

FORMAT: Final = 1
"""Version of the file format; another one is refused."""

ADDRESS_MAX: Final = 0xFFFF
SCALE_MAX: Final = 1_000_000_000
TEXT_REGISTERS_MAX: Final = 60
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_BAUD_LOWEST: Final = 300
_BAUD_HIGHEST: Final = 115_200
_DELAY_MS_MAX: Final = 60_000


def list_profiles() -> tuple[str, ...]:
    """Return the names of the profiles that come with this package, sorted."""
    files = resources.files("meter_drivers.profiles").iterdir()
    return tuple(sorted(file.name[:-5] for file in files if file.name.endswith(".toml")))


def load_profile(name: str) -> Profile:
    """Return a profile: one that comes with this package by its name, or a file by its path.

    Raises:
        ProfileError: If there is no such profile, or it is wrong.
    """
    return _load_file(Path(name)) if name.endswith(".toml") else _load_packaged(name)


@cache
def _load_packaged(name: str) -> Profile:
    file_name = f"{name}.toml"
    if name not in list_profiles():
        known = ", ".join(list_profiles())
        raise ProfileError(
            file_name,
            "name",
            problem="no such profile",
            remedy=f"use one of: {known}; or the path of a .toml file",
        )
    file = resources.files("meter_drivers.profiles") / file_name
    return parse_profile(file.read_text("utf-8"), file=file_name)


def _load_file(path: Path) -> Profile:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(
            str(path), "file", problem=f"cannot be read: {error}", remedy="check the path"
        ) from error
    return parse_profile(text, file=str(path))


def parse_profile(text: str, *, file: str) -> Profile:
    """Return the profile in a TOML text.

    Raises:
        ProfileError: If the text is no TOML, a key is wrong, or the whole contradicts itself.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(
            file, "TOML", problem=str(error), remedy="correct the syntax at that line"
        ) from error
    profile = _parse_root(TOMLTable(file, "", content))
    for finding in lint_profile(profile):
        raise ProfileError(file, finding.key, problem=finding.problem, remedy=finding.remedy)
    return profile


def _parse_root(root: TOMLTable) -> Profile:
    root.integer("format", lowest=FORMAT, highest=FORMAT)
    name = root.text("name")
    if not _NAME.fullmatch(name):
        problem = f"{name!r} is no name"
        raise root.error(key="name", problem=problem, remedy="use a-z, 0-9 and _, a letter first")
    reads = root.table("reads")
    default_table = reads.choice("table", RegisterTable)
    relay = root.find_table("relay")
    probe = root.find_table("probe")
    profile = Profile(
        name=name,
        maker=root.text("maker"),
        model=root.text("model"),
        firmware_seen=root.texts("firmware_seen"),
        source=_parse_source(root.table("source")),
        line=_parse_line(root.table("line")),
        timing=_parse_timing(root.table("timing")),
        reads=_parse_reads(reads),
        capabilities=root.choices("capabilities", Capability),
        registers=tuple(
            _parse_register(table, default_table) for table in root.tables("registers")
        ),
        blocks=_parse_blocks(root),
        relay=_parse_relay(relay) if relay else None,
        probe=_parse_probe(probe) if probe else None,
        quirks=root.choices("quirks", Quirk),
    )
    root.finish()
    return profile


def _parse_source(table: TOMLTable) -> Source:
    source = Source(
        document=table.text("document"),
        page=table.text("page"),
        confidence=table.choice("confidence", Confidence),
        verification=table.choice("verification", Verification),
    )
    table.finish()
    return source


def _parse_line(table: TOMLTable) -> LineSettings:
    line = LineSettings(
        baud=table.integer("baud", lowest=_BAUD_LOWEST, highest=_BAUD_HIGHEST),
        parity=table.choice("parity", Parity),
        stop_bits=table.integer("stop_bits", lowest=1, highest=2),
    )
    table.finish()
    return line


def _parse_timing(table: TOMLTable) -> Timing:
    timing = Timing(
        turnaround_ms=table.integer("turnaround_ms", lowest=0, highest=_DELAY_MS_MAX),
        switch_ms=table.integer("switch_ms", lowest=0, highest=_DELAY_MS_MAX),
        answer_ms=table.integer("answer_ms", lowest=1, highest=_DELAY_MS_MAX),
    )
    table.finish()
    return timing


def _parse_reads(table: TOMLTable) -> ReadLimits:
    reads = ReadLimits(
        registers_max=table.integer("registers_max", lowest=1, highest=125),
        gap_max=table.integer("gap_max", lowest=0, highest=124),
    )
    table.finish()
    return reads


def _parse_register(table: TOMLTable, default_table: RegisterTable) -> RegisterSpec:
    encoding = table.choice("encoding", Encoding)
    spec = RegisterSpec(
        name=table.text("name"),
        address=table.integer("address", lowest=0, highest=ADDRESS_MAX),
        encoding=encoding,
        unit=table.choice("unit", Unit),
        scale=table.integer("scale", lowest=1, highest=SCALE_MAX, default=1),
        count=(
            table.integer("count", lowest=1, highest=TEXT_REGISTERS_MAX)
            if encoding is Encoding.TEXT
            else WORD_COUNTS[encoding]
        ),
        table=table.choice("table", RegisterTable, default_table),
        word_order=table.choice("word_order", WordOrder, WordOrder.BIG),
        invalid=table.integers("invalid"),
        write=table.choice("write", WriteRule) if table.has("write") else None,
    )
    table.finish()
    return spec


def _parse_blocks(root: TOMLTable) -> Mapping[Block, int]:
    table = root.find_table("blocks")
    if table is None:
        return MappingProxyType({})
    blocks = {
        block: table.integer(block, lowest=0, highest=ADDRESS_MAX)
        for block in Block
        if table.has(block)
    }
    table.finish()
    return MappingProxyType(blocks)


def _parse_relay(table: TOMLTable) -> RelaySpec:
    relay = RelaySpec(
        command=table.integer("command", lowest=0, highest=ADDRESS_MAX),
        actual=table.integer("actual", lowest=0, highest=ADDRESS_MAX),
        write=table.choice("write", WriteRule),
        open_value=table.integer("open_value", lowest=0, highest=0xFFFF),
        closed_value=table.integer("closed_value", lowest=0, highest=0xFFFF),
        settle_ms=table.integer("settle_ms", lowest=0, highest=_DELAY_MS_MAX),
    )
    table.finish()
    return relay


def _parse_probe(table: TOMLTable) -> ProbeSpec:
    probe = ProbeSpec(
        register=table.text("register"),
        lowest=table.integer("lowest", lowest=-SCALE_MAX, highest=SCALE_MAX),
        highest=table.integer("highest", lowest=-SCALE_MAX, highest=SCALE_MAX),
    )
    table.finish()
    return probe

"""Reads profiles: TOML in, a `Profile` out, or an error that names file, key and remedy."""

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Final

from meter_drivers.errors import ProfileError
from meter_drivers.profiles.dlt645_part import parse_dlt645_part
from meter_drivers.profiles.lint import lint_profile
from meter_drivers.profiles.modbus_part import parse_modbus_part
from meter_drivers.profiles.model import (
    AnyProfile,
    Capability,
    Confidence,
    LineSettings,
    Parity,
    Part,
    Profile,
    ProtocolName,
    Quirk,
    Source,
    Timing,
    Verification,
)
from meter_drivers.profiles.toml_table import TOMLTable

FORMAT: Final = 1
"""Version of the file format; another one is refused."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_BAUD_LOWEST: Final = 300
_BAUD_HIGHEST: Final = 115_200
_DELAY_MS_MAX: Final = 60_000


def list_profiles(protocol: ProtocolName | None = None) -> tuple[str, ...]:
    """Return the names of the profiles that come with this package, sorted.

    With a protocol: of those that are of it.
    """
    files = resources.files("meter_drivers.profiles").iterdir()
    names = sorted(file.name[:-5] for file in files if file.name.endswith(".toml"))
    return tuple(
        name for name in names if protocol is None or load_profile(name).protocol is protocol
    )


def load_profile(name: str) -> AnyProfile:
    """Return a profile: one that comes with this package by its name, or a file by its path.

    Raises:
        ProfileError: If there is no such profile, or it is wrong.
    """
    return _load_file(Path(name)) if name.endswith(".toml") else _load_packaged(name)


@cache
def _load_packaged(name: str) -> AnyProfile:
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


def _load_file(path: Path) -> AnyProfile:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(
            str(path), "file", problem=f"cannot be read: {error}", remedy="check the path"
        ) from error
    return parse_profile(text, file=str(path))


def parse_profile(text: str, *, file: str) -> AnyProfile:
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


def _parse_root(root: TOMLTable) -> AnyProfile:
    root.integer("format", lowest=FORMAT, highest=FORMAT)
    protocol = root.choice("protocol", ProtocolName, ProtocolName.MODBUS)
    if protocol not in _PART_READERS:
        known = ", ".join(sorted(_PART_READERS))
        problem = f"no driver for {protocol} reads profiles"
        raise root.error(key="protocol", problem=problem, remedy=f"use one of: {known}")
    name = root.text("name")
    if not _NAME.fullmatch(name):
        problem = f"{name!r} is no name"
        raise root.error(key="name", problem=problem, remedy="use a-z, 0-9 and _, a letter first")
    profile = Profile(
        name=name,
        maker=root.text("maker"),
        model=root.text("model"),
        firmware_seen=root.texts("firmware_seen"),
        protocol=protocol,
        source=_parse_source(root.table("source")),
        line=_parse_line(root.table("line")),
        timing=_parse_timing(root.table("timing")),
        capabilities=root.choices("capabilities", Capability),
        quirks=root.choices("quirks", Quirk),
        part=_PART_READERS[protocol](root),
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


_PART_READERS: Final[Mapping[ProtocolName, Callable[[TOMLTable], Part]]] = MappingProxyType(
    {
        ProtocolName.MODBUS: parse_modbus_part,
        ProtocolName.DLT645: parse_dlt645_part,
    }
)
"""What reads the part of each protocol from the root of a file."""

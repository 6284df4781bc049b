"""The part of a Modbus profile: its registers, and what is where in them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from meter_drivers.profiles.model import AnyProfile, Capability, Profile, ProfileFinding, Quirk
from meter_drivers.profiles.toml_table import TOMLTable
from meter_drivers.registers import (
    WORD_COUNTS,
    Encoding,
    Marker,
    RegisterSpec,
    RegisterTable,
    Unit,
    WordOrder,
    WriteRule,
    find_marked,
)

ADDRESS_MAX: Final = 0xFFFF
ADDRESS_END: Final = 0x10000
SCALE_MAX: Final = 1_000_000_000
TEXT_REGISTERS_MAX: Final = 60
SUNSPEC_BASES: Final = (40_000, 50_000, 0)
"""Where the SunSpec Device Information Model Specification lets the chain begin."""
_SETTLE_MS_MAX: Final = 60_000


class Block(StrEnum):
    """The blocks of the open prepay profile; a layout each in `protocols.modbus`."""

    IDENTITY = "identity"
    STATUS = "status"
    CREDIT = "credit"
    TOKEN_ENTRY = "token_entry"  # noqa: S105 # the name of a block, no password
    TOKEN_RESULT = "token_result"  # noqa: S105 # the name of a block, no password


BLOCKS_NEEDED: Final[Mapping[Capability, frozenset[Block]]] = {
    Capability.READ_CREDIT: frozenset({Block.STATUS}),
    Capability.ACCEPT_TOKEN: frozenset({Block.TOKEN_ENTRY, Block.TOKEN_RESULT}),
    Capability.ACCEPT_CREDIT: frozenset({Block.CREDIT, Block.STATUS, Block.IDENTITY}),
}


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How the meter likes to be read."""

    registers_max: int
    """The most registers in one read."""
    gap_max: int
    """The most unmapped registers one read may run across; 0 where the meter refuses them."""


@dataclass(frozen=True, slots=True)
class RelaySpec:
    """How the load switch is ordered and read back."""

    command: int
    actual: int
    write: WriteRule
    open_value: int
    closed_value: int
    settle_ms: int
    """The longest the contact may take to arrive."""


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """A register by which a model without identity block is recognised, and its bounds."""

    register: str
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class SunSpecPlace:
    """Where a model of SunSpec is looked for; its registers count from its own start."""

    models: frozenset[int]
    bases: tuple[int, ...]
    """Where the chain of models may begin, in the order in which they are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusPart:
    """What a profile says about a Modbus meter."""

    reads: ReadLimits
    registers: tuple[RegisterSpec, ...]
    blocks: Mapping[Block, int]
    """Where each block begins; a model that is not of the open prepay profile has none."""
    relay: RelaySpec | None
    """`None` where the model has no relay that the line can switch."""
    probe: ProbeSpec | None
    """`None` where the identity block tells."""
    sunspec: SunSpecPlace | None = None
    """`None` where registers stand at their addresses."""

    def register(self, name: str) -> RegisterSpec:
        """Return the register of this name; a profile that passed the lint has it."""
        return next(spec for spec in self.registers if spec.name == name)

    @property
    def tables(self) -> frozenset[RegisterTable]:
        """Return the register tables this model uses."""
        return frozenset(spec.table for spec in self.registers)

    @property
    def tells_model(self) -> bool:
        """Return whether such a meter has an identity block, or says it in SunSpec."""
        return Block.IDENTITY in self.blocks or self.sunspec is not None

    def lint(self, profile: AnyProfile) -> Iterator[ProfileFinding]:
        """Yield what contradicts itself in the registers, or the head of their profile."""
        yield from _lint_registers(self)
        yield from _lint_overlaps(self)
        yield from _lint_capabilities(self, profile.capabilities)
        yield from _lint_relay(self, profile)
        yield from _lint_probe(self)
        yield from _lint_exponents(self)


ModbusProfile = Profile[ModbusPart]


# --- from TOML ----------------------------------------------------------------------------------
def parse_modbus_part(root: TOMLTable) -> ModbusPart:
    """Return the Modbus part of a profile, from the root of its file.

    Raises:
        ProfileError: If a key is wrong.
    """
    reads = root.table("reads")
    default_table = reads.choice("table", RegisterTable)
    relay = root.find_table("relay")
    probe = root.find_table("probe")
    sunspec = root.find_table("sunspec")
    return ModbusPart(
        reads=_parse_reads(reads),
        registers=tuple(
            _parse_register(table, default_table) for table in root.tables("registers")
        ),
        blocks=_parse_blocks(root),
        relay=_parse_relay(relay) if relay else None,
        probe=_parse_probe(probe) if probe else None,
        sunspec=_parse_sunspec(sunspec) if sunspec else None,
    )


def _parse_reads(table: TOMLTable) -> ReadLimits:
    reads = ReadLimits(
        registers_max=table.integer("registers_max", lowest=1, highest=125),
        gap_max=table.integer("gap_max", lowest=0, highest=124),
    )
    table.finish()
    return reads


def _parse_register(table: TOMLTable, default_table: RegisterTable) -> RegisterSpec:
    encoding = table.choice("encoding", Encoding)
    count = _parse_count(table, encoding)
    spec = RegisterSpec(
        name=table.text("name"),
        address=table.integer("address", lowest=0, highest=ADDRESS_MAX),
        encoding=encoding,
        unit=table.choice("unit", Unit),
        scale=table.integer("scale", lowest=1, highest=SCALE_MAX, default=1),
        count=count,
        table=table.choice("table", RegisterTable, default_table),
        word_order=table.choice("word_order", WordOrder, WordOrder.BIG),
        invalid=table.integers("invalid") | _parse_markers(table, width_bits=16 * count),
        write=table.choice("write", WriteRule) if table.has("write") else None,
        scale_from=table.text("scale_from") if table.has("scale_from") else None,
    )
    table.finish()
    return spec


def _parse_count(table: TOMLTable, encoding: Encoding) -> int:
    if encoding is Encoding.TEXT:
        return table.integer("count", lowest=1, highest=TEXT_REGISTERS_MAX)
    return WORD_COUNTS[encoding]


def _parse_markers(table: TOMLTable, *, width_bits: int) -> frozenset[int]:
    """Return the raw values of `invalid_marks`; those of 64 bits are too wide to write in TOML."""
    return frozenset(
        find_marked(marker, width_bits) for marker in table.choices("invalid_marks", Marker)
    )


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
        settle_ms=table.integer("settle_ms", lowest=0, highest=_SETTLE_MS_MAX),
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


def _parse_sunspec(table: TOMLTable) -> SunSpecPlace:
    models = table.integers("models")
    if not models:
        raise table.error(key="models", problem="there is none", remedy="list their numbers")
    table.finish()
    return SunSpecPlace(models, SUNSPEC_BASES)


# --- lint ---------------------------------------------------------------------------------------
def _lint_registers(part: ModbusPart) -> Iterator[ProfileFinding]:
    for name, count in Counter(spec.name for spec in part.registers).items():
        if count > 1:
            yield ProfileFinding("registers", f"{name} stands {count} times", "name each once")
    for spec in part.registers:
        key = f"registers.{spec.name}"
        if spec.end > ADDRESS_END:
            yield ProfileFinding(key, "it ends past address 0xFFFF", "correct the address")
        if spec.count > part.reads.registers_max:
            yield ProfileFinding(
                key,
                f"it is longer than reads.registers_max ({part.reads.registers_max})",
                "raise registers_max, or leave the register out",
            )
        if (spec.unit is Unit.TEXT) is not (spec.encoding is Encoding.TEXT):
            yield ProfileFinding(key, "unit and encoding disagree", "use text for both or neither")
        if any(not 0 <= raw < 1 << 16 * spec.count for raw in spec.invalid):
            yield ProfileFinding(
                key,
                f"a value of invalid is wider than {16 * spec.count} bits",
                "write the raw value as it stands in the registers, without sign",
            )
        if spec.invalid and spec.encoding is Encoding.TEXT:
            yield ProfileFinding(key, "text has no marker", "remove invalid and invalid_marks")
        if spec.write and spec.table is RegisterTable.INPUT:
            yield ProfileFinding(key, "an input register cannot be written", "remove write")


def _lint_overlaps(part: ModbusPart) -> Iterator[ProfileFinding]:
    for table in RegisterTable:
        ordered = sorted(
            (spec for spec in part.registers if spec.table is table),
            key=lambda spec: spec.address,
        )
        for one, other in pairwise(ordered):
            if other.address < one.end:
                yield ProfileFinding(
                    f"registers.{other.name}",
                    f"it overlaps {one.name}",
                    "correct an address or an encoding",
                )


def _lint_capabilities(
    part: ModbusPart, declared: frozenset[Capability]
) -> Iterator[ProfileFinding]:
    for capability, needed in BLOCKS_NEEDED.items():
        missing = sorted(needed - part.blocks.keys())
        if capability in declared and missing:
            yield ProfileFinding(
                "blocks",
                f"{capability} needs {', '.join(missing)}",
                f"give the blocks, or take {capability} out of capabilities",
            )
    if Capability.READ_REGISTERS in declared and not part.registers:
        yield ProfileFinding("registers", "there are none to read", "list them")
    has_identity = part.tells_model or part.probe is not None
    if Capability.IDENTIFY in declared and not has_identity:
        yield ProfileFinding("probe", "identify needs blocks.identity or probe", "give one")


def _lint_relay(part: ModbusPart, profile: AnyProfile) -> Iterator[ProfileFinding]:
    relay = part.relay
    if (Capability.SWITCH_RELAY in profile.capabilities) is not (relay is not None):
        yield ProfileFinding(
            "relay", "capability switch_relay and table relay go together", "give both or neither"
        )
    if relay is None:
        return
    if relay.open_value == relay.closed_value:
        yield ProfileFinding("relay.open_value", "it equals closed_value", "correct one of them")
    is_order = Quirk.RELAY_READ_BACK_IS_ORDER in profile.quirks
    if (relay.command == relay.actual) is not is_order:
        yield ProfileFinding(
            "relay.actual",
            f"command and actual say otherwise than quirk {Quirk.RELAY_READ_BACK_IS_ORDER}",
            "name the quirk exactly when both are one register",
        )


def _lint_probe(part: ModbusPart) -> Iterator[ProfileFinding]:
    if part.probe is None:
        return
    if part.probe.register not in {spec.name for spec in part.registers}:
        yield ProfileFinding(
            "probe.register", f"there is no register {part.probe.register}", "name one"
        )
    if part.probe.lowest > part.probe.highest:
        yield ProfileFinding("probe.lowest", "it is above highest", "swap them")


def _lint_exponents(part: ModbusPart) -> Iterator[ProfileFinding]:
    exponents = {spec.name: spec for spec in part.registers if spec.unit is Unit.EXPONENT}
    for spec in exponents.values():
        if spec.encoding is not Encoding.S16 or spec.scale != 1 or spec.scale_from:
            yield ProfileFinding(
                f"registers.{spec.name}",
                "an exponent is a plain s16",
                "write encoding s16, without scale and scale_from",
            )
    for spec in part.registers:
        if spec.scale_from is None:
            continue
        key = f"registers.{spec.name}"
        if spec.scale_from not in exponents:
            yield ProfileFinding(
                key,
                f"there is no register {spec.scale_from} of unit exponent",
                "name one in scale_from",
            )
        if spec.encoding in {Encoding.TEXT, Encoding.F32}:
            yield ProfileFinding(
                key, f"{spec.encoding} has no exponent elsewhere", "remove scale_from"
            )

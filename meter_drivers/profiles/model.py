"""What a profile says about a meter model."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meter_drivers.registers import RegisterSpec, RegisterTable, WriteRule


class Capability(StrEnum):
    """What a meter of the model can do; each is a Protocol in `meter_drivers.capabilities`."""

    IDENTIFY = "identify"
    READ_REGISTERS = "read_registers"
    READ_CREDIT = "read_credit"
    ACCEPT_TOKEN = "accept_token"  # noqa: S105 # the name of an ability, no password
    ACCEPT_CREDIT = "accept_credit"
    SWITCH_RELAY = "switch_relay"


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


class Quirk(StrEnum):
    """Ways in which a model departs from the rest, each with one test."""

    RELAY_READ_BACK_IS_ORDER = "relay_read_back_is_order"
    """One register is both order and position: reading back proves that the order was stored,
    not that the contact moved (Hiking DDS238 ZN/SR)."""


class Confidence(StrEnum):
    """How well a profile is known."""

    A = "A"
    """The maker's manual, or three independent implementations agree."""
    B = "B"
    """One manual or two implementations."""
    C = "C"
    """One unofficial source: verify on a meter before use."""


class Verification(StrEnum):
    """What a profile was tried on."""

    SIMULATED_METER = "simulated_meter"
    PUBLISHED_FRAMES = "published_frames"
    REAL_METER = "real_meter"
    NONE = "none"


class Parity(StrEnum):
    """Parity on the serial line."""

    NONE = "N"
    EVEN = "E"
    ODD = "O"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the register map comes from."""

    document: str
    page: str
    confidence: Confidence
    verification: Verification


@dataclass(frozen=True, slots=True)
class LineSettings:
    """The serial line as the meter leaves the factory."""

    baud: int
    parity: Parity
    stop_bits: int


@dataclass(frozen=True, slots=True)
class Timing:
    """What the meter needs between and within exchanges."""

    turnaround_ms: int
    """Silence after an answer before the next request to the same meter."""
    switch_ms: int
    """Silence before the first request to another meter on the same line."""
    answer_ms: int
    """The longest the meter may take to begin its answer."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One meter model."""

    name: str
    maker: str
    model: str
    firmware_seen: tuple[str, ...]
    source: Source
    line: LineSettings
    timing: Timing
    reads: ReadLimits
    capabilities: frozenset[Capability]
    registers: tuple[RegisterSpec, ...]
    blocks: Mapping[Block, int]
    """Where each block begins; a model that is not of the open prepay profile has none."""
    relay: RelaySpec | None
    """`None` where the model has no relay that the line can switch."""
    probe: ProbeSpec | None
    """`None` where the identity block tells."""
    quirks: frozenset[Quirk]

    def register(self, name: str) -> RegisterSpec:
        """Return the register of this name; a profile that passed the lint has it."""
        return next(spec for spec in self.registers if spec.name == name)

    @property
    def tables(self) -> frozenset[RegisterTable]:
        """Return the register tables this model uses."""
        return frozenset(spec.table for spec in self.registers)

"""What a profile says about a meter model: the head, the same for each protocol, and a part.

The part is of one protocol and stands in a module of its own (`profiles.modbus_part` and its
like), with its reader and its lint; `profiles.loader` has the table of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeGuard, TypeVar

from meter_drivers.errors import ProfileError


class ProtocolName(StrEnum):
    """What a meter speaks; the key `protocol` of a profile."""

    MODBUS = "modbus"
    DLT645 = "dlt645"
    IEC62056_21 = "iec62056_21"
    DLMS = "dlms"


class Capability(StrEnum):
    """What a meter of the model can do; each is a Protocol in `meter_drivers.capabilities`."""

    IDENTIFY = "identify"
    READ_REGISTERS = "read_registers"
    READ_CREDIT = "read_credit"
    ACCEPT_TOKEN = "accept_token"  # noqa: S105 # the name of an ability, no password
    ACCEPT_CREDIT = "accept_credit"
    SWITCH_RELAY = "switch_relay"
    READ_WALLET = "read_wallet"
    ACCEPT_RECHARGE = "accept_recharge"


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
class ProfileFinding:
    """One contradiction in a profile: where, what, and what to do."""

    key: str
    problem: str
    remedy: str


class Part(Protocol):
    """What a profile says in the terms of its protocol."""

    @property
    def tells_model(self) -> bool:
        """Return whether such a meter says itself what it is, rather than what makes sense."""
        ...

    def lint(self, profile: "Profile[Part]") -> Iterator[ProfileFinding]:
        """Yield what contradicts itself in this part, or the head of its profile."""


PartT_co = TypeVar("PartT_co", bound=Part, covariant=True)
PartT = TypeVar("PartT", bound=Part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(Generic[PartT_co]):
    """One meter model."""

    name: str
    maker: str
    model: str
    firmware_seen: tuple[str, ...]
    protocol: ProtocolName
    source: Source
    line: LineSettings
    timing: Timing
    capabilities: frozenset[Capability]
    quirks: frozenset[Quirk]
    part: PartT_co
    """What only meters of this protocol have."""


AnyProfile = Profile[Part]


def narrow_profile(profile: AnyProfile, part: type[PartT]) -> Profile[PartT]:
    """Return the profile as one of the protocol that has this part.

    Raises:
        ProfileError: If it is of another protocol.
    """
    if not _has_part(profile, part):
        raise ProfileError(
            profile.name,
            "protocol",
            problem=f"{profile.protocol} is not the protocol in use here",
            remedy="use a profile of the protocol, or a link of this one",
        )
    return profile


def _has_part(profile: AnyProfile, part: type[PartT]) -> TypeGuard[Profile[PartT]]:
    return isinstance(profile.part, part)

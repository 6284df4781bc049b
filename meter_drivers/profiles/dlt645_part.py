"""The part of a DL/T 645 profile: what it is read for, its wallet, how its relay is ordered."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meter_drivers.profiles.model import AnyProfile, Capability, Profile, ProfileFinding
from meter_drivers.profiles.toml_table import TOMLTable

_IDENTIFIER: Final = re.compile(r"[0-9A-F]{8}")
_SETTLE_MS_MAX: Final = 60_000
_LEVEL_MAX: Final = 9


class Counts(StrEnum):
    """What the wallet of a meter counts down."""

    MONEY = "money"
    ENERGY = "energy"


class NumberCoding(StrEnum):
    """How amounts and purchase counts are written, which differs by maker."""

    BINARY = "binary"
    BCD = "bcd"


class Closing(StrEnum):
    """How the relay is closed."""

    DIRECT = "direct"
    """直接合闸"""
    BUTTON = "button"
    """合闸允许: the customer presses the button, and the contact stays open until then."""


class ControlGuard(StrEnum):
    """By what right the relay is ordered."""

    PASSWORD = "password"  # noqa: S105 # the name of a kind of guard, no password
    MAC = "mac"
    """Ciphered and with a MAC, in an identity session: takes a signer (level 98)."""


@dataclass(frozen=True, slots=True)
class DataSpec:
    """One identifier that is read, and what its reading is called."""

    name: str
    identifier: int


@dataclass(frozen=True, slots=True)
class WalletSpec:
    """What differs by maker in the messages of function 03."""

    counts: Counts
    amount_coding: NumberCoding
    count_coding: NumberCoding


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """How the relay is ordered."""

    closing: Closing
    guard: ControlGuard
    level: int
    """Of the password; 0 is the strongest."""
    settle_ms: int
    """The longest the contact may take to arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DLT645Part:
    """What a profile says about a DL/T 645 meter."""

    data: tuple[DataSpec, ...]
    wallet: WalletSpec | None
    """`None` where the model keeps none."""
    control: ControlSpec | None
    """`None` where the model has no relay that the line can switch."""

    @property
    def tells_model(self) -> bool:
        """Return whether such a meter says what it is: it says its address only."""
        return False

    def lint(self, profile: AnyProfile) -> Iterator[ProfileFinding]:
        """Yield what contradicts itself in this part, or the head of its profile."""
        declared = profile.capabilities
        for name, count in Counter(spec.name for spec in self.data).items():
            if count > 1:
                yield ProfileFinding("data", f"{name} stands {count} times", "name each once")
        if (Capability.READ_REGISTERS in declared) is not bool(self.data):
            yield _apart("data", Capability.READ_REGISTERS)
        if (Capability.READ_WALLET in declared) is not (self.wallet is not None):
            yield _apart("wallet", Capability.READ_WALLET)
        if (Capability.SWITCH_RELAY in declared) is not (self.control is not None):
            yield _apart("control", Capability.SWITCH_RELAY)
        if Capability.ACCEPT_RECHARGE in declared and self.wallet is None:
            yield ProfileFinding("wallet", "accept_recharge needs it", "give the table wallet")
        for capability in sorted(declared - _KNOWN):
            problem = f"{capability} is nothing that this protocol carries"
            yield ProfileFinding("capabilities", problem, "take it out")


DLT645Profile = Profile[DLT645Part]

_KNOWN: Final = frozenset(
    {
        Capability.IDENTIFY,
        Capability.READ_REGISTERS,
        Capability.READ_WALLET,
        Capability.ACCEPT_RECHARGE,
        Capability.SWITCH_RELAY,
    }
)


def _apart(key: str, capability: Capability) -> ProfileFinding:
    problem = f"capability {capability} and {key} go together"
    return ProfileFinding(key, problem, "give both or neither")


# --- from TOML ----------------------------------------------------------------------------------
def parse_dlt645_part(root: TOMLTable) -> DLT645Part:
    """Return the DL/T 645 part of a profile, from the root of its file.

    Raises:
        ProfileError: If a key is wrong.
    """
    wallet = root.find_table("wallet")
    control = root.find_table("control")
    return DLT645Part(
        data=tuple(_parse_data(table) for table in root.tables("data")),
        wallet=_parse_wallet(wallet) if wallet else None,
        control=_parse_control(control) if control else None,
    )


def _parse_data(table: TOMLTable) -> DataSpec:
    written = table.text("identifier")
    if not _IDENTIFIER.fullmatch(written):
        problem = f"{written!r} is no data identifier"
        raise table.error(
            key="identifier",
            problem=problem,
            remedy="write 8 digits of 0-9 and A-F, high byte first",
        )
    spec = DataSpec(table.text("name"), int(written, 16))
    table.finish()
    return spec


def _parse_wallet(table: TOMLTable) -> WalletSpec:
    wallet = WalletSpec(
        counts=table.choice("counts", Counts),
        amount_coding=table.choice("amount_coding", NumberCoding, NumberCoding.BINARY),
        count_coding=table.choice("count_coding", NumberCoding, NumberCoding.BINARY),
    )
    table.finish()
    return wallet


def _parse_control(table: TOMLTable) -> ControlSpec:
    control = ControlSpec(
        closing=table.choice("closing", Closing),
        guard=table.choice("guard", ControlGuard),
        level=table.integer("level", lowest=0, highest=_LEVEL_MAX, default=2),
        settle_ms=table.integer("settle_ms", lowest=0, highest=_SETTLE_MS_MAX),
    )
    table.finish()
    return control

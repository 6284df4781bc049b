"""Whether a profile agrees with itself: what a key alone cannot tell."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from meter_drivers.profiles.model import BLOCKS_NEEDED, Block, Capability, Profile, Quirk
from meter_drivers.registers import Encoding, RegisterTable, Unit

ADDRESS_END = 0x10000


@dataclass(frozen=True, slots=True)
class ProfileFinding:
    """One contradiction: where, what, and what to do."""

    key: str
    problem: str
    remedy: str


def lint_profile(profile: Profile) -> list[ProfileFinding]:
    """Return every contradiction in a profile; none for a good one."""
    return [
        *_lint_registers(profile),
        *_lint_overlaps(profile),
        *_lint_capabilities(profile),
        *_lint_relay(profile),
        *_lint_probe(profile),
    ]


def _lint_registers(profile: Profile) -> Iterator[ProfileFinding]:
    for name, count in Counter(spec.name for spec in profile.registers).items():
        if count > 1:
            yield ProfileFinding("registers", f"{name} stands {count} times", "name each once")
    for spec in profile.registers:
        key = f"registers.{spec.name}"
        if spec.end > ADDRESS_END:
            yield ProfileFinding(key, "it ends past address 0xFFFF", "correct the address")
        if spec.count > profile.reads.registers_max:
            yield ProfileFinding(
                key,
                f"it is longer than reads.registers_max ({profile.reads.registers_max})",
                "raise registers_max, or leave the register out",
            )
        if (spec.unit is Unit.TEXT) is not (spec.encoding is Encoding.TEXT):
            yield ProfileFinding(key, "unit and encoding disagree", "use text for both or neither")
        if spec.write and spec.table is RegisterTable.INPUT:
            yield ProfileFinding(key, "an input register cannot be written", "remove write")


def _lint_overlaps(profile: Profile) -> Iterator[ProfileFinding]:
    for table in RegisterTable:
        ordered = sorted(
            (spec for spec in profile.registers if spec.table is table),
            key=lambda spec: spec.address,
        )
        for one, other in pairwise(ordered):
            if other.address < one.end:
                yield ProfileFinding(
                    f"registers.{other.name}",
                    f"it overlaps {one.name}",
                    "correct an address or an encoding",
                )


def _lint_capabilities(profile: Profile) -> Iterator[ProfileFinding]:
    declared = profile.capabilities
    if not declared:
        yield ProfileFinding("capabilities", "none is declared", "name what the meter can do")
    for capability, needed in BLOCKS_NEEDED.items():
        missing = sorted(needed - profile.blocks.keys())
        if capability in declared and missing:
            yield ProfileFinding(
                "blocks",
                f"{capability} needs {', '.join(missing)}",
                f"give the blocks, or take {capability} out of capabilities",
            )
    if Capability.READ_REGISTERS in declared and not profile.registers:
        yield ProfileFinding("registers", "there are none to read", "list them")
    has_identity = Block.IDENTITY in profile.blocks or profile.probe is not None
    if Capability.IDENTIFY in declared and not has_identity:
        yield ProfileFinding("probe", "identify needs blocks.identity or probe", "give one")


def _lint_relay(profile: Profile) -> Iterator[ProfileFinding]:
    relay = profile.relay
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


def _lint_probe(profile: Profile) -> Iterator[ProfileFinding]:
    if profile.probe is None:
        return
    if profile.probe.register not in {spec.name for spec in profile.registers}:
        yield ProfileFinding(
            "probe.register", f"there is no register {profile.probe.register}", "name one"
        )
    if profile.probe.lowest > profile.probe.highest:
        yield ProfileFinding("probe.lowest", "it is above highest", "swap them")

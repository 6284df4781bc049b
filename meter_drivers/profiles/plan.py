"""How to read many registers with few frames, within what the meter allows."""

from collections.abc import Iterable
from dataclasses import dataclass

from meter_drivers.profiles.modbus_part import ReadLimits
from meter_drivers.registers import RegisterSpec, RegisterTable


@dataclass(frozen=True, slots=True)
class PlannedRead:
    """One read, and the registers it brings."""

    table: RegisterTable
    address: int
    count: int
    specs: tuple[RegisterSpec, ...]


def plan_reads(specs: Iterable[RegisterSpec], limits: ReadLimits) -> tuple[PlannedRead, ...]:
    """Return the reads that bring every register, in the order of their addresses.

    A read runs across at most `gap_max` unmapped registers and is at most `registers_max` long.
    Taking as much as fits, from the lowest address on, gives the fewest reads.
    """
    groups: list[list[RegisterSpec]] = []
    for spec in sorted(specs, key=lambda spec: (spec.table, spec.address)):
        if groups and _fits(groups[-1], spec, limits):
            groups[-1].append(spec)
        else:
            groups.append([spec])
    return tuple(_plan(group) for group in groups)


def _fits(group: list[RegisterSpec], spec: RegisterSpec, limits: ReadLimits) -> bool:
    return (
        spec.table is group[0].table
        and spec.address - group[-1].end <= limits.gap_max
        and spec.end - group[0].address <= limits.registers_max
    )


def _plan(group: list[RegisterSpec]) -> PlannedRead:
    first, last = group[0], group[-1]
    return PlannedRead(first.table, first.address, last.end - first.address, tuple(group))

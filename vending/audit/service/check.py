"""Checks exported heads with the public key alone: what an auditor does, far from the service."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vending.audit.errors import HeadInvalidError
from vending.audit.rules import PublicKey
from vending.audit.service.heads import ExportedLine

BREAKS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class CheckedHeads:
    """What a file of exported heads vouches for."""

    count: int
    first_position: int | None
    last_position: int | None
    last_sealed_at: datetime | None
    breaks: tuple[str, ...]
    """Where a head does not follow the one on the line before: lines are missing, or a backup was
    restored in between."""


def check_lines(lines: Iterable[ExportedLine], *, public_key: PublicKey) -> CheckedHeads:
    """Return what the heads vouch for, each signature checked.

    Raises:
        HeadInvalidError: A line is no head, or bears another signature.
    """
    count = 0
    first = last = None
    breaks: list[str] = []
    for line in lines:
        head = line.head
        if head is None or not public_key.has_signed(head):
            raise HeadInvalidError(line.where, why="no head that this key has signed")
        is_next = last is None or head.previous_position == last.position
        if not is_next and len(breaks) < BREAKS_MAX:
            breaks.append(f"{line.where}: follows position {head.previous_position}")
        first = first or head
        last = head
        count += 1
    return CheckedHeads(
        count,
        None if first is None else first.position,
        None if last is None else last.position,
        None if last is None else last.sealed_at,
        tuple(breaks),
    )

"""What the audit chain consists of, and what a look at it may find."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final
from uuid import UUID

GAP_DECLARED: Final = "audit.gap_declared"
"""Action of the event that names positions which a restored backup has lost."""


class LinkKind(IntEnum):
    """What a link of the chain stands for."""

    EVENT = 0
    GAP = 1
    """An event that declares which positions a restore has lost; the service alone can write it."""
    MISSING = 2
    """An event that was deleted between its commit and its sealing."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event in the queue."""

    event_id: UUID
    event: bytes | None
    """Its row as bytes; None: it was deleted."""
    is_sealed: bool
    """It has a link already: somebody queued it again."""


@dataclass(frozen=True, slots=True)
class Link:
    """One row of the chain."""

    position: int
    """Counts from 1."""
    kind: LinkKind
    event_id: UUID
    event_mac: bytes
    """HMAC-SHA-256 over all columns of the event."""
    link: bytes
    """HMAC-SHA-256 over the previous link and the four fields above."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain stood at one time, signed; one a batch of sealed events."""

    position: int
    previous_position: int
    """Of the head before it; 0: it is the first."""
    link: bytes
    sealed_at: datetime
    signature: bytes
    """Ed25519, 64 bytes."""


class FindingKind(StrEnum):
    """What is wrong with one row."""

    EVENT_CHANGED = "event_changed"
    EVENT_REMOVED = "event_removed"
    EVENT_INSERTED = "event_inserted"
    """It has no link: written behind the service's back, or its link was removed."""
    EVENT_OVERDUE = "event_overdue"
    """It waits in the queue for longer than the limit, or is dated in the future."""
    SCHEMA_CHANGED = "schema_changed"
    """A table, column or trigger is not as the migrations made it."""
    QUEUE_CHANGED = "queue_changed"
    """A place in the queue is for no event, or for one that is sealed."""
    LINK_CHANGED = "link_changed"
    LINK_REMOVED = "link_removed"
    LINK_INSERTED = "link_inserted"
    LINK_MOVED = "link_moved"
    CUT_OFF = "cut_off"
    """A signed head lies beyond the end of the chain, or in a part that is no longer there."""
    HEAD_CHANGED = "head_changed"
    HEAD_REMOVED = "head_removed"
    EXPORTED_HEAD_INVALID = "exported_head_invalid"
    """A line of the exported file is malformed or bears no signature of ours."""
    EXPORTED_HEAD_DIFFERS = "exported_head_differs"
    """The chain has another link at the position of a head that was signed."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One row that is not as it was sealed."""

    kind: FindingKind
    position: int | None
    """In the chain; None: it has none."""
    event_id: UUID | None
    """None: it cannot be known, or the finding is about a head."""
    message: str


@dataclass(frozen=True, slots=True)
class DeclaredGap:
    """Positions that a restore has lost, and who said so."""

    position: int
    """Of the declaration."""
    after: int
    """Last position before the gap."""
    through: int
    """Last position of the gap: that of the newest exported head."""
    head_link: str
    reason: str
    actor: str
    declared_at: datetime

    def covers(self, position: int) -> bool:
        """Return whether the position was lost in it."""
        return self.after < position <= self.through


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What `vending audit verify` saw."""

    events: int
    links: int
    heads: int
    exported_heads: int
    waiting: int
    """Events that are queued for sealing, and not for too long."""
    gaps: tuple[DeclaredGap, ...]
    findings: tuple[AuditFinding, ...]
    """The first ones; `finding_count` counts all."""
    finding_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """One event as it is shown."""

    id: UUID
    at: datetime
    actor_kind: str
    actor_name: str
    actor_id: UUID | None
    session_id: UUID | None
    action: str
    subject: str
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are asked for; None: any."""

    subject: str | None = None
    actor: str | None = None
    """Login name, partner's name, job's name."""
    action: str | None = None
    """A whole action, or its feature with a dot: `sale.`."""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, the newest first; `next_before` continues, None: that was all."""

    events: tuple[RecordedEvent, ...]
    next_before: UUID | None

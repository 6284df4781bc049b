"""The audit log: who did what, in the transaction that did it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Column, Connection, Table, Text

from vending.persistence.base import metadata
from vending.persistence.bulk import insert_rows
from vending.persistence.column_types import Json, JSONColumn, UTCDateTime, UUIDColumn
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import new_uuid7

audit_events: Final = Table(
    "audit_events",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("actor_id", UUIDColumn),
    Column("session_id", UUIDColumn),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", JSONColumn, nullable=False),
    sqlite_strict=True,
)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One act, as it is recorded; nothing in it is secret."""

    actor: Actor
    action: str
    """Feature and past participle: `key.imported`, `sale.issued`, `approval.refused`."""
    subject: str
    """What it was done to: `key:123456/1/DUTK`, `meter:600727012345678973`, `operator:<id>`."""
    details: Mapping[str, Json] = field(default_factory=dict)
    """Facts worth keeping; whole numbers and text, no secret, no token, no personal data."""


def record(connection: Connection, events: Sequence[AuditEvent], clock: Clock) -> None:
    """Record the acts; they are there if, and only if, the transaction commits."""
    now = clock.now()
    insert_rows(
        connection,
        audit_events,
        [
            {
                "id": new_uuid7(clock),
                "at": now,
                "actor_kind": event.actor.kind.value,
                "actor_name": event.actor.name,
                "actor_id": event.actor.id,
                "session_id": event.actor.session_id,
                "action": event.action,
                "subject": event.subject,
                "details": dict(event.details),
            }
            for event in events
        ],
    )

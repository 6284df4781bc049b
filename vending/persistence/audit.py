"""The audit log: who did what, in the transaction that did it.

`record` writes each event twice: the event itself, which no one may change, and its id into a
queue. A job of the worker takes the queue and seals the events into a chain (`vending.audit`):
one that commits late is found by its place in the queue, and no sale waits for another's link.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Column, Connection, Index, Table, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from vending.persistence.base import metadata
from vending.persistence.bulk import insert_rows
from vending.persistence.column_types import Implementation, Json, UTCDateTime, UUIDColumn
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import new_uuid7

_NOT_STORABLE: Final = "\ufffd"
_write_json: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class JSONText(TypeDecorator[Json]):
    """A document kept as the very text that was sealed, keys sorted, the same on both engines.

    PostgreSQL's JSONB would write it anew, and cannot hold every text.
    """

    impl: Implementation = Text
    cache_ok: bool | None = True

    def process_bind_param(self, value: Json, dialect: Dialect) -> str | None:
        """Return the document as text."""
        del dialect
        if value is None:
            return None
        return _write_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Json:  # noqa: ANN401 # the driver's own decoding
        """Return the stored document."""
        del dialect
        document: Json = None if value is None else json.loads(value)
        return document


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
    Column("details", JSONText, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("ix_audit_events_subject", audit_events.c.subject, audit_events.c.id)

audit_queue: Final = Table(
    "audit_queue",
    metadata,
    Column("event_id", UUIDColumn, primary_key=True),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""Events that wait to be sealed."""


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
    """Record the acts; they are there if, and only if, the transaction commits.

    Events of one call are sealed in their order.
    """
    ids = insert_events(connection, events, clock)
    insert_rows(connection, audit_queue, [{"event_id": event_id} for event_id in ids])


def insert_events(
    connection: Connection, events: Sequence[AuditEvent], clock: Clock
) -> list[uuid.UUID]:
    """Store the events and return their ids; `record` also queues them for sealing."""
    now = clock.now()
    ids = sorted(new_uuid7(clock) for _ in events)
    insert_rows(
        connection,
        audit_events,
        [
            {
                "id": event_id,
                "at": now,
                "actor_kind": event.actor.kind.value,
                "actor_name": storable(event.actor.name),
                "actor_id": event.actor.id,
                "session_id": event.actor.session_id,
                "action": event.action,
                "subject": storable(event.subject),
                "details": dict(event.details),
            }
            for event_id, event in zip(ids, events, strict=True)
        ],
    )
    return ids


def storable(text: str) -> str:
    """Return the text with what no database holds, NUL and halves of a pair, replaced.

    A name somebody chose must not stop the act from being recorded.
    """
    if text.isprintable():
        return text
    replaced = text.replace("\0", _NOT_STORABLE)
    return replaced.encode("utf-8", "replace").decode() if _has_halves(replaced) else replaced


def _has_halves(text: str) -> bool:
    return any("\ud800" <= each <= "\udfff" for each in text)

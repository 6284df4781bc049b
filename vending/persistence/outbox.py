"""What must happen after a commit: receipts, deliveries, webhooks.

A message is appended in the transaction whose effect it announces, and carried out at least once
by a worker: `lease` hides it from other workers for a while, `mark_done` ends it, `mark_failed`
schedules the next try or parks it for a person. A worker that dies loses its lease and nothing
else. Receivers tell repeats apart by the message's id.

What a message says is never changed, and it is not deleted before it is done (triggers).
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Index,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    func,
    select,
    update,
)

from vending.persistence.audit import AuditEvent, record
from vending.persistence.base import metadata
from vending.persistence.bulk import insert_rows
from vending.persistence.column_types import Json, JSONColumn, UTCDateTime, UUIDColumn
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import OutboxId

LEASE_LIMIT_MAX: Final = 1_000
BACKOFF_FIRST_S: Final = 2
BACKOFF_LONGEST_S: Final = 3_600
REASON_LENGTH_MAX: Final = 500
AGE_MAX_S: Final = 300
"""A message that waits longer means that no worker runs."""
PARKED_LIST_MAX: Final = 1_000

outbox = Table(
    "outbox",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("payload", JSONColumn, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("due_at", UTCDateTime, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Column("done_at", UTCDateTime),
    Column("parked_at", UTCDateTime),
    Column("last_failure", Text),
    CheckConstraint("attempt_count >= 0", name="attempt_count"),
    CheckConstraint("done_at IS NULL OR parked_at IS NULL", name="one_end"),
    sqlite_strict=True,
)
_waits = and_(outbox.c.done_at.is_(None), outbox.c.parked_at.is_(None))
Index(
    "ix_outbox_due_at",
    outbox.c.due_at,
    outbox.c.id,
    postgresql_where=_waits,
    sqlite_where=_waits,
)


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be done after the commit; `topic` names the worker's job for it."""

    id: OutboxId
    topic: str
    payload: Json
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LeasedMessage:
    """A message in the hands of one worker; `attempt` counts from 1."""

    id: OutboxId
    topic: str
    payload: Json
    created_at: datetime
    attempt: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that failed; `retry_at` None parks the message until a person looks at it."""

    message: LeasedMessage
    reason: str
    retry_at: datetime | None


def append(connection: Connection, messages: Sequence[Message]) -> None:
    """Add the messages, due at once."""
    insert_rows(
        connection,
        outbox,
        [
            {
                "id": message.id,
                "topic": message.topic,
                "payload": message.payload,
                "created_at": message.created_at,
                "due_at": message.created_at,
                "attempt_count": 0,
            }
            for message in messages
        ],
    )


def lease(
    connection: Connection, *, now: datetime, limit: int, lease_s: int
) -> list[LeasedMessage]:
    """Take up to `limit` due messages, oldest first; nobody else gets them for `lease_s` seconds.

    Commit before working on them: the lease must outlive the work, not the transaction.
    """
    assert 1 <= limit <= LEASE_LIMIT_MAX, "a lease is bounded"
    due = (
        select(outbox.c.id)
        .where(_waits, outbox.c.due_at <= now)
        .order_by(outbox.c.due_at, outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(outbox)
        .where(outbox.c.id.in_(due.scalar_subquery()))
        .values(due_at=now + timedelta(seconds=lease_s), attempt_count=outbox.c.attempt_count + 1)
        .returning(
            outbox.c.id,
            outbox.c.topic,
            outbox.c.payload,
            outbox.c.created_at,
            outbox.c.attempt_count,
        )
    )
    taken = [LeasedMessage(*row) for row in connection.execute(statement)]
    return sorted(taken, key=lambda message: (message.created_at, message.id))


def mark_done(connection: Connection, messages: Sequence[LeasedMessage], *, now: datetime) -> None:
    """End the messages; one that another worker ended meanwhile stays as it is."""
    if messages:
        connection.execute(
            update(outbox)
            .where(
                outbox.c.id.in_([message.id for message in messages]), outbox.c.done_at.is_(None)
            )
            .values(done_at=now, parked_at=None)
        )


def mark_failed(connection: Connection, failures: Sequence[Failure], *, now: datetime) -> None:
    """Schedule the next try of each message, or park it.

    A worker whose lease ran out meanwhile has no say any more: the attempt it held is over.
    """
    if not failures:
        return
    statement = (
        update(outbox)
        .where(
            outbox.c.id == bindparam("of_id"),
            outbox.c.attempt_count == bindparam("of_attempt"),
            _waits,
        )
        .values(
            due_at=bindparam("next_at"),
            parked_at=bindparam("parked"),
            last_failure=bindparam("reason"),
        )
    )
    connection.execute(
        statement,
        [
            {
                "of_id": failure.message.id,
                "of_attempt": failure.message.attempt,
                "next_at": failure.retry_at or now,
                "parked": now if failure.retry_at is None else None,
                "reason": failure.reason[:REASON_LENGTH_MAX],
            }
            for failure in sorted(failures, key=lambda each: each.message.id)
        ],
    )


def compute_backoff(attempt: int) -> timedelta:
    """Return how long to wait after the given failed attempt: 2 s, doubling up to an hour."""
    assert attempt >= 1, "attempts count from 1"
    doublings = min(attempt - 1, 16)
    return timedelta(seconds=min(BACKOFF_FIRST_S * 2**doublings, BACKOFF_LONGEST_S))


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """A message that failed for good and waits for a person."""

    id: OutboxId
    topic: str
    created_at: datetime
    attempt_count: int
    last_failure: str | None


def list_parked(connection: Connection) -> list[ParkedMessage]:
    """Return the messages that wait for a person, the oldest first."""
    query = (
        select(outbox)
        .where(outbox.c.parked_at.is_not(None))
        .order_by(outbox.c.created_at)
        .limit(PARKED_LIST_MAX)
    )
    return [
        ParkedMessage(
            OutboxId(row.id), row.topic, row.created_at, row.attempt_count, row.last_failure
        )
        for row in connection.execute(query)
    ]


def release_parked(
    connection: Connection, ids: Sequence[uuid.UUID], *, by: Actor, clock: Clock
) -> int:
    """Make parked messages due again; return how many there were."""
    if not ids:
        return 0
    released = connection.execute(
        update(outbox)
        .where(outbox.c.id.in_(ids), outbox.c.parked_at.is_not(None))
        .values(parked_at=None, due_at=clock.now())
        .returning(outbox.c.id, outbox.c.topic)
    ).all()
    record(
        connection,
        [
            AuditEvent(by, "outbox.released", f"outbox:{row.id}", {"topic": row.topic})
            for row in released
        ],
        clock,
    )
    return len(released)


def age_of_oldest(connection: Connection, now: datetime) -> timedelta | None:
    """Return how long the oldest message has waited; None: nothing waits."""
    oldest = connection.execute(
        select(func.min(outbox.c.created_at)).where(_waits)
    ).scalar_one_or_none()
    return None if oldest is None else now - oldest


def count_parked(connection: Connection) -> int:
    """Return how many messages wait for a person."""
    return connection.execute(
        select(func.count()).select_from(outbox).where(outbox.c.parked_at.is_not(None))
    ).scalar_one()

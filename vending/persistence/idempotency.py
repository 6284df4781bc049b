"""Which keys were used, by which partner, and what was answered: kept for ever.

A key is claimed in the transaction that does the work, so a repeat that arrives meanwhile waits
for it (PostgreSQL) or queues behind it (SQLite), then finds the answer. A claim that is committed
without an answer belongs to work that takes two transactions; it reads as `InFlight` until the
second one stores the answer. Triggers refuse to delete a row, to change what was asked, and to
change an answer once given.

Status and body are opaque here: the body is stored as it comes, sealed by the caller.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    LargeBinary,
    Table,
    Text,
    select,
    text,
    tuple_,
)

from vending.persistence.base import metadata
from vending.persistence.bulk import insert_new_rows, update_rows
from vending.persistence.column_types import SmallInt, UTCDateTime, UUIDColumn, is_sqlite
from vending.values.identifiers import IdempotencyKey, PartnerId

KEY_LENGTH_MAX: Final = 255
FINGERPRINT_BYTES: Final = 32
"""SHA-256 of the request."""

_EMPTY_MESSAGE: Final = text(
    "SELECT pg_logical_emit_message(true, 'vending', '')"
    " WHERE current_setting('synchronous_standby_names') <> ''"
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("partner_id", UUIDColumn, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("claimed_at", UTCDateTime, nullable=False),
    Column("status", SmallInt),
    Column("body", LargeBinary),
    Column("answered_at", UTCDateTime),
    CheckConstraint(f"length(key) BETWEEN 1 AND {KEY_LENGTH_MAX}", name="key_length"),
    CheckConstraint(f"length(fingerprint) = {FINGERPRINT_BYTES}", name="fingerprint_length"),
    CheckConstraint(
        "(status IS NULL) = (body IS NULL) AND (status IS NULL) = (answered_at IS NULL)",
        name="whole_answer",
    ),
    sqlite_strict=True,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A partner asks for work under a key; the fingerprint tells one request from another."""

    partner_id: PartnerId
    key: IdempotencyKey
    fingerprint: bytes

    def __post_init__(self) -> None:
        assert 1 <= len(self.key) <= KEY_LENGTH_MAX, "the edge checks the length of keys"
        assert len(self.fingerprint) == FINGERPRINT_BYTES, "a fingerprint is a SHA-256"


@dataclass(frozen=True, slots=True)
class Fresh:
    """The key is ours now: do the work, then store the answer."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The work was done: repeat this answer, byte for byte."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """The work was begun and has no answer yet."""


ClaimOutcome = Fresh | Replay | Mismatch | InFlight


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, now and on every repeat."""

    partner_id: PartnerId
    key: IdempotencyKey
    status: int
    body: bytes


_KeyPair = tuple[uuid.UUID, str]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A row: what was asked, and what became of it."""

    fingerprint: bytes
    outcome: Replay | InFlight


def claim(connection: Connection, claims: Sequence[Claim], *, now: datetime) -> list[ClaimOutcome]:
    """Claim the keys; return one outcome a claim, in their order.

    Of two claims of one key in the same batch the first takes it. Rows are inserted in the order
    of their keys, whatever the order of the claims, so that two batches cannot deadlock.
    """
    if not claims:
        return []
    firsts: dict[_KeyPair, Claim] = {}
    for one in claims:
        firsts.setdefault((one.partner_id, one.key), one)
    fresh = _insert_claims(connection, firsts, now)
    known = _load_stored(connection, firsts.keys() - fresh)
    outcomes = [_judge(one, firsts, fresh, known) for one in claims]
    if any(isinstance(one, Replay) for one in outcomes):
        _wait_for_standby_at_commit(connection)
    return outcomes


def store_answers(connection: Connection, answers: Sequence[Answer], *, now: datetime) -> None:
    """Store what is answered under keys that were claimed; the database refuses a second answer."""
    if not answers:
        return
    rows = [
        {
            "partner_id": answer.partner_id,
            "key": answer.key,
            "status": answer.status,
            "body": answer.body,
            "answered_at": now,
        }
        for answer in sorted(answers, key=lambda each: (each.partner_id, each.key))
    ]
    stored_count = update_rows(connection, idempotency_keys, rows, key=("partner_id", "key"))
    assert stored_count == len(answers), "an answer belongs to a claimed key"


def find_answer(
    connection: Connection, partner_id: PartnerId, key: IdempotencyKey
) -> Replay | InFlight | None:
    """Return the answer under the key, `InFlight` while there is none; None: never claimed."""
    stored = _load_stored(connection, [(partner_id, key)]).get((partner_id, key))
    return None if stored is None else stored.outcome


def _wait_for_standby_at_commit(connection: Connection) -> None:
    """Let the commit wait until the synchronous standby has all that we have read.

    An answer that was stored here may not be there yet: its own commit was cut off while it
    waited. Repeated at once, it would be acknowledged, and lost with this server. A commit that
    wrote nothing waits for nothing, so an empty message is written, where a standby is set.
    """
    if not is_sqlite(connection.dialect):
        connection.execute(_EMPTY_MESSAGE)


def _insert_claims(
    connection: Connection, firsts: dict[_KeyPair, Claim], now: datetime
) -> set[_KeyPair]:
    """Insert the claims whose keys are free; return those keys."""
    rows = [
        {
            "partner_id": partner_id,
            "key": key,
            "fingerprint": firsts[partner_id, key].fingerprint,
            "claimed_at": now,
        }
        for partner_id, key in sorted(firsts)
    ]
    inserted = insert_new_rows(connection, idempotency_keys, rows, returning=("partner_id", "key"))
    return {(row.partner_id, row.key) for row in inserted}


def _load_stored(connection: Connection, pairs: Iterable[_KeyPair]) -> dict[_KeyPair, _Stored]:
    wanted = sorted(pairs)
    if not wanted:
        return {}
    table = idempotency_keys.c
    statement = select(
        table.partner_id, table.key, table.fingerprint, table.status, table.body
    ).where(tuple_(table.partner_id, table.key).in_(wanted))
    return {
        (row.partner_id, row.key): _Stored(
            row.fingerprint, InFlight() if row.status is None else Replay(row.status, row.body)
        )
        for row in connection.execute(statement)
    }


def _judge(
    one: Claim,
    firsts: dict[_KeyPair, Claim],
    fresh: set[_KeyPair],
    known: dict[_KeyPair, _Stored],
) -> ClaimOutcome:
    pair = (one.partner_id, one.key)
    if pair in fresh:
        first = firsts[pair]
        if one is first:
            return Fresh()
        return InFlight() if one.fingerprint == first.fingerprint else Mismatch()
    stored = known[pair]
    return stored.outcome if stored.fingerprint == one.fingerprint else Mismatch()

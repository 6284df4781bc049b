"""Every query on steps of signing in, on attempts, and on what has to wait."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from vending.operators.tables import operator_challenges, sign_in_attempts, sign_in_throttles
from vending.persistence.upsert import insert_or_ignore
from vending.values.identifiers import OperatorId


@dataclass(frozen=True, slots=True)
class ChallengeRow:
    """A step that waits for its next; what it is about is sealed."""

    digest: bytes
    purpose: str
    operator_id: OperatorId | None
    sealed: bytes
    tries: int
    made_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in, and what came of it."""

    id: uuid.UUID
    at: datetime
    operator_id: OperatorId | None
    source: str
    device_id: str | None
    method: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Throttle:
    """How many wrong attempts there were on one track, and until when it is closed."""

    track: bytes
    failures: int
    failed_at: datetime
    closed_until: datetime | None


def insert_challenge(connection: Connection, challenge: ChallengeRow) -> None:
    """Store a step under the digest of its ticket."""
    connection.execute(
        insert(operator_challenges).values(
            digest=challenge.digest,
            purpose=challenge.purpose,
            operator_id=challenge.operator_id,
            sealed=challenge.sealed,
            tries=challenge.tries,
            made_at=challenge.made_at,
            ends_at=challenge.ends_at,
        )
    )


def lock_challenge(
    connection: Connection, digest: bytes, purpose: str, *, now: datetime
) -> ChallengeRow | None:
    """Return a step that was not used and is not over, kept from others; None: there is none."""
    query = (
        select(operator_challenges)
        .where(
            operator_challenges.c.digest == digest,
            operator_challenges.c.purpose == purpose,
            operator_challenges.c.used_at.is_(None),
            operator_challenges.c.ends_at > now,
        )
        .with_for_update()
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return ChallengeRow(
        digest=bytes(row.digest),
        purpose=row.purpose,
        operator_id=None if row.operator_id is None else OperatorId(row.operator_id),
        sealed=bytes(row.sealed),
        tries=row.tries,
        made_at=row.made_at,
        ends_at=row.ends_at,
    )


def update_challenge(
    connection: Connection, digest: bytes, *, tries: int, used_at: datetime | None
) -> None:
    """Store how often a step was tried, and when it was used up."""
    connection.execute(
        update(operator_challenges)
        .where(operator_challenges.c.digest == digest)
        .values(tries=tries, used_at=used_at)
    )


def end_challenges(connection: Connection, operator_id: OperatorId, *, at: datetime) -> None:
    """Use up every step of an operator's that waits."""
    connection.execute(
        update(operator_challenges)
        .where(
            operator_challenges.c.operator_id == operator_id,
            operator_challenges.c.used_at.is_(None),
        )
        .values(used_at=at)
    )


def count_challenges(connection: Connection, *, now: datetime) -> int:
    """Return how many steps may still be waited for."""
    query = select(func.count()).where(
        operator_challenges.c.ends_at > now, operator_challenges.c.used_at.is_(None)
    )
    return int(connection.scalar(query) or 0)


def delete_challenges(connection: Connection, *, before: datetime) -> None:
    """Forget the steps that were over before an instant."""
    connection.execute(delete(operator_challenges).where(operator_challenges.c.ends_at < before))


def insert_attempt(connection: Connection, attempt: Attempt) -> None:
    """Store an attempt."""
    connection.execute(
        insert(sign_in_attempts).values(
            id=attempt.id,
            at=attempt.at,
            operator_id=attempt.operator_id,
            source=attempt.source,
            device_id=attempt.device_id,
            method=attempt.method,
            outcome=attempt.outcome,
        )
    )


def list_attempts(
    connection: Connection, *, operator_id: OperatorId | None = None, limit: int
) -> list[Attempt]:
    """Return attempts, on one account or all, the newest first."""
    query = select(sign_in_attempts).order_by(
        sign_in_attempts.c.at.desc(), sign_in_attempts.c.id.desc()
    )
    if operator_id is not None:
        query = query.where(sign_in_attempts.c.operator_id == operator_id)
    return [
        Attempt(row.id, row.at, row.operator_id, row.source, row.device_id, row.method, row.outcome)
        for row in connection.execute(query.limit(limit))
    ]


def delete_attempts(connection: Connection, *, before: datetime) -> None:
    """Forget the attempts before an instant."""
    connection.execute(delete(sign_in_attempts).where(sign_in_attempts.c.at < before))


def lock_throttles(
    connection: Connection, tracks: Sequence[bytes], *, now: datetime
) -> list[Throttle]:
    """Return the throttles of the tracks, made where there are none, and kept from others.

    In the order of the tracks' bytes, so that two attempts cannot wait for each other.
    """
    found = []
    for track in sorted(tracks):
        connection.execute(
            insert_or_ignore(connection, sign_in_throttles),
            {"track": track, "failures": 0, "failed_at": now},
        )
        query = select(sign_in_throttles).where(sign_in_throttles.c.track == track)
        row = connection.execute(query.with_for_update()).one()
        found.append(Throttle(bytes(row.track), row.failures, row.failed_at, row.closed_until))
    return found


def update_throttle(connection: Connection, throttle: Throttle) -> None:
    """Store a throttle as it is now."""
    connection.execute(
        update(sign_in_throttles)
        .where(sign_in_throttles.c.track == throttle.track)
        .values(
            failures=throttle.failures,
            failed_at=throttle.failed_at,
            closed_until=throttle.closed_until,
        )
    )


def delete_throttles(connection: Connection, *, before: datetime) -> None:
    """Forget the throttles whose last wrong attempt was before an instant."""
    connection.execute(delete(sign_in_throttles).where(sign_in_throttles.c.failed_at < before))

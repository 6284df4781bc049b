"""Every query on sessions, and on the devices they are opened on."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from vending.operators.model import Session, SignInMethod
from vending.operators.tables import operator_devices, operator_known_devices, operator_sessions
from vending.persistence.upsert import insert_or_ignore
from vending.values.identifiers import OperatorId


def insert_session(connection: Connection, session: Session, *, digest: bytes) -> None:
    """Store a session under the digest of its token."""
    connection.execute(
        insert(operator_sessions).values(
            id=session.id,
            digest=digest,
            operator_id=session.operator_id,
            device_id=session.device_id,
            source=session.source,
            method=session.method.value,
            opened_at=session.opened_at,
            seen_at=session.seen_at,
            idle_limit_s=session.idle_limit // timedelta(seconds=1),
            fresh_until=session.fresh_until,
            ends_at=session.ends_at,
        )
    )


def find_session_by_digest(connection: Connection, digest: bytes) -> Session | None:
    """Return one session; None: no token has this digest."""
    query = select(operator_sessions).where(operator_sessions.c.digest == digest)
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_session(row)


def find_session(connection: Connection, session_id: uuid.UUID) -> Session | None:
    """Return one session; None: there is none with this id."""
    query = select(operator_sessions).where(operator_sessions.c.id == session_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_session(row)


def list_sessions(
    connection: Connection, operator_id: OperatorId, *, now: datetime, limit: int
) -> list[Session]:
    """Return the sessions of an operator that may still hold, the newest first."""
    query = (
        select(operator_sessions)
        .where(
            operator_sessions.c.operator_id == operator_id,
            operator_sessions.c.revoked_at.is_(None),
            operator_sessions.c.ends_at > now,
        )
        .order_by(operator_sessions.c.opened_at.desc(), operator_sessions.c.id)
        .limit(limit)
    )
    return [_to_session(row) for row in connection.execute(query)]


def update_seen_at(connection: Connection, session_id: uuid.UUID, at: datetime) -> None:
    """Store when a session was used last, unless it is known to be later or is revoked."""
    connection.execute(
        update(operator_sessions)
        .where(
            operator_sessions.c.id == session_id,
            operator_sessions.c.revoked_at.is_(None),
            operator_sessions.c.seen_at < at,
        )
        .values(seen_at=at)
    )


def update_fresh_until(connection: Connection, session_id: uuid.UUID, until: datetime) -> None:
    """Store until when the second factor of a session counts as given just now."""
    connection.execute(
        update(operator_sessions)
        .where(operator_sessions.c.id == session_id, operator_sessions.c.revoked_at.is_(None))
        .values(fresh_until=until)
    )


def revoke_sessions(
    connection: Connection,
    operator_id: OperatorId,
    *,
    at: datetime,
    only: uuid.UUID | None = None,
    but: uuid.UUID | None = None,
) -> int:
    """End sessions of an operator: `only` one, or all `but` one; return how many ended."""
    statement = update(operator_sessions).where(
        operator_sessions.c.operator_id == operator_id, operator_sessions.c.revoked_at.is_(None)
    )
    if only is not None:
        statement = statement.where(operator_sessions.c.id == only)
    if but is not None:
        statement = statement.where(operator_sessions.c.id != but)
    return connection.execute(statement.values(revoked_at=at)).rowcount


def insert_device(
    connection: Connection, device_id: uuid.UUID, *, digest: bytes, at: datetime
) -> None:
    """Store a device under the digest of the text that it keeps."""
    connection.execute(insert(operator_devices).values(id=device_id, digest=digest, seen_at=at))


def find_device(connection: Connection, digest: bytes) -> uuid.UUID | None:
    """Return the id of a device; None: none keeps this text."""
    query = select(operator_devices.c.id).where(operator_devices.c.digest == digest)
    found: uuid.UUID | None = connection.scalar(query)
    return found


def is_known_device(connection: Connection, operator_id: OperatorId, device_id: uuid.UUID) -> bool:
    """Return whether the operator has signed in on the device."""
    query = select(operator_known_devices.c.since).where(
        operator_known_devices.c.operator_id == operator_id,
        operator_known_devices.c.device_id == device_id,
    )
    return connection.scalar(query) is not None


def insert_known_device(
    connection: Connection, operator_id: OperatorId, device_id: uuid.UUID, *, at: datetime
) -> None:
    """Store that the operator has signed in on the device."""
    connection.execute(
        insert_or_ignore(connection, operator_known_devices),
        {"operator_id": operator_id, "device_id": device_id, "since": at},
    )


def _to_session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        operator_id=OperatorId(row.operator_id),
        device_id=row.device_id,
        source=row.source,
        method=SignInMethod(row.method),
        opened_at=row.opened_at,
        seen_at=row.seen_at,
        idle_limit=timedelta(seconds=row.idle_limit_s),
        fresh_until=row.fresh_until,
        ends_at=row.ends_at,
        revoked_at=row.revoked_at,
    )

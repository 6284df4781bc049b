"""Sessions: opened after two factors, asked for at every request, ended one by one or all."""

import secrets
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from vending.operators.errors import SessionNotFoundError, SignInRequiredError
from vending.operators.model import (
    OpenedSession,
    Operator,
    OperatorState,
    Session,
    SessionLimits,
    SignedIn,
    SignInMethod,
)
from vending.operators.permissions import Permission
from vending.operators.repository import accounts, sessions, sign_in
from vending.operators.rules import (
    SECRET_BYTES,
    check_session,
    compute_digest,
    make_session_token,
    parse_session_token,
)
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.values.actor import Actor, ActorKind
from vending.values.clock import Clock
from vending.values.identifiers import OperatorId, new_uuid7

SEEN_STEP: Final = timedelta(seconds=30)
"""The last use is written no oftener, so that a page of ten requests costs one write; a session
may end as idle by this much early."""
SESSION_COUNT_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session is opened: the device and the network address, as far as known."""

    device_id: str | None
    source: str


def open_session(
    connection: Connection,
    operator: Operator,
    method: SignInMethod,
    place: Place,
    *,
    limits: SessionLimits,
    clock: Clock,
) -> OpenedSession:
    """Open a session for an operator whose factors were seen to be right; the caller commits."""
    assert operator.state is OperatorState.ACTIVE, "only an active account signs in"
    now = clock.now()
    token = make_session_token(secrets.token_bytes(SECRET_BYTES))
    session = Session(
        id=new_uuid7(clock),
        operator_id=operator.id,
        device_id=place.device_id,
        source=place.source,
        method=method,
        opened_at=now,
        seen_at=now,
        idle_limit=limits.idle,
        fresh_until=now + limits.freshness,
        ends_at=now + limits.lifetime,
        revoked_at=None,
    )
    sessions.insert_session(connection, session, digest=compute_digest(token))
    actor = Actor(ActorKind.OPERATOR, operator.name, operator.id, session.id)
    event = AuditEvent(actor, "session.opened", operator.subject, {"method": method.value})
    record(connection, [event], clock)
    return OpenedSession(session, token)


def authenticate_session(
    connection: Connection, presented_token: str, *, now: datetime
) -> SignedIn:
    """Return the operator behind a session's token; writes nothing.

    Raises:
        SignInRequiredError: The token is malformed or unknown, its session is revoked or over, or
            the account is locked.
    """
    return _authenticate(connection, presented_token, now)[0]


def authenticate(database: Database, presented_token: str, *, clock: Clock) -> SignedIn:
    """Return the operator behind a session's token, and note that the session was used.

    Raises:
        SignInRequiredError: The token is malformed or unknown, its session is revoked or over, or
            the account is locked.
    """
    now = clock.now()
    with database.read() as connection:
        signed_in, session = _authenticate(connection, presented_token, now)
    if now - session.seen_at >= SEEN_STEP:
        with database.unit_of_work() as uow:
            sessions.update_seen_at(uow.connection, session.id, now)
            uow.commit()
    return signed_in


def _authenticate(
    connection: Connection, presented_token: str, now: datetime
) -> tuple[SignedIn, Session]:
    digest = parse_session_token(presented_token)
    session = check_session(sessions.find_session_by_digest(connection, digest), now)
    operator = accounts.find_operator(connection, session.operator_id)
    if operator is None or operator.state is not OperatorState.ACTIVE:
        raise SignInRequiredError
    return to_signed_in(operator, session), session


def reload_roles(connection: Connection, by: SignedIn) -> SignedIn:
    """Return who was admitted with the roles of now; a command may have asked questions since.

    Raises:
        SignInRequiredError: The session was ended, or the account locked, meanwhile.
    """
    session = sessions.find_session(connection, by.session_id)
    operator = accounts.find_operator(connection, by.operator_id)
    is_gone = session is None or session.revoked_at is not None
    if is_gone or operator is None or not operator.is_active:
        raise SignInRequiredError
    return replace(by, roles=operator.roles)


def to_signed_in(operator: Operator, session: Session) -> SignedIn:
    """Return the operator as use cases take one."""
    return SignedIn(
        operator_id=operator.id,
        name=operator.name,
        person=operator.person,
        roles=operator.roles,
        session_id=session.id,
        device_id=session.device_id,
        fresh_until=session.fresh_until,
    )


def list_own_sessions(connection: Connection, by: SignedIn, *, now: datetime) -> list[Session]:
    """Return the operator's own sessions that hold, the newest first."""
    found = sessions.list_sessions(connection, by.operator_id, now=now, limit=SESSION_COUNT_MAX)
    return [session for session in found if session.holds(now)]


def sign_out(
    database: Database, by: SignedIn, *, clock: Clock, session_id: uuid.UUID | None = None
) -> None:
    """End one of the operator's own sessions: the present one, or the one named.

    Raises:
        SessionNotFoundError: The operator has no such session, or it ended before.
    """
    wanted = session_id or by.session_id
    with database.unit_of_work() as uow:
        ended = sessions.revoke_sessions(
            uow.connection, by.operator_id, at=clock.now(), only=wanted
        )
        if ended == 0:
            raise SessionNotFoundError(str(wanted))
        event = AuditEvent(by.actor, "session.ended", f"session:{wanted}")
        record(uow.connection, [event], clock)
        uow.commit()


def sign_out_elsewhere(database: Database, by: SignedIn, *, clock: Clock) -> int:
    """End all of the operator's sessions but the present one; return how many ended.

    A sign-in that waits for its second factor ends as well.
    """
    with database.unit_of_work() as uow:
        sign_in.end_challenges(uow.connection, by.operator_id, at=clock.now())
        ended = sessions.revoke_sessions(
            uow.connection, by.operator_id, at=clock.now(), but=by.session_id
        )
        subject = f"operator:{by.operator_id}"
        event = AuditEvent(by.actor, "session.ended-elsewhere", subject, {"count": ended})
        record(uow.connection, [event], clock)
        uow.commit()
    return ended


def sign_out_everywhere(
    database: Database, by: SignedIn, operator_id: OperatorId, *, clock: Clock
) -> int:
    """End every session of an operator, as an administrator; return how many ended.

    Raises:
        PermissionDeniedError: None of the roles of `by` may.
    """
    by.require(Permission.OPERATORS_WRITE)
    with database.unit_of_work() as uow:
        ended = end_sessions(uow.connection, by.actor, operator_id, clock=clock)
        uow.commit()
    return ended


def end_sessions(
    connection: Connection, by: Actor, operator_id: OperatorId, *, clock: Clock
) -> int:
    """End every session of an operator; return how many ended; the caller commits.

    A sign-in that waits for its second factor ends as well.
    """
    sign_in.end_challenges(connection, operator_id, at=clock.now())
    ended = sessions.revoke_sessions(connection, operator_id, at=clock.now())
    event = AuditEvent(by, "session.ended-everywhere", f"operator:{operator_id}", {"count": ended})
    record(connection, [event], clock)
    return ended

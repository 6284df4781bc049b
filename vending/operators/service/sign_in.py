"""Signing in with name and password, then a one-time code; and confirming in a session.

Whoever asks learns only whether all of it was right. A name that nobody has costs as much time as
one that somebody has, counts as well, and is answered alike.
"""

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NoReturn

from sqlalchemy import Connection

from vending.operators import rules
from vending.operators.errors import (
    ChallengeRefusedError,
    CodeRefusedError,
    SignInRefusedError,
    TooManyAttemptsError,
)
from vending.operators.model import (
    OpenedSession,
    Operator,
    SessionLimits,
    SignedIn,
    SignInMethod,
)
from vending.operators.repository import accounts, sessions, sign_in
from vending.operators.repository.sign_in import Attempt
from vending.operators.service.desk import Caller, SignInDesk
from vending.operators.service.factors import CodeOutcome, check_code
from vending.operators.service.sessions import Place, open_session
from vending.operators.service.steps import (
    StepPurpose,
    count_try,
    open_step,
    take_step,
    use_step,
)
from vending.operators.service.throttling import (
    Counted,
    count_attempt,
    find_device,
    take_off,
    tracks_of,
)
from vending.persistence.audit import AuditEvent, record
from vending.policies.service import load_policies
from vending.values.actor import Actor
from vending.values.identifiers import new_uuid7

SIGN_IN_ACTOR: Final = Actor.system("sign-in")
"""Whoever tries to sign in, before it is known who it is."""
PASSWORD: Final = "password"  # noqa: S105 # the name of a method, not a secret
ATTEMPTS_KEPT: Final = timedelta(days=90)
"""With the address they came from; then they are forgotten."""
HELD_BACK: Final = "held-back"
RIGHT: Final = "right"
WRONG: Final = "wrong"


@dataclass(frozen=True, slots=True)
class SignInDone:
    """An open session, and what the device keeps to be known next time."""

    operator: Operator
    opened: OpenedSession
    device_token: str | None = field(repr=False)
    """None: the device was known."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """One attempt that was counted and may go on."""

    operator: Operator | None
    password_hash: str | None
    device_id: uuid.UUID | None
    counted: Counted


def begin_sign_in(desk: SignInDesk, name: str, password: str, caller: Caller) -> str:
    """Return the ticket to the second factor for a right name and password.

    Raises:
        SignInRefusedError: Name or password is wrong, or the account is not active.
        TooManyAttemptsError: The account or the address has to wait.
        SignInBusyError: Too many steps wait at present.
    """
    trial = _count(desk, name, caller)
    is_right = desk.passwords.matches(password, trial.password_hash)
    operator = trial.operator
    if not is_right or operator is None:
        _refuse(desk, trial, caller)
    assert trial.password_hash is not None, "a password matched it"
    renewed = (
        desk.passwords.hash(password) if desk.passwords.is_outdated(trial.password_hash) else None
    )
    with desk.database.unit_of_work() as uow:
        take_off(uow.connection, trial.counted, now=desk.clock.now(), is_whole=False)
        if renewed is not None:
            accounts.update_password_hash(uow.connection, operator.id, renewed)
        ticket = open_step(
            uow.connection, desk, StepPurpose.SECOND_FACTOR, {}, operator_id=operator.id
        )
        note_attempt(uow.connection, desk, operator, caller, PASSWORD, RIGHT)
        uow.commit()
    return ticket


def finish_sign_in(desk: SignInDesk, ticket: str, code: str, caller: Caller) -> SignInDone:
    """Open a session for a ticket and a right code, of an app or for recovery.

    Raises:
        ChallengeRefusedError: The ticket leads nowhere: too late, used, or tried too often.
        SignInRefusedError: The code is wrong or was used, or the account is locked meanwhile.
        TooManyAttemptsError: The account or the address has to wait.
    """
    refusal: TooManyAttemptsError | SignInRefusedError = SignInRefusedError()
    done: SignInDone | None = None
    with desk.database.unit_of_work() as uow:
        connection = uow.connection
        step = take_step(connection, desk, ticket, StepPurpose.SECOND_FACTOR)
        operator = (
            None
            if step.operator_id is None
            else accounts.lock_operator(connection, step.operator_id)
        )
        if operator is None or not operator.is_active:
            raise ChallengeRefusedError
        device_id = find_device(connection, caller)
        counted = tracks_of(connection, operator.name, operator, caller, device_id)
        try:
            count_attempt(connection, counted, now=desk.clock.now())
        except TooManyAttemptsError as error:
            refusal = error
            note_attempt(connection, desk, operator, caller, "code", HELD_BACK)
        else:
            checked = check_code(connection, desk, operator.id, code)
            note_attempt(
                connection, desk, operator, caller, checked.method.value, checked.outcome.value
            )
            if checked.outcome is CodeOutcome.RIGHT:
                use_step(connection, desk, step)
                take_off(connection, counted, now=desk.clock.now(), is_whole=True)
                done = let_in(connection, desk, operator, checked.method, caller)
            else:
                count_try(connection, desk, step)
        uow.commit()
    if done is None:
        raise refusal
    return done


def confirm(desk: SignInDesk, by: SignedIn, code: str) -> None:
    """Make the session's second factor fresh again with a right code.

    Raises:
        CodeRefusedError: The code is wrong or was used.
        TooManyAttemptsError: There were too many wrong ones in this session.
    """
    track = rules.track_of_session(by.session_id)
    counted = Counted({track: rules.FREE_FAILURES}, track)
    is_right = False
    with desk.database.unit_of_work() as uow:
        count_attempt(uow.connection, counted, now=desk.clock.now())
        checked = check_code(uow.connection, desk, by.operator_id, code)
        is_right = checked.outcome is CodeOutcome.RIGHT
        if is_right:
            take_off(uow.connection, counted, now=desk.clock.now(), is_whole=True)
            freshen(uow.connection, desk, by, checked.method)
        else:
            event = AuditEvent(
                by.actor,
                "session.confirmation-refused",
                f"session:{by.session_id}",
                {"method": checked.method.value, "outcome": checked.outcome.value},
            )
            record(uow.connection, [event], desk.clock)
        uow.commit()
    if not is_right:
        raise CodeRefusedError


def freshen(connection: Connection, desk: SignInDesk, by: SignedIn, method: SignInMethod) -> None:
    """Store that the second factor of a session was given just now; the caller commits."""
    until = desk.clock.now() + load_policies(connection).session.freshness
    sessions.update_fresh_until(connection, by.session_id, until)
    event = AuditEvent(
        by.actor, "session.confirmed", f"session:{by.session_id}", {"method": method.value}
    )
    record(connection, [event], desk.clock)


def let_in(
    connection: Connection,
    desk: SignInDesk,
    operator: Operator,
    method: SignInMethod,
    caller: Caller,
) -> SignInDone:
    """Open the session of an operator whose factors were all right; the caller commits."""
    now = desk.clock.now()
    device_id = find_device(connection, caller)
    device_token: str | None = None
    if device_id is None:
        device_id = new_uuid7(desk.clock)
        device_token = rules.make_device_token(secrets.token_bytes(rules.SECRET_BYTES))
        digest = rules.compute_digest(device_token)
        sessions.insert_device(connection, device_id, digest=digest, at=now)
    sessions.insert_known_device(connection, operator.id, device_id, at=now)
    place = Place(str(device_id), caller.source)
    session = load_policies(connection).session
    limits = SessionLimits(
        idle=session.idle, lifetime=session.lifetime, freshness=session.freshness
    )
    opened = open_session(connection, operator, method, place, limits=limits, clock=desk.clock)
    return SignInDone(operator, opened, device_token)


def note_attempt(
    connection: Connection,
    desk: SignInDesk,
    operator: Operator | None,
    caller: Caller,
    method: str,
    outcome: str,
) -> None:
    """Keep an attempt, and put a wrong one into the audit log; the caller commits.

    The address is kept here alone, where it is forgotten after a while; what was typed as a name
    that nobody has may be a password, and is kept nowhere.
    """
    device_id = find_device(connection, caller)
    attempt = Attempt(
        id=new_uuid7(desk.clock),
        at=desk.clock.now(),
        operator_id=None if operator is None else operator.id,
        source=caller.source,
        device_id=None if device_id is None else str(device_id),
        method=method,
        outcome=outcome,
    )
    sign_in.insert_attempt(connection, attempt)
    sign_in.delete_attempts(connection, before=attempt.at - ATTEMPTS_KEPT)
    sign_in.delete_throttles(connection, before=attempt.at - rules.FORGOTTEN_AFTER)
    if outcome not in {RIGHT, HELD_BACK}:
        subject = "operator:unknown" if operator is None else operator.subject
        details = {"method": method, "outcome": outcome, "attempt": str(attempt.id)}
        event = AuditEvent(SIGN_IN_ACTOR, "sign-in.refused", subject, details)
        record(connection, [event], desk.clock)


def _count(desk: SignInDesk, name: str, caller: Caller) -> _Trial:
    """Count an attempt on a name before its password is looked at.

    Raises:
        TooManyAttemptsError: The account or the address has to wait.
    """
    refusal: TooManyAttemptsError | None = None
    with desk.database.unit_of_work() as uow:
        operator = accounts.find_operator_by_name(uow.connection, name)
        device_id = find_device(uow.connection, caller)
        counted = tracks_of(uow.connection, name, operator, caller, device_id)
        try:
            count_attempt(uow.connection, counted, now=desk.clock.now())
        except TooManyAttemptsError as error:
            refusal = error
            note_attempt(uow.connection, desk, operator, caller, PASSWORD, HELD_BACK)
        password_hash = (
            accounts.find_password_hash(uow.connection, operator.id)
            if operator is not None and operator.is_active
            else None
        )
        uow.commit()
    if refusal is not None:
        raise refusal
    return _Trial(operator, password_hash, device_id, counted)


def _refuse(desk: SignInDesk, trial: _Trial, caller: Caller) -> NoReturn:
    """Keep a wrong attempt, and refuse it.

    Raises:
        SignInRefusedError: Always.
    """
    with desk.database.unit_of_work() as uow:
        note_attempt(uow.connection, desk, trial.operator, caller, PASSWORD, WRONG)
        uow.commit()
    raise SignInRefusedError

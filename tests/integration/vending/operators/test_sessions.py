"""Sessions on both databases: opened, used, over, revoked."""

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from tests.support.people import open_session_for, operator_named, session_token_for, sign_in_as
from vending.operators.errors import (
    PermissionDeniedError,
    SecondFactorStaleError,
    SessionNotFoundError,
    SignInRequiredError,
)
from vending.operators.model import OperatorState, SessionLimits
from vending.operators.permissions import Permission, Role
from vending.operators.repository import accounts
from vending.operators.rules import compute_digest
from vending.operators.service.sessions import (
    SEEN_STEP,
    authenticate,
    authenticate_session,
    list_own_sessions,
    sign_out,
    sign_out_elsewhere,
    sign_out_everywhere,
)
from vending.operators.tables import operator_sessions
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.values.clock import FixedClock

LIMITS = SessionLimits()
MOMENT = timedelta(microseconds=1)


def test_token_opens_its_session_with_the_roles_of_now(
    database: Database, fixed_clock: FixedClock
) -> None:
    token = session_token_for(database, fixed_clock, Role.FINANCE, name="amina")
    with database.unit_of_work() as uow:
        operator = accounts.find_operator_by_name(uow.connection, "amina")
        assert operator is not None
        accounts.insert_roles(uow.connection, operator.id, [Role.AUDITOR], at=fixed_clock.now())
        accounts.delete_roles(uow.connection, operator.id, [Role.FINANCE])
        uow.commit()
    signed_in = authenticate(database, token, clock=fixed_clock)
    assert (signed_in.name, signed_in.roles) == ("amina", frozenset({Role.AUDITOR}))
    signed_in.require(Permission.AUDIT_READ)
    with pytest.raises(PermissionDeniedError):
        signed_in.require(Permission.SALES_REFUND)


def test_only_the_digest_of_the_token_is_stored(
    database: Database, fixed_clock: FixedClock
) -> None:
    token = session_token_for(database, fixed_clock, Role.AUDITOR)
    with database.read() as connection:
        row = connection.execute(operator_sessions.select()).one()
    assert row.digest == compute_digest(token)
    assert token not in str(row)


@pytest.mark.parametrize(
    "presented",
    [
        "",
        "os_",
        "os_" + "0" * 64,
        "os_" + "G" * 64,
        "pk_" + "0" * 64,
        "os_" + "0" * 65,
        "ös_",
        "\ud800",
    ],
)
def test_other_token_opens_nothing(
    database: Database, fixed_clock: FixedClock, presented: str
) -> None:
    session_token_for(database, fixed_clock, Role.AUDITOR)
    with database.read() as connection, pytest.raises(SignInRequiredError):
        authenticate_session(connection, presented, now=fixed_clock.now())


def test_session_ends_when_it_is_not_used(database: Database, fixed_clock: FixedClock) -> None:
    token = session_token_for(database, fixed_clock, Role.AUDITOR, limits=LIMITS)
    fixed_clock.advance(LIMITS.idle - MOMENT)
    authenticate(database, token, clock=fixed_clock)
    fixed_clock.advance(LIMITS.idle - MOMENT)
    authenticate(database, token, clock=fixed_clock)
    fixed_clock.advance(LIMITS.idle)
    with pytest.raises(SignInRequiredError):
        authenticate(database, token, clock=fixed_clock)


def test_session_ends_after_its_lifetime_however_it_is_used(
    database: Database, fixed_clock: FixedClock
) -> None:
    token = session_token_for(database, fixed_clock, Role.AUDITOR, limits=LIMITS)
    step = timedelta(minutes=10)
    for _ in range(LIMITS.lifetime // step - 1):
        fixed_clock.advance(step)
        authenticate(database, token, clock=fixed_clock)
    fixed_clock.advance(step)
    with pytest.raises(SignInRequiredError):
        authenticate(database, token, clock=fixed_clock)


def test_use_is_written_only_now_and_then(database: Database, fixed_clock: FixedClock) -> None:
    token = session_token_for(database, fixed_clock, Role.AUDITOR)
    opened_at = fixed_clock.now()
    fixed_clock.advance(SEEN_STEP - MOMENT)
    authenticate(database, token, clock=fixed_clock)
    with database.read() as connection:
        assert connection.execute(operator_sessions.select()).one().seen_at == opened_at
    fixed_clock.advance(MOMENT)
    authenticate(database, token, clock=fixed_clock)
    with database.read() as connection:
        assert connection.execute(operator_sessions.select()).one().seen_at == fixed_clock.now()


def test_session_of_a_locked_account_opens_nothing(
    database: Database, fixed_clock: FixedClock
) -> None:
    token = session_token_for(database, fixed_clock, Role.AUDITOR, name="amina")
    operator = operator_named(database, fixed_clock, "amina")
    with database.unit_of_work() as uow:
        accounts.update_state(uow.connection, operator.id, OperatorState.LOCKED)
        uow.commit()
    with pytest.raises(SignInRequiredError):
        authenticate(database, token, clock=fixed_clock)


def test_signing_out_ends_this_session_and_no_other(
    database: Database, fixed_clock: FixedClock
) -> None:
    first = session_token_for(database, fixed_clock, Role.AUDITOR, name="amina")
    second = session_token_for(database, fixed_clock, name="amina")
    sign_out(database, authenticate(database, first, clock=fixed_clock), clock=fixed_clock)
    with pytest.raises(SignInRequiredError):
        authenticate(database, first, clock=fixed_clock)
    authenticate(database, second, clock=fixed_clock)


def test_session_of_another_operator_cannot_be_ended(
    database: Database, fixed_clock: FixedClock
) -> None:
    victim = sign_in_as(database, fixed_clock, Role.AUDITOR, name="amina")
    rival = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR, name="brian")
    with pytest.raises(SessionNotFoundError):
        sign_out(database, rival, clock=fixed_clock, session_id=victim.session_id)


def test_own_sessions_are_listed_and_ended_but_for_the_present_one(
    database: Database, fixed_clock: FixedClock
) -> None:
    operator = operator_named(database, fixed_clock, "amina")
    tokens = [open_session_for(database, fixed_clock, operator).token for _ in range(3)]
    sign_in_as(database, fixed_clock, Role.AUDITOR, name="brian")
    by = authenticate(database, tokens[1], clock=fixed_clock)
    with database.read() as connection:
        listed = list_own_sessions(connection, by, now=fixed_clock.now())
    assert {session.operator_id for session in listed} == {operator.id}
    assert len(listed) == 3
    assert sign_out_elsewhere(database, by, clock=fixed_clock) == 2
    authenticate(database, tokens[1], clock=fixed_clock)
    for token in (tokens[0], tokens[2]):
        with pytest.raises(SignInRequiredError):
            authenticate(database, token, clock=fixed_clock)


def test_administrator_ends_every_session_of_an_operator(
    database: Database, fixed_clock: FixedClock
) -> None:
    token = session_token_for(database, fixed_clock, Role.AUDITOR, name="amina")
    operator = operator_named(database, fixed_clock, "amina")
    admin = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR)
    assert sign_out_everywhere(database, admin, operator.id, clock=fixed_clock) == 1
    with pytest.raises(SignInRequiredError):
        authenticate(database, token, clock=fixed_clock)
    with database.read() as connection:
        actions = [row.action for row in connection.execute(audit_events.select())]
    assert actions.count("session.ended-everywhere") == 1


def test_nobody_else_ends_the_sessions_of_an_operator(
    database: Database, fixed_clock: FixedClock
) -> None:
    operator = operator_named(database, fixed_clock, "amina")
    by = sign_in_as(database, fixed_clock, Role.AUDITOR)
    with pytest.raises(PermissionDeniedError):
        sign_out_everywhere(database, by, operator.id, clock=fixed_clock)


def test_second_factor_is_fresh_for_a_while(database: Database, fixed_clock: FixedClock) -> None:
    by = sign_in_as(database, fixed_clock, Role.AUDITOR, limits=LIMITS)
    fixed_clock.advance(LIMITS.freshness - MOMENT)
    by.require_fresh(fixed_clock.now())
    fixed_clock.advance(MOMENT)
    with pytest.raises(SecondFactorStaleError):
        by.require_fresh(fixed_clock.now())


def test_revoked_session_never_holds_again(database: Database, fixed_clock: FixedClock) -> None:
    by = sign_in_as(database, fixed_clock, Role.AUDITOR)
    sign_out(database, by, clock=fixed_clock)
    with (
        database.unit_of_work() as uow,
        pytest.raises(IntegrityError, match="operator_sessions:revoked"),
    ):
        uow.connection.execute(update(operator_sessions).values(revoked_at=None))


def test_session_cannot_be_lengthened(database: Database, fixed_clock: FixedClock) -> None:
    sign_in_as(database, fixed_clock, Role.AUDITOR)
    later = fixed_clock.now() + timedelta(days=365)
    with database.unit_of_work() as uow, pytest.raises(IntegrityError, match="append_only"):
        uow.connection.execute(update(operator_sessions).values(ends_at=later))

"""Signing in with password and code on both databases; wrong ones refused, recorded, slowed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.people import sign_in_as
from tests.support.policies import FRESHNESS
from tests.support.sign_in import HERE, PASSWORD, STEP, Person, activate
from vending.operators.errors import (
    ChallengeRefusedError,
    CodeRefusedError,
    SecondFactorStaleError,
    SignInBusyError,
    SignInRefusedError,
    TooManyAttemptsError,
)
from vending.operators.model import OperatorState, SignInMethod
from vending.operators.passwords import PasswordCost, Passwords
from vending.operators.permissions import Role
from vending.operators.repository import accounts, sign_in
from vending.operators.rules import (
    FREE_FAILURES,
)
from vending.operators.service import steps
from vending.operators.service.accounts import lock, unlock
from vending.operators.service.desk import SignInDesk
from vending.operators.service.sessions import authenticate
from vending.operators.service.sign_in import begin_sign_in, confirm, finish_sign_in
from vending.operators.service.steps import STEP_LIFETIME, TRIES_MAX
from vending.persistence.audit import audit_events
from vending.persistence.base import metadata
from vending.persistence.engine import Database

WRONG_PASSWORD = "lamp river cedar 72"


def outcomes(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        found = sign_in.list_attempts(connection, limit=100)
    return [(attempt.method, attempt.outcome) for attempt in reversed(found)]


def refused(act: Callable[..., object], *arguments: object) -> str:
    with pytest.raises((SignInRefusedError, TooManyAttemptsError, ChallengeRefusedError)) as told:
        act(*arguments)
    return told.value.code


# --- right ---------------------------------------------------------------------------------------
def test_password_and_code_open_a_session(amina: Person) -> None:
    done = amina.sign_in()
    assert done.opened.session.method is SignInMethod.TOTP
    assert done.opened.session.source == HERE.source
    signed_in = authenticate(amina.desk.database, done.opened.token, clock=amina.clock)
    assert signed_in.name == "amina"
    assert signed_in.device_id is not None
    signed_in.require_fresh(amina.clock.now())


@pytest.mark.parametrize("steps_away", [-1, 1])
def test_code_of_a_clock_that_is_a_step_off_is_right(sqlite_amina: Person, steps_away: int) -> None:
    sqlite_amina.clock.advance(STEP * 2)
    code = sqlite_amina.app.code(steps_away=steps_away)
    finish_sign_in(sqlite_amina.desk, sqlite_amina.begin(), code, HERE)


def test_recovery_code_stands_in_for_the_app_once(amina: Person) -> None:
    code = amina.activated.recovery_codes[3]
    done = finish_sign_in(amina.desk, amina.begin(), code.lower().replace("-", " "), HERE)
    assert done.opened.session.method is SignInMethod.RECOVERY_CODE
    assert refused(finish_sign_in, amina.desk, amina.begin(), code, HERE) == ("sign_in_refused")
    assert ("recovery-code", "reused") in outcomes(amina.desk.database)


def test_hash_of_another_cost_is_made_anew(amina: Person) -> None:
    dearer = replace(amina.desk, passwords=Passwords(PasswordCost(16, 1, 1)))
    with amina.desk.database.read() as connection:
        before = accounts.find_password_hash(connection, amina.signed_in.operator_id)
    begin_sign_in(dearer, "amina", PASSWORD, HERE)
    with amina.desk.database.read() as connection:
        after = accounts.find_password_hash(connection, amina.signed_in.operator_id)
    assert before is not None
    assert after is not None
    assert ("m=8," in before, "m=16," in after) == (True, True)
    begin_sign_in(amina.desk, "amina", PASSWORD, HERE)


# --- wrong ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("amina", WRONG_PASSWORD),
        ("amina", ""),
        ("amina", PASSWORD + " "),
        ("amina", PASSWORD * 100),
        ("nobody", PASSWORD),
        ("Amina", PASSWORD),
        ("amina\0", PASSWORD),
        ("\ud800", PASSWORD),
        ("amina", "\ud800" * 12),
        ("' OR 1=1 --", PASSWORD),
    ],
)
def test_wrong_name_and_wrong_password_are_answered_alike(
    amina: Person, name: str, password: str
) -> None:
    with pytest.raises(SignInRefusedError) as told:
        begin_sign_in(amina.desk, name, password, HERE)
    assert told.value.problem() == SignInRefusedError().problem()
    assert ("password", "wrong") in outcomes(amina.desk.database)


def test_unknown_name_costs_one_hash_as_well(sqlite_amina: Person) -> None:
    class Counting(Passwords):
        count = 0

        def matches(self, password: str, stored: str | None) -> bool:
            type(self).count += 1
            return super().matches(password, stored)

    desk = replace(sqlite_amina.desk, passwords=Counting(PasswordCost(8, 1, 1)))
    for name in ("amina", "nobody"):
        refused(begin_sign_in, desk, name, WRONG_PASSWORD, HERE)
    assert Counting.count == 2


@pytest.mark.parametrize("state", [OperatorState.LOCKED, OperatorState.INVITED])
def test_account_that_is_not_active_is_answered_like_a_wrong_password(
    amina: Person, state: OperatorState
) -> None:
    with amina.desk.database.unit_of_work() as uow:
        accounts.update_state(uow.connection, amina.signed_in.operator_id, state)
        uow.commit()
    assert refused(amina.begin) == "sign_in_refused"


def test_account_locked_between_the_steps_gets_no_session(amina: Person) -> None:
    ticket, code = amina.begin(), amina.fresh_code()
    admin = sign_in_as(amina.desk.database, amina.clock, Role.ADMINISTRATOR)
    lock(amina.desk.database, admin, amina.signed_in.operator_id, clock=amina.clock)
    assert refused(finish_sign_in, amina.desk, ticket, code, HERE) == "challenge_refused"
    unlock(amina.desk.database, admin, amina.signed_in.operator_id, clock=amina.clock)
    assert refused(finish_sign_in, amina.desk, ticket, code, HERE) == "challenge_refused"
    finish_sign_in(amina.desk, amina.begin(), code, HERE)


@pytest.mark.parametrize(
    "code",
    ["", "000000x", "12345", "1234567", "\uff11" * 6, "-12345", "0x1234", "\ud800" * 6, "A" * 24],
)
def test_other_code_is_wrong(sqlite_amina: Person, code: str) -> None:
    ticket = sqlite_amina.begin()
    assert refused(finish_sign_in, sqlite_amina.desk, ticket, code, HERE) == "sign_in_refused"


def test_code_is_accepted_once_and_its_reuse_recorded(amina: Person) -> None:
    code = amina.fresh_code()
    finish_sign_in(amina.desk, amina.begin(), code, HERE)
    ticket = amina.begin()
    assert refused(finish_sign_in, amina.desk, ticket, code, HERE) == "sign_in_refused"
    assert ("totp", "reused") in outcomes(amina.desk.database)
    with amina.desk.database.read() as connection:
        audited = [(row.action, row.details) for row in connection.execute(audit_events.select())]
    assert [told["outcome"] for action, told in audited if action == "sign-in.refused"] == [
        "reused"
    ]


def test_code_before_the_last_used_one_is_refused(amina: Person) -> None:
    amina.clock.advance(STEP * 2)
    earlier = amina.app.code(steps_away=-1)
    finish_sign_in(amina.desk, amina.begin(), amina.app.code(), HERE)
    ticket = amina.begin()
    assert refused(finish_sign_in, amina.desk, ticket, earlier, HERE) == "sign_in_refused"


@pytest.mark.parametrize("steps_away", [-2, 2])
def test_code_of_another_time_is_wrong(sqlite_amina: Person, steps_away: int) -> None:
    sqlite_amina.clock.advance(STEP * 5)
    code, ticket = sqlite_amina.app.code(steps_away=steps_away), sqlite_amina.begin()
    assert refused(finish_sign_in, sqlite_amina.desk, ticket, code, HERE) == "sign_in_refused"


def test_code_of_another_operator_is_wrong(desk: SignInDesk) -> None:
    amina, brian = activate(desk, "amina"), activate(desk, "brian")
    ticket, code = amina.begin(), brian.fresh_code()
    assert refused(finish_sign_in, desk, ticket, code, HERE) == "sign_in_refused"
    recovery = brian.activated.recovery_codes[0]
    assert refused(finish_sign_in, desk, ticket, recovery, HERE) == "sign_in_refused"
    finish_sign_in(desk, brian.begin(), recovery, HERE)


# --- tickets -------------------------------------------------------------------------------------
def test_ticket_is_good_once(amina: Person) -> None:
    ticket = amina.begin()
    finish_sign_in(amina.desk, ticket, amina.fresh_code(), HERE)
    code = amina.fresh_code()
    assert refused(finish_sign_in, amina.desk, ticket, code, HERE) == "challenge_refused"


def test_ticket_is_good_for_a_while(amina: Person) -> None:
    ticket = amina.begin()
    amina.clock.advance(STEP_LIFETIME)
    assert (
        refused(finish_sign_in, amina.desk, ticket, amina.app.code(), HERE) == "challenge_refused"
    )


def test_ticket_takes_a_few_wrong_codes(amina: Person) -> None:
    ticket = amina.begin(amina.device)
    for _ in range(TRIES_MAX):
        assert refused(finish_sign_in, amina.desk, ticket, "000000", amina.device) == (
            "sign_in_refused"
        )
    amina.clock.advance(timedelta(minutes=1))
    assert (
        refused(finish_sign_in, amina.desk, ticket, amina.app.code(), amina.device)
        == "challenge_refused"
    )


@pytest.mark.parametrize("ticket", ["", "ot_", "ot_" + "0" * 64, "\ud800"])
def test_other_ticket_leads_nowhere(sqlite_amina: Person, ticket: str) -> None:
    code = sqlite_amina.fresh_code()
    assert refused(finish_sign_in, sqlite_amina.desk, ticket, code, HERE) == "challenge_refused"


def test_steps_that_wait_are_bounded(sqlite_amina: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "STEPS_MAX", 2)
    for _ in range(2):
        sqlite_amina.begin()
    with pytest.raises(SignInBusyError):
        sqlite_amina.begin()
    sqlite_amina.clock.advance(STEP_LIFETIME)
    sqlite_amina.begin()


# --- confirming in a session ---------------------------------------------------------------------
def test_code_makes_the_second_factor_fresh_again(amina: Person) -> None:
    token = amina.sign_in().opened.token
    amina.clock.advance(FRESHNESS)
    stale = authenticate(amina.desk.database, token, clock=amina.clock)
    with pytest.raises(SecondFactorStaleError):
        stale.require_fresh(amina.clock.now())
    confirm(amina.desk, stale, amina.app.code())
    fresh = authenticate(amina.desk.database, token, clock=amina.clock)
    fresh.require_fresh(amina.clock.now())


def test_wrong_code_confirms_nothing_and_is_slowed_down(amina: Person) -> None:
    by = amina.enter()
    used = amina.app.code()
    for code in ["000000", used, "", "x", "999999"][:FREE_FAILURES]:
        with pytest.raises(CodeRefusedError):
            confirm(amina.desk, by, code)
    with pytest.raises(TooManyAttemptsError):
        confirm(amina.desk, by, amina.app.code(steps_away=1))
    with amina.desk.database.read() as connection:
        actions = [row.action for row in connection.execute(audit_events.select())]
    assert actions.count("session.confirmation-refused") == FREE_FAILURES


# --- secrets -------------------------------------------------------------------------------------
def test_nothing_secret_is_stored_or_audited(amina: Person) -> None:
    amina.sign_in()
    refused(begin_sign_in, amina.desk, "my password as a name", WRONG_PASSWORD, HERE)
    secrets_known = [
        PASSWORD,
        WRONG_PASSWORD,
        amina.app.secret,
        *amina.activated.recovery_codes,
        amina.activated.signed_in.opened.token,
        str(amina.activated.signed_in.device_token),
        "my password as a name",
    ]
    with amina.desk.database.read() as connection:
        names = [name for name in metadata.tables if "operator" in name or "sign_in" in name]
        assert len(names) >= 9
        stored = "".join(
            str(connection.exec_driver_sql(f"SELECT * FROM {table}").all())  # noqa: S608 # our own names
            for table in (*names, "audit_events")
        )
    for secret in secrets_known:
        assert secret not in stored
        assert secret not in repr(amina.activated)

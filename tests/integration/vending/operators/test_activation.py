"""Activation on both databases: the code once, the password good, the app set up."""

from datetime import timedelta

import pytest

from tests.support.authenticators import CodeApp
from tests.support.people import sign_in_as
from tests.support.sign_in import HERE, PASSWORD, Person, activate
from vending.operators.errors import (
    ActivationRefusedError,
    ChallengeRefusedError,
    CodeRefusedError,
    PasswordRefusedError,
    SignInRefusedError,
    TooManyAttemptsError,
)
from vending.operators.model import Invitation, NewOperator, OperatorState
from vending.operators.one_time_codes import RECOVERY_CODE_COUNT
from vending.operators.permissions import Role
from vending.operators.rules import FREE_FAILURES_OF_SOURCE
from vending.operators.service.accounts import (
    ACTIVATION_LIFETIME,
    create_operator,
    load_operator,
    lock,
    reset_sign_in,
)
from vending.operators.service.activation import begin_activation, finish_activation
from vending.operators.service.desk import SignInDesk
from vending.operators.service.sessions import authenticate
from vending.operators.service.sign_in import begin_sign_in, finish_sign_in
from vending.operators.service.steps import TRIES_MAX
from vending.values.clock import FixedClock


@pytest.fixture
def invitation(desk: SignInDesk, fixed_clock: FixedClock) -> Invitation:
    admin = sign_in_as(desk.database, fixed_clock, Role.ADMINISTRATOR)
    new = NewOperator("amina", "Amina Wanjiru")
    return create_operator(desk.database, admin, new, clock=fixed_clock)


def test_holder_of_the_code_becomes_active_and_is_signed_in(amina: Person) -> None:
    done = amina.activated.signed_in
    assert done.operator.state is OperatorState.ACTIVE
    signed_in = authenticate(amina.desk.database, done.opened.token, clock=amina.clock)
    assert (signed_in.name, signed_in.roles) == ("amina", frozenset())
    assert len(set(amina.activated.recovery_codes)) == RECOVERY_CODE_COUNT


def test_app_is_told_whose_account_it_is(desk: SignInDesk, invitation: Invitation) -> None:
    begun = begin_activation(desk, invitation.code, PASSWORD, HERE)
    assert begun.enrolment.uri.startswith("otpauth://totp/Lumen%20Utility:amina?secret=")
    assert begun.enrolment.secret in begun.enrolment.uri


def test_activation_code_is_good_once(desk: SignInDesk, invitation: Invitation) -> None:
    begun = begin_activation(desk, invitation.code, PASSWORD, HERE)
    finish_activation(desk, begun.ticket, CodeApp(begun.enrolment.secret, desk.clock).code(), HERE)
    with pytest.raises(ActivationRefusedError):
        begin_activation(desk, invitation.code, PASSWORD, HERE)


def test_two_who_begin_with_one_code_do_not_both_finish(
    desk: SignInDesk, invitation: Invitation
) -> None:
    first = begin_activation(desk, invitation.code, PASSWORD, HERE)
    second = begin_activation(desk, invitation.code, "another good secret 5", HERE)
    code = CodeApp(second.enrolment.secret, desk.clock).code()
    finish_activation(desk, second.ticket, code, HERE)
    late = CodeApp(first.enrolment.secret, desk.clock).code()
    with pytest.raises(ChallengeRefusedError):
        finish_activation(desk, first.ticket, late, HERE)
    begin_sign_in(desk, "amina", "another good secret 5", HERE)


def test_nothing_changes_before_the_app_has_shown_a_code(
    desk: SignInDesk, invitation: Invitation
) -> None:
    begin_activation(desk, invitation.code, PASSWORD, HERE)
    with desk.database.read() as connection:
        operator = load_operator(connection, invitation.operator.id)
    assert operator.state is OperatorState.INVITED
    with pytest.raises(SignInRefusedError):
        begin_sign_in(desk, "amina", PASSWORD, HERE)


def test_activation_code_ends(
    desk: SignInDesk, invitation: Invitation, fixed_clock: FixedClock
) -> None:
    fixed_clock.advance(ACTIVATION_LIFETIME - timedelta(seconds=1))
    begun = begin_activation(desk, invitation.code, PASSWORD, HERE)
    fixed_clock.advance(timedelta(seconds=1))
    with pytest.raises(ActivationRefusedError):
        begin_activation(desk, invitation.code, PASSWORD, HERE)
    code = CodeApp(begun.enrolment.secret, fixed_clock).code()
    with pytest.raises(ChallengeRefusedError):
        finish_activation(desk, begun.ticket, code, HERE)


def test_locked_account_is_not_activated(
    desk: SignInDesk, invitation: Invitation, fixed_clock: FixedClock
) -> None:
    begun = begin_activation(desk, invitation.code, PASSWORD, HERE)
    admin = sign_in_as(desk.database, fixed_clock, Role.ADMINISTRATOR)
    lock(desk.database, admin, invitation.operator.id, clock=fixed_clock)
    code = CodeApp(begun.enrolment.secret, fixed_clock).code()
    with pytest.raises(ChallengeRefusedError):
        finish_activation(desk, begun.ticket, code, HERE)
    with pytest.raises(ActivationRefusedError):
        begin_activation(desk, invitation.code, PASSWORD, HERE)


@pytest.mark.parametrize("code", ["", "A" * 24, "AAAA-" * 6, "\ud800", "a" * 10_000, "\0"])
def test_other_code_activates_nothing(desk: SignInDesk, invitation: Invitation, code: str) -> None:
    assert invitation.code
    with pytest.raises(ActivationRefusedError):
        begin_activation(desk, code, PASSWORD, HERE)


def test_guessing_activation_codes_is_slowed_down(sqlite_desk: SignInDesk) -> None:
    for _ in range(FREE_FAILURES_OF_SOURCE):
        with pytest.raises(ActivationRefusedError):
            begin_activation(sqlite_desk, "A" * 24, PASSWORD, HERE)
    with pytest.raises(TooManyAttemptsError):
        begin_activation(sqlite_desk, "A" * 24, PASSWORD, HERE)


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "length"),
        ("password1234", "common"),
        ("amina-wanjiru-2026", "context"),
        ("LumenUtility99", "context"),
    ],
)
def test_bad_password_is_refused_and_the_code_stays_good(
    desk: SignInDesk, invitation: Invitation, password: str, reason: str
) -> None:
    with pytest.raises(PasswordRefusedError) as told:
        begin_activation(desk, invitation.code, password, HERE)
    assert told.value.facts == {"reason": reason}
    assert password not in str(told.value)
    begin_activation(desk, invitation.code, PASSWORD, HERE)


def test_wrong_first_code_activates_nothing(desk: SignInDesk, invitation: Invitation) -> None:
    begun = begin_activation(desk, invitation.code, PASSWORD, HERE)
    for _ in range(TRIES_MAX):
        with pytest.raises(CodeRefusedError):
            finish_activation(desk, begun.ticket, "000000", HERE)
    right = CodeApp(begun.enrolment.secret, desk.clock).code()
    with pytest.raises(ChallengeRefusedError):
        finish_activation(desk, begun.ticket, right, HERE)


def test_first_code_is_used_up(amina: Person) -> None:
    ticket = amina.begin()
    with pytest.raises(SignInRefusedError):
        finish_sign_in(amina.desk, ticket, amina.app.code(), HERE)


def test_reset_ends_everything_of_before(desk: SignInDesk, fixed_clock: FixedClock) -> None:
    amina = activate(desk, "amina")
    admin = sign_in_as(desk.database, fixed_clock, Role.ADMINISTRATOR)
    ticket = amina.begin()
    again = reset_sign_in(desk.database, admin, amina.signed_in.operator_id, clock=fixed_clock)
    with pytest.raises(SignInRefusedError):
        amina.begin()
    with pytest.raises(ChallengeRefusedError):
        finish_sign_in(desk, ticket, amina.fresh_code(), HERE)
    begun = begin_activation(desk, again.code, "another good secret 5", HERE)
    app = CodeApp(begun.enrolment.secret, fixed_clock)
    finish_activation(desk, begun.ticket, app.code(), HERE)
    ticket = begin_sign_in(desk, "amina", "another good secret 5", HERE)
    for old in (amina.fresh_code(), amina.activated.recovery_codes[0]):
        with pytest.raises(SignInRefusedError):
            finish_sign_in(desk, ticket, old, HERE)
    finish_sign_in(desk, ticket, app.code(), HERE)

"""An operator's own second factors and password: added, renewed, taken away."""

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from tests.support.authenticators import CodeApp
from tests.support.policies import FRESHNESS
from tests.support.sign_in import HERE, PASSWORD, Person, activate
from vending.keystore.errors import SealBrokenError
from vending.keystore.sealing import Keyring, Purpose
from vending.operators.errors import (
    AuthenticatorNotFoundError,
    ChallengeRefusedError,
    CodeRefusedError,
    LastAuthenticatorError,
    OperatorInvalidError,
    PasswordRefusedError,
    SecondFactorStaleError,
    SignInRefusedError,
    SignInRequiredError,
    TooManyAttemptsError,
)
from vending.operators.model import AuthenticatorKind
from vending.operators.rules import FREE_FAILURES
from vending.operators.service.desk import SignInDesk
from vending.operators.service.factors import (
    begin_totp,
    count_own_recovery_codes,
    finish_totp,
    list_own_authenticators,
    remove_authenticator,
    renew_recovery_codes,
)
from vending.operators.service.own_password import change_password
from vending.operators.service.sessions import authenticate, sign_out_elsewhere
from vending.operators.service.sign_in import begin_sign_in, finish_sign_in
from vending.operators.tables import operator_authenticators

NEW = "harbour violet 8 tin"


def add_app(person: Person, label: str = "second phone") -> CodeApp:
    ticket, enrolment = begin_totp(person.desk, person.signed_in, label=label)
    app = CodeApp(enrolment.secret, person.clock)
    finish_totp(person.desk, person.signed_in, ticket, app.code())
    return app


# --- apps ----------------------------------------------------------------------------------------
def test_second_app_works_beside_the_first(amina: Person) -> None:
    second = add_app(amina)
    amina.sign_in()
    finish_sign_in(amina.desk, amina.begin(), second.code(steps_away=1), HERE)
    with amina.desk.database.read() as connection:
        held = list_own_authenticators(connection, amina.signed_in)
    assert [(each.kind, each.label) for each in held] == [
        (AuthenticatorKind.TOTP, "authenticator app"),
        (AuthenticatorKind.TOTP, "second phone"),
    ]


def test_app_that_is_taken_away_signs_in_no_more(amina: Person) -> None:
    add_app(amina)
    with amina.desk.database.read() as connection:
        first, second = list_own_authenticators(connection, amina.signed_in)
    remove_authenticator(amina.desk, amina.signed_in, first.id)
    ticket = amina.begin()
    with pytest.raises(SignInRefusedError):
        finish_sign_in(amina.desk, ticket, amina.fresh_code(), HERE)
    with pytest.raises(AuthenticatorNotFoundError):
        remove_authenticator(amina.desk, amina.signed_in, first.id)
    with pytest.raises(LastAuthenticatorError):
        remove_authenticator(amina.desk, amina.signed_in, second.id)


def test_authenticator_of_another_operator_is_not_there(desk: SignInDesk) -> None:
    amina, brian = activate(desk, "amina"), activate(desk, "brian")
    add_app(brian)
    with desk.database.read() as connection:
        first, _ = list_own_authenticators(connection, brian.signed_in)
    with pytest.raises(AuthenticatorNotFoundError):
        remove_authenticator(desk, amina.signed_in, first.id)


def test_enrolment_of_another_operator_cannot_be_finished(desk: SignInDesk) -> None:
    amina, brian = activate(desk, "amina"), activate(desk, "brian")
    ticket, enrolment = begin_totp(desk, amina.signed_in, label="phone")
    code = CodeApp(enrolment.secret, amina.clock).code()
    with pytest.raises(ChallengeRefusedError):
        finish_totp(desk, brian.signed_in, ticket, code)
    finish_totp(desk, amina.signed_in, ticket, code)


def test_app_with_a_wrong_first_code_is_not_added(amina: Person) -> None:
    ticket, _ = begin_totp(amina.desk, amina.signed_in, label="phone")
    with pytest.raises(CodeRefusedError):
        finish_totp(amina.desk, amina.signed_in, ticket, "000000")
    with amina.desk.database.read() as connection:
        assert len(list_own_authenticators(connection, amina.signed_in)) == 1


@pytest.mark.parametrize("label", ["", " x", "x" * 61, "a\nb", "\x1b[2J"])
def test_label_outside_its_limits_is_refused(sqlite_amina: Person, label: str) -> None:
    with pytest.raises(OperatorInvalidError):
        add_app(sqlite_amina, label)


def test_factors_change_only_with_a_fresh_second_factor(amina: Person) -> None:
    by = amina.signed_in
    amina.clock.advance(FRESHNESS)
    for act in (
        lambda: begin_totp(amina.desk, by, label="phone"),
        lambda: remove_authenticator(amina.desk, by, by.session_id),
        lambda: renew_recovery_codes(amina.desk, by),
        lambda: change_password(amina.desk, by, PASSWORD, NEW),
    ):
        with pytest.raises(SecondFactorStaleError):
            act()


# --- recovery codes ------------------------------------------------------------------------------
def test_renewed_recovery_codes_replace_those_of_before(amina: Person) -> None:
    old = amina.activated.recovery_codes
    finish_sign_in(amina.desk, amina.begin(), old[0], HERE)
    with amina.desk.database.read() as connection:
        assert count_own_recovery_codes(connection, amina.signed_in) == 9
    fresh = renew_recovery_codes(amina.desk, amina.signed_in)
    with amina.desk.database.read() as connection:
        assert count_own_recovery_codes(connection, amina.signed_in) == 10
    ticket = amina.begin()
    with pytest.raises(SignInRefusedError):
        finish_sign_in(amina.desk, ticket, old[1], HERE)
    finish_sign_in(amina.desk, ticket, fresh[1], HERE)


# --- password ------------------------------------------------------------------------------------
def test_changed_password_replaces_the_old_and_ends_other_sessions(amina: Person) -> None:
    other = amina.sign_in().opened.token
    change_password(amina.desk, amina.signed_in, PASSWORD, NEW)
    with pytest.raises(SignInRequiredError):
        authenticate(amina.desk.database, other, clock=amina.clock)
    authenticate(amina.desk.database, amina.activated.signed_in.opened.token, clock=amina.clock)
    with pytest.raises(SignInRefusedError):
        begin_sign_in(amina.desk, "amina", PASSWORD, HERE)
    begin_sign_in(amina.desk, "amina", NEW, HERE)


def test_changed_password_ends_what_began_with_the_old_one(amina: Person) -> None:
    ticket = amina.begin()
    change_password(amina.desk, amina.signed_in, PASSWORD, NEW)
    with pytest.raises(ChallengeRefusedError):
        finish_sign_in(amina.desk, ticket, amina.fresh_code(), HERE)


def test_signing_out_elsewhere_ends_what_has_begun_there(amina: Person) -> None:
    ticket = amina.begin()
    sign_out_elsewhere(amina.desk.database, amina.signed_in, clock=amina.clock)
    with pytest.raises(ChallengeRefusedError):
        finish_sign_in(amina.desk, ticket, amina.fresh_code(), HERE)


def test_password_changes_only_with_the_present_one(amina: Person) -> None:
    for _ in range(FREE_FAILURES):
        with pytest.raises(CodeRefusedError):
            change_password(amina.desk, amina.signed_in, "something else 12", NEW)
    with pytest.raises(TooManyAttemptsError):
        change_password(amina.desk, amina.signed_in, PASSWORD, NEW)
    begin_sign_in(amina.desk, "amina", PASSWORD, HERE)


@pytest.mark.parametrize("new", ["short", "password1234", "amina amina amina", "Office meters 1"])
def test_bad_password_is_not_taken(amina: Person, new: str) -> None:
    with pytest.raises(PasswordRefusedError):
        change_password(amina.desk, amina.signed_in, PASSWORD, new)


def test_composed_and_decomposed_letters_are_one_password(desk: SignInDesk) -> None:
    amina = activate(desk, "amina", password="Bru\u0308cke u\u0308ber Flu\u0308sse")
    begin_sign_in(desk, amina.name, "Br\u00fccke \u00fcber Fl\u00fcsse", HERE)


# --- another root key ----------------------------------------------------------------------------
def test_step_sealed_under_another_root_key_leads_nowhere(amina: Person) -> None:
    ticket, code = amina.begin(), amina.fresh_code()
    other = Keyring.generate().sealer(Purpose.OPERATOR_SECRETS)
    with pytest.raises(ChallengeRefusedError):
        finish_sign_in(replace(amina.desk, sealer=lambda: other), ticket, code, HERE)


def test_secret_moved_to_another_operator_opens_nothing(desk: SignInDesk) -> None:
    amina, brian = activate(desk, "amina"), activate(desk, "brian")
    columns = operator_authenticators.c
    with desk.database.unit_of_work() as uow:
        stolen = uow.connection.scalar(
            select(columns.sealed_secret).where(columns.operator_id == brian.signed_in.operator_id)
        )
        uow.connection.execute(
            update(operator_authenticators)
            .where(columns.operator_id == amina.signed_in.operator_id)
            .values(sealed_secret=stolen)
        )
        uow.commit()
    ticket = amina.begin()
    with pytest.raises(SealBrokenError):
        finish_sign_in(desk, ticket, brian.fresh_code(), HERE)

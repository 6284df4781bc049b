"""Accounts on both databases: taken on, locked, invited anew; nobody takes one over alone."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from tests.support.authenticators import CodeApp
from tests.support.people import LONG, operator_named, session_token_for, sign_in_as
from tests.support.sign_in import HERE
from vending.operators.errors import (
    AdministratorsExistError,
    CustodiansWantedError,
    OperatorInvalidError,
    OperatorNameTakenError,
    OperatorNotFoundError,
    OperatorStateError,
    OwnAccountError,
    PermissionDeniedError,
    SecondFactorStaleError,
    SignInRequiredError,
)
from vending.operators.model import NewOperator, Operator, OperatorState, SessionLimits
from vending.operators.permissions import Permission, Role, permissions_of
from vending.operators.repository import accounts
from vending.operators.service.accounts import (
    ACTIVATION_LIFETIME,
    create_first_administrators,
    create_operator,
    list_operators,
    load_operator,
    load_operator_by_name,
    lock,
    reset_sign_in,
    unlock,
)
from vending.operators.service.activation import begin_activation, finish_activation
from vending.operators.service.desk import SignInDesk
from vending.operators.service.sessions import authenticate, to_signed_in
from vending.operators.tables import operators
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.values.actor import Actor, ActorKind
from vending.values.clock import FixedClock
from vending.values.identifiers import OperatorId, new_uuid7

HOST = Actor(ActorKind.HOST, "root")
AMINA = NewOperator("amina", "Amina Wanjiru")
BRIAN = NewOperator("brian", "Brian Otieno")
CAROL = NewOperator("carol", "Carol Njeri")


def reload(database: Database, operator_id: OperatorId) -> Operator:
    with database.read() as connection:
        return load_operator(connection, operator_id)


def actions(database: Database) -> list[str]:
    with database.read() as connection:
        return [row.action for row in connection.execute(audit_events.select())]


# --- taken on ------------------------------------------------------------------------------------
def test_new_operator_has_no_role_and_waits(database: Database, fixed_clock: FixedClock) -> None:
    admin = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR)
    invitation = create_operator(database, admin, AMINA, clock=fixed_clock)
    operator = reload(database, invitation.operator.id)
    assert (operator.name, operator.person) == ("amina", "Amina Wanjiru")
    assert (operator.state, operator.roles) == (OperatorState.INVITED, frozenset())
    assert invitation.ends_at == fixed_clock.now() + ACTIVATION_LIFETIME
    assert {"operator.created", "operator.invited"} <= set(actions(database))


def test_activation_code_is_stored_as_a_digest_alone(
    database: Database, fixed_clock: FixedClock
) -> None:
    admin = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR)
    invitation = create_operator(database, admin, AMINA, clock=fixed_clock)
    with database.read() as connection:
        stored = str(connection.execute(operators.select()).all())
        audited = str(connection.execute(audit_events.select()).all())
    for secret in (invitation.code, invitation.code.replace("-", "")):
        assert secret not in stored + audited + repr(invitation)


@pytest.mark.parametrize(
    "role",
    [role for role in Role if Permission.OPERATORS_WRITE not in permissions_of(frozenset({role}))],
)
def test_only_administrators_take_people_on(
    sqlite_database: Database, fixed_clock: FixedClock, role: Role
) -> None:
    by = sign_in_as(sqlite_database, fixed_clock, role)
    with pytest.raises(PermissionDeniedError):
        create_operator(sqlite_database, by, AMINA, clock=fixed_clock)


def test_taking_on_asks_for_a_fresh_second_factor(
    database: Database, fixed_clock: FixedClock
) -> None:
    limits = SessionLimits(LONG.idle, LONG.lifetime, timedelta(minutes=10))
    admin = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR, limits=limits)
    victim = operator_named(database, fixed_clock, "victim")
    fixed_clock.advance(timedelta(minutes=10))
    with pytest.raises(SecondFactorStaleError):
        create_operator(database, admin, AMINA, clock=fixed_clock)
    with pytest.raises(SecondFactorStaleError):
        reset_sign_in(database, admin, victim.id, clock=fixed_clock)
    lock(database, admin, victim.id, clock=fixed_clock)
    with pytest.raises(SecondFactorStaleError):
        unlock(database, admin, victim.id, clock=fixed_clock)


def test_name_is_given_once(database: Database, fixed_clock: FixedClock) -> None:
    admin = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR)
    create_operator(database, admin, AMINA, clock=fixed_clock)
    with pytest.raises(OperatorNameTakenError):
        create_operator(database, admin, NewOperator("amina", "Another"), clock=fixed_clock)


@pytest.mark.parametrize(
    "name", ["", "a", "Amina", "1amina", "a" * 65, "amina w", "amina\n", "ämina"]
)
def test_name_outside_its_limits_is_refused(
    sqlite_database: Database, fixed_clock: FixedClock, name: str
) -> None:
    admin = sign_in_as(sqlite_database, fixed_clock, Role.ADMINISTRATOR)
    with pytest.raises(OperatorInvalidError):
        create_operator(sqlite_database, admin, NewOperator(name, "A"), clock=fixed_clock)


@pytest.mark.parametrize("person", ["", " A", "A ", "A\x1b[31m", "A" * 121, "A\nB"])
def test_person_outside_its_limits_is_refused(
    sqlite_database: Database, fixed_clock: FixedClock, person: str
) -> None:
    admin = sign_in_as(sqlite_database, fixed_clock, Role.ADMINISTRATOR)
    with pytest.raises(OperatorInvalidError):
        create_operator(sqlite_database, admin, NewOperator("amina", person), clock=fixed_clock)


def test_operators_are_found_and_listed_by_name(
    database: Database, fixed_clock: FixedClock
) -> None:
    for name in ("carol", "amina", "brian"):
        operator_named(database, fixed_clock, name, [Role.AUDITOR])
    with database.read() as connection:
        assert [each.name for each in list_operators(connection)] == ["amina", "brian", "carol"]
        after = list_operators(connection, after="amina", limit=1)
        assert [(each.name, each.roles) for each in after] == [("brian", frozenset({Role.AUDITOR}))]
        assert load_operator_by_name(connection, "carol").name == "carol"
        with pytest.raises(OperatorNotFoundError):
            load_operator_by_name(connection, "dora")
        with pytest.raises(OperatorNotFoundError):
            load_operator(connection, OperatorId(new_uuid7(fixed_clock)))


# --- the first administrators --------------------------------------------------------------------
def test_first_two_administrators_are_invited(database: Database, fixed_clock: FixedClock) -> None:
    invitations = create_first_administrators(database, [AMINA, BRIAN], by=HOST, clock=fixed_clock)
    assert [each.operator.roles for each in invitations] == [frozenset({Role.ADMINISTRATOR})] * 2
    assert {each.operator.state for each in invitations} == {OperatorState.INVITED}
    assert len({each.code for each in invitations}) == 2


@pytest.mark.parametrize(
    "people",
    [
        [],
        [AMINA],
        [AMINA, BRIAN, CAROL],
        [AMINA, NewOperator("amina2", "amina  WANJIRU")],
        [AMINA, NewOperator("amina2", "\uff21mina Wanjiru")],
    ],
)
def test_first_administrators_are_two_people(
    sqlite_database: Database, fixed_clock: FixedClock, people: list[NewOperator]
) -> None:
    with pytest.raises(OperatorInvalidError):
        create_first_administrators(sqlite_database, people, by=HOST, clock=fixed_clock)
    with sqlite_database.read() as connection:
        assert list_operators(connection) == []


def test_first_administrators_can_be_invited_again_until_they_came(
    database: Database, fixed_clock: FixedClock
) -> None:
    create_first_administrators(database, [AMINA, BRIAN], by=HOST, clock=fixed_clock)
    again = create_first_administrators(database, [AMINA, CAROL], by=HOST, clock=fixed_clock)
    assert [each.operator.name for each in again] == ["amina", "carol"]
    with database.read() as connection:
        assert load_operator_by_name(connection, "brian").roles == frozenset()


def test_two_active_administrators_end_it(database: Database, fixed_clock: FixedClock) -> None:
    for name in ("amina", "brian"):
        operator_named(database, fixed_clock, name, [Role.ADMINISTRATOR])
    with pytest.raises(AdministratorsExistError):
        create_first_administrators(database, [CAROL], by=HOST, clock=fixed_clock)


def test_second_administrator_is_replaced_when_one_is_left(
    database: Database, fixed_clock: FixedClock
) -> None:
    operator_named(database, fixed_clock, "amina", [Role.ADMINISTRATOR], person=AMINA.person)
    (invitation,) = create_first_administrators(database, [BRIAN], by=HOST, clock=fixed_clock)
    assert invitation.operator.name == "brian"
    with pytest.raises(OperatorInvalidError):
        create_first_administrators(
            database, [NewOperator("amina2", AMINA.person)], by=HOST, clock=fixed_clock
        )


def test_administrator_with_the_machine_is_not_two(
    sqlite_desk: SignInDesk, fixed_clock: FixedClock
) -> None:
    """Else one locks or resets the other, and makes the machine appoint a second self."""
    database = sqlite_desk.database
    invited = create_first_administrators(database, [AMINA, BRIAN], by=HOST, clock=fixed_clock)
    again = create_first_administrators(database, [AMINA, BRIAN], by=HOST, clock=fixed_clock)
    assert len(again) == len(invited)
    people = []
    for each in again:
        begun = begin_activation(sqlite_desk, each.code, "lamp river cedar 71", HERE)
        code = CodeApp(begun.enrolment.secret, fixed_clock).code()
        people.append(finish_activation(sqlite_desk, begun.ticket, code, HERE).signed_in)
    amina, brian = (to_signed_in(one.operator, one.opened.session) for one in people)

    lock(database, amina, brian.operator_id, clock=fixed_clock)
    with pytest.raises(CustodiansWantedError):
        create_first_administrators(database, [CAROL], by=HOST, clock=fixed_clock)
    unlock(database, amina, brian.operator_id, clock=fixed_clock)
    reset_sign_in(database, amina, brian.operator_id, clock=fixed_clock)
    with pytest.raises(CustodiansWantedError):
        create_first_administrators(database, [CAROL], by=HOST, clock=fixed_clock)
    (seen,) = create_first_administrators(
        database, [CAROL], by=HOST, clock=fixed_clock, witnessed=True
    )
    assert seen.operator.roles == {Role.ADMINISTRATOR}


def test_active_account_is_not_appointed_from_the_machine(
    database: Database, fixed_clock: FixedClock
) -> None:
    operator_named(database, fixed_clock, "amina", [Role.CASHIER], person=AMINA.person)
    with pytest.raises(OperatorStateError):
        create_first_administrators(database, [AMINA, BRIAN], by=HOST, clock=fixed_clock)


def test_account_of_another_person_is_not_appointed(
    database: Database, fixed_clock: FixedClock
) -> None:
    operator_named(
        database, fixed_clock, "amina", person="Someone Else", state=OperatorState.INVITED
    )
    with pytest.raises(OperatorStateError):
        create_first_administrators(database, [AMINA, BRIAN], by=HOST, clock=fixed_clock)


# --- locked and reset ----------------------------------------------------------------------------
def test_locking_ends_the_sessions(database: Database, fixed_clock: FixedClock) -> None:
    admin = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR)
    token = session_token_for(database, fixed_clock, Role.CASHIER, name="amina")
    operator = operator_named(database, fixed_clock, "amina")
    assert lock(database, admin, operator.id, clock=fixed_clock).state is OperatorState.LOCKED
    assert lock(database, admin, operator.id, clock=fixed_clock).state is OperatorState.LOCKED
    with pytest.raises(SignInRequiredError):
        authenticate(database, token, clock=fixed_clock)


@pytest.mark.parametrize("has_password", [True, False])
def test_unlocking_gives_back_the_state_of_before(
    database: Database, fixed_clock: FixedClock, *, has_password: bool
) -> None:
    admin = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR)
    operator = operator_named(database, fixed_clock, "amina", state=OperatorState.INVITED)
    if has_password:
        with database.unit_of_work() as uow:
            accounts.update_password_hash(uow.connection, operator.id, "$argon2id$...")
            uow.commit()
    lock(database, admin, operator.id, clock=fixed_clock)
    unlocked = unlock(database, admin, operator.id, clock=fixed_clock)
    assert unlocked.state is (OperatorState.ACTIVE if has_password else OperatorState.INVITED)
    with pytest.raises(OperatorStateError):
        unlock(database, admin, operator.id, clock=fixed_clock)


def test_reset_takes_the_roles_away(database: Database, fixed_clock: FixedClock) -> None:
    admin = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR)
    token = session_token_for(database, fixed_clock, Role.KEY_CUSTODIAN, name="amina")
    operator = operator_named(database, fixed_clock, "amina")
    invitation = reset_sign_in(database, admin, operator.id, clock=fixed_clock)
    assert invitation.operator.roles == frozenset()
    assert invitation.operator.state is OperatorState.INVITED
    with pytest.raises(SignInRequiredError):
        authenticate(database, token, clock=fixed_clock)
    assert "operator.roles-changed" in actions(database)


def test_locked_account_is_not_reset(database: Database, fixed_clock: FixedClock) -> None:
    admin = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR)
    operator = operator_named(database, fixed_clock, "amina", state=OperatorState.LOCKED)
    with pytest.raises(OperatorStateError):
        reset_sign_in(database, admin, operator.id, clock=fixed_clock)


def test_nobody_locks_unlocks_or_resets_themselves(
    database: Database, fixed_clock: FixedClock
) -> None:
    admin = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR)
    for act in (lock, unlock, reset_sign_in):
        with pytest.raises(OwnAccountError):
            act(database, admin, admin.operator_id, clock=fixed_clock)


@pytest.mark.parametrize("act", [lock, unlock, reset_sign_in])
def test_others_lock_and_reset_nobody(
    sqlite_database: Database, fixed_clock: FixedClock, act: object
) -> None:
    by = sign_in_as(sqlite_database, fixed_clock, Role.AUDITOR)
    operator = operator_named(sqlite_database, fixed_clock, "amina")
    assert callable(act)
    with pytest.raises(PermissionDeniedError):
        act(sqlite_database, by, operator.id, clock=fixed_clock)


@pytest.mark.parametrize("act", [lock, unlock, reset_sign_in])
def test_unknown_account_is_not_there(
    sqlite_database: Database, fixed_clock: FixedClock, act: object
) -> None:
    admin = sign_in_as(sqlite_database, fixed_clock, Role.ADMINISTRATOR)
    assert callable(act)
    with pytest.raises(OperatorNotFoundError):
        act(sqlite_database, admin, OperatorId(new_uuid7(fixed_clock)), clock=fixed_clock)


# --- the wall in the database --------------------------------------------------------------------
def test_account_keeps_its_person_and_is_never_deleted(
    database: Database, fixed_clock: FixedClock
) -> None:
    operator_named(database, fixed_clock, "amina")
    for statement in (
        update(operators).values(person="Someone Else"),
        update(operators).values(person_key="someone else"),
        update(operators).values(name="brian"),
        delete(operators),
    ):
        with database.unit_of_work() as uow, pytest.raises(IntegrityError, match="append_only"):
            uow.connection.execute(statement)

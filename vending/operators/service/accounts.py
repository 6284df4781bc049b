"""Accounts: taken on, locked, unlocked, invited anew; their roles.

Nobody takes over an account alone. An activation code opens an account, and whoever makes one
sees it; so a reset takes away the roles of the account, and roles come by approval (two people).
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from vending.operators import one_time_codes
from vending.operators.errors import (
    AdministratorsExistError,
    CustodiansWantedError,
    OperatorInvalidError,
    OperatorNameTakenError,
    OperatorNotFoundError,
    OperatorStateError,
    OwnAccountError,
)
from vending.operators.model import (
    Invitation,
    NewOperator,
    Operator,
    OperatorState,
    SignedIn,
    person_key,
)
from vending.operators.permissions import Permission, Role
from vending.operators.repository import accounts, authenticators
from vending.operators.rules import compute_digest
from vending.operators.service.sessions import end_sessions
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import OperatorId, new_uuid7

OPERATOR_COUNT_MAX: Final = 1_000
"""Of one list; a longer one is asked for in parts."""
ACTIVATION_LIFETIME: Final = timedelta(hours=24)
FIRST_ADMINISTRATORS: Final = 2


def load_operator(connection: Connection, operator_id: OperatorId) -> Operator:
    """Return one operator.

    Raises:
        OperatorNotFoundError: There is none with this id.
    """
    operator = accounts.find_operator(connection, operator_id)
    if operator is None:
        raise OperatorNotFoundError(str(operator_id))
    return operator


def load_operator_for_change(connection: Connection, operator_id: OperatorId) -> Operator:
    """Return one operator, kept from others until the transaction ends.

    Raises:
        OperatorNotFoundError: There is none with this id.
    """
    operator = accounts.lock_operator(connection, operator_id)
    if operator is None:
        raise OperatorNotFoundError(str(operator_id))
    return operator


def load_operator_by_name(connection: Connection, name: str) -> Operator:
    """Return one operator.

    Raises:
        OperatorNotFoundError: There is none of this name.
    """
    operator = accounts.find_operator_by_name(connection, name)
    if operator is None:
        raise OperatorNotFoundError(name)
    return operator


def list_operators(
    connection: Connection, *, after: str | None = None, limit: int = OPERATOR_COUNT_MAX
) -> list[Operator]:
    """Return operators in the order of their names, those that come after a name."""
    assert 1 <= limit <= OPERATOR_COUNT_MAX, "a list is bounded"
    return accounts.list_operators(connection, after=after, limit=limit)


def create_operator(
    database: Database, by: SignedIn, new: NewOperator, *, clock: Clock
) -> Invitation:
    """Take on an operator, without a role; the code in the answer is shown once.

    Raises:
        PermissionDeniedError: None of the roles of `by` may.
        SecondFactorStaleError: `by` gave the second factor too long ago.
        OperatorInvalidError: Name or person is outside its limits.
        OperatorNameTakenError: Another operator has the name.
    """
    by.require(Permission.OPERATORS_WRITE)
    by.require_fresh(clock.now())
    with database.unit_of_work() as uow:
        operator = _insert(uow.connection, by.actor, new, frozenset(), clock)
        invitation = _invite(uow.connection, by.actor, operator, clock)
        uow.commit()
    return invitation


def create_first_administrators(
    database: Database,
    people: Sequence[NewOperator],
    *,
    by: Actor,
    clock: Clock,
    witnessed: bool = False,
) -> list[Invitation]:
    """Invite the first two administrators; the codes in the answer are shown once.

    They may be invited again, and one who never came be replaced, for as long as there are no two
    active administrators: without two, nobody can be given a role. Once two were, whoever has
    the machine does it no more unless `witnessed`: two custodians of backups have shown their keys.

    Raises:
        AdministratorsExistError: There are two already.
        CustodiansWantedError: There once were two, and no custodians are there to see it.
        OperatorInvalidError: A name or person is outside its limits, or both are one person's.
        OperatorStateError: One of the accounts is active or locked.
    """
    with database.unit_of_work() as uow:
        administrators = accounts.list_operators_with_role(uow.connection, Role.ADMINISTRATOR)
        _require_two_people(administrators, people)
        if were_two_administrators(uow.connection) and not witnessed:
            raise CustodiansWantedError
        names = {new.name for new in people}
        for operator in administrators:
            if operator.state is OperatorState.INVITED and operator.name not in names:
                roles = operator.roles - {Role.ADMINISTRATOR}
                set_roles(uow.connection, by, operator, roles, clock=clock)
        invitations = [_appoint(uow.connection, by, new, clock) for new in people]
        uow.commit()
    return invitations


def were_two_administrators(connection: Connection) -> bool:
    """Return whether two were at work here once, so that nobody is alone with the machine."""
    return accounts.count_once_administrators(connection) >= FIRST_ADMINISTRATORS


def lock(database: Database, by: SignedIn, operator_id: OperatorId, *, clock: Clock) -> Operator:
    """Lock an account and end its sessions; locking a locked one changes nothing.

    Raises:
        PermissionDeniedError: None of the roles of `by` may.
        OperatorNotFoundError: There is no such operator.
        OwnAccountError: It is the account of `by`.
    """
    by.require(Permission.OPERATORS_WRITE)
    with database.unit_of_work() as uow:
        operator = _load_other(uow.connection, by, operator_id)
        accounts.update_state(uow.connection, operator_id, OperatorState.LOCKED)
        end_sessions(uow.connection, by.actor, operator_id, clock=clock)
        record(uow.connection, [AuditEvent(by.actor, "operator.locked", operator.subject)], clock)
        locked = load_operator(uow.connection, operator_id)
        uow.commit()
    return locked


def unlock(database: Database, by: SignedIn, operator_id: OperatorId, *, clock: Clock) -> Operator:
    """Let a locked account sign in again, as it could before.

    Raises:
        PermissionDeniedError: None of the roles of `by` may.
        SecondFactorStaleError: `by` gave the second factor too long ago.
        OperatorNotFoundError: There is no such operator.
        OwnAccountError: It is the account of `by`.
        OperatorStateError: It is not locked.
    """
    by.require(Permission.OPERATORS_WRITE)
    by.require_fresh(clock.now())
    with database.unit_of_work() as uow:
        operator = _load_other(uow.connection, by, operator_id)
        if operator.state is not OperatorState.LOCKED:
            raise OperatorStateError(operator.name, operator.state.value)
        was_active = accounts.find_password_hash(uow.connection, operator_id) is not None
        state = OperatorState.ACTIVE if was_active else OperatorState.INVITED
        accounts.update_state(uow.connection, operator_id, state)
        record(uow.connection, [AuditEvent(by.actor, "operator.unlocked", operator.subject)], clock)
        unlocked = load_operator(uow.connection, operator_id)
        uow.commit()
    return unlocked


def reset_sign_in(
    database: Database, by: SignedIn, operator_id: OperatorId, *, clock: Clock
) -> Invitation:
    """Take away password, second factors, recovery codes, sessions and roles; invite anew.

    Raises:
        PermissionDeniedError: None of the roles of `by` may.
        SecondFactorStaleError: `by` gave the second factor too long ago.
        OperatorNotFoundError: There is no such operator.
        OwnAccountError: It is the account of `by`.
        OperatorStateError: It is locked.
    """
    by.require(Permission.OPERATORS_WRITE)
    by.require_fresh(clock.now())
    with database.unit_of_work() as uow:
        operator = _load_other(uow.connection, by, operator_id)
        if operator.state is OperatorState.LOCKED:
            raise OperatorStateError(operator.name, operator.state.value)
        connection = uow.connection
        accounts.update_password_hash(connection, operator_id, None)
        accounts.update_openid(connection, operator_id, None, None)
        authenticators.revoke_all(connection, operator_id, at=clock.now())
        end_sessions(connection, by.actor, operator_id, clock=clock)
        record(connection, [AuditEvent(by.actor, "operator.reset", operator.subject)], clock)
        set_roles(connection, by.actor, operator, frozenset(), clock=clock)
        invitation = _invite(connection, by.actor, operator, clock)
        uow.commit()
    return invitation


def set_roles(
    connection: Connection,
    by: Actor,
    operator: Operator,
    roles: frozenset[Role],
    *,
    clock: Clock,
) -> None:
    """Give an operator exactly these roles; whoever calls has seen that two people want it."""
    granted, taken = roles - operator.roles, operator.roles - roles
    if not granted | taken:
        return
    accounts.delete_roles(connection, operator.id, taken)
    accounts.insert_roles(connection, operator.id, granted, at=clock.now())
    details = {
        "granted": " ".join(sorted(role.value for role in granted)),
        "taken": " ".join(sorted(role.value for role in taken)),
    }
    record(connection, [AuditEvent(by, "operator.roles-changed", operator.subject, details)], clock)


def _load_other(connection: Connection, by: SignedIn, operator_id: OperatorId) -> Operator:
    operator = load_operator_for_change(connection, operator_id)
    if operator.id == by.operator_id:
        raise OwnAccountError
    return operator


def _insert(
    connection: Connection, by: Actor, new: NewOperator, roles: frozenset[Role], clock: Clock
) -> Operator:
    operator = Operator(
        id=OperatorId(new_uuid7(clock)),
        name=new.name,
        person=new.person,
        state=OperatorState.INVITED,
        roles=roles,
        created_at=clock.now(),
    )
    if not accounts.insert_operator(connection, operator):
        raise OperatorNameTakenError(new.name)
    details = {"roles": " ".join(sorted(role.value for role in roles))}
    record(connection, [AuditEvent(by, "operator.created", operator.subject, details)], clock)
    return operator


def _invite(connection: Connection, by: Actor, operator: Operator, clock: Clock) -> Invitation:
    code = one_time_codes.make_code()
    ends_at = clock.now() + ACTIVATION_LIFETIME
    digest = compute_digest(one_time_codes.parse_code(code))
    accounts.update_state(connection, operator.id, OperatorState.INVITED)
    accounts.update_activation(connection, operator.id, digest, ends_at)
    record(connection, [AuditEvent(by, "operator.invited", operator.subject)], clock)
    return Invitation(load_operator(connection, operator.id), code, ends_at)


def _require_two_people(administrators: Sequence[Operator], people: Sequence[NewOperator]) -> None:
    """Go on only where the active administrators and these are two different people.

    Raises:
        AdministratorsExistError: Two are active.
        OperatorInvalidError: They are not two different people.
    """
    active = [operator.person for operator in administrators if operator.is_active]
    if len(active) >= FIRST_ADMINISTRATORS:
        raise AdministratorsExistError
    persons = [person_key(person) for person in [*active, *(new.person for new in people)]]
    if not people or len(persons) != FIRST_ADMINISTRATORS or len({*persons}) != len(persons):
        raise OperatorInvalidError(
            field="people", wanted="two administrators, who are two different people"
        )


def _appoint(connection: Connection, by: Actor, new: NewOperator, clock: Clock) -> Invitation:
    found = accounts.find_operator_by_name(connection, new.name)
    if found is None:
        roles = frozenset({Role.ADMINISTRATOR})
        return _invite(connection, by, _insert(connection, by, new, roles, clock), clock)
    if found.state is not OperatorState.INVITED or person_key(found.person) != person_key(
        new.person
    ):
        raise OperatorStateError(found.name, found.state.value)
    set_roles(connection, by, found, found.roles | {Role.ADMINISTRATOR}, clock=clock)
    return _invite(connection, by, found, clock)

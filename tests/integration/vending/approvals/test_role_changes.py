"""Roles change when one person asks and another approves, and in no other way."""

import pytest

from tests.support.people import operator_named, sign_in_as
from vending.approvals.errors import ApprovalMismatchError, ApprovalOwnError, ApprovalStateError
from vending.approvals.model import Decision
from vending.approvals.role_changes import change_roles, propose_roles
from vending.approvals.service import decide
from vending.operators.errors import (
    OperatorNotFoundError,
    OperatorStateError,
    PermissionDeniedError,
    SecondFactorStaleError,
)
from vending.operators.model import OperatorState, SessionLimits, SignedIn
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.values.clock import FixedClock
from vending.values.identifiers import ApprovalId, OperatorId, new_uuid7

WANTED = frozenset({Role.FINANCE, Role.AUDITOR})


@pytest.fixture
def asker(database: Database, fixed_clock: FixedClock) -> SignedIn:
    return sign_in_as(database, fixed_clock, Role.ADMINISTRATOR, name="asker")


@pytest.fixture
def other(database: Database, fixed_clock: FixedClock) -> SignedIn:
    return sign_in_as(database, fixed_clock, Role.ADMINISTRATOR, name="other")


def approve(database: Database, clock: FixedClock, by: SignedIn, approval_id: ApprovalId) -> None:
    with database.unit_of_work() as uow:
        decision = Decision(approve=True)
        decide(uow.connection, by, approval_id, decision, clock=clock)
        uow.commit()


def test_two_administrators_give_a_role(
    database: Database, fixed_clock: FixedClock, asker: SignedIn, other: SignedIn
) -> None:
    target = operator_named(database, fixed_clock, "amina", [Role.CASHIER])
    asked = propose_roles(
        database, asker, target.id, WANTED, reason="moves to finance", clock=fixed_clock
    )
    approve(database, fixed_clock, other, asked.id)
    changed = change_roles(
        database, asker, target.id, WANTED, approval_id=asked.id, clock=fixed_clock
    )
    assert changed.roles == WANTED


def test_one_administrator_gives_none(
    database: Database, fixed_clock: FixedClock, asker: SignedIn
) -> None:
    target = operator_named(database, fixed_clock, "amina")
    asked = propose_roles(database, asker, target.id, WANTED, reason="alone", clock=fixed_clock)
    with pytest.raises(ApprovalStateError):
        change_roles(database, asker, target.id, WANTED, approval_id=asked.id, clock=fixed_clock)
    with pytest.raises(ApprovalOwnError):
        approve(database, fixed_clock, asker, asked.id)
    second = sign_in_as(
        database, fixed_clock, Role.ADMINISTRATOR, name="asker2", person=asker.person.upper()
    )
    with pytest.raises(ApprovalOwnError):
        approve(database, fixed_clock, second, asked.id)


def test_approval_of_roles_that_changed_since_is_refused(
    database: Database, fixed_clock: FixedClock, asker: SignedIn, other: SignedIn
) -> None:
    target = operator_named(database, fixed_clock, "amina", [Role.CASHIER])
    first, second = (
        propose_roles(database, asker, target.id, roles, reason="moves", clock=fixed_clock)
        for roles in (WANTED, frozenset({Role.ENGINEER}))
    )
    for asked in (first, second):
        approve(database, fixed_clock, other, asked.id)
    change_roles(database, asker, target.id, WANTED, approval_id=first.id, clock=fixed_clock)
    with pytest.raises(ApprovalMismatchError):
        change_roles(
            database,
            asker,
            target.id,
            frozenset({Role.ENGINEER}),
            approval_id=second.id,
            clock=fixed_clock,
        )


def test_other_roles_than_approved_are_refused(
    database: Database, fixed_clock: FixedClock, asker: SignedIn, other: SignedIn
) -> None:
    target = operator_named(database, fixed_clock, "amina")
    asked = propose_roles(database, asker, target.id, WANTED, reason="moves", clock=fixed_clock)
    approve(database, fixed_clock, other, asked.id)
    more = WANTED | {Role.KEY_CUSTODIAN}
    with pytest.raises(ApprovalMismatchError):
        change_roles(database, asker, target.id, more, approval_id=asked.id, clock=fixed_clock)


@pytest.mark.parametrize("state", [OperatorState.INVITED, OperatorState.LOCKED])
def test_account_that_nobody_holds_gets_no_role(
    database: Database, fixed_clock: FixedClock, asker: SignedIn, state: OperatorState
) -> None:
    target = operator_named(database, fixed_clock, "amina", [Role.CASHIER], state=state)
    with pytest.raises(OperatorStateError):
        propose_roles(database, asker, target.id, WANTED, reason="early", clock=fixed_clock)
    propose_roles(database, asker, target.id, frozenset(), reason="leaves", clock=fixed_clock)


def test_asking_takes_the_permission_and_a_fresh_second_factor(
    database: Database, fixed_clock: FixedClock
) -> None:
    target = operator_named(database, fixed_clock, "amina")
    auditor = sign_in_as(database, fixed_clock, Role.AUDITOR)
    with pytest.raises(PermissionDeniedError):
        propose_roles(database, auditor, target.id, WANTED, reason="why", clock=fixed_clock)
    limits = SessionLimits()
    stale = sign_in_as(database, fixed_clock, Role.ADMINISTRATOR, limits=limits)
    fixed_clock.advance(limits.freshness)
    with pytest.raises(SecondFactorStaleError):
        propose_roles(database, stale, target.id, WANTED, reason="why", clock=fixed_clock)


def test_unknown_operator_gets_none(
    database: Database, fixed_clock: FixedClock, asker: SignedIn
) -> None:
    nobody = OperatorId(new_uuid7(fixed_clock))
    with pytest.raises(OperatorNotFoundError):
        propose_roles(database, asker, nobody, WANTED, reason="why", clock=fixed_clock)

"""Policies change when two people want it, and what holds at the end of an act decides it."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from tests.support.people import LONG, approve, operator_named, sign_in_as
from tests.support.policies import policies_of, set_policies
from vending.approvals.errors import (
    ApprovalMismatchError,
    ApprovalOwnError,
    ApprovalSameDeviceError,
    ApprovalStateError,
    ApprovalUsedError,
)
from vending.approvals.policy_changes import change_policy, propose_policy
from vending.approvals.role_changes import change_roles, propose_roles
from vending.operators.errors import PermissionDeniedError
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.policies.errors import PolicyChangedError, PolicyInvalidError
from vending.policies.model import PolicyName, PolicyVersion
from vending.policies.service import add_version, list_history, list_standings, load_standing
from vending.policies.tables import policy_versions
from vending.values.clock import FixedClock

LIMIT = PolicyName.REPLACEMENT_LIMIT_WH


@pytest.fixture
def asker(database: Database, fixed_clock: FixedClock) -> SignedIn:
    return sign_in_as(database, fixed_clock, Role.ADMINISTRATOR, name="asker")


@pytest.fixture
def other(database: Database, fixed_clock: FixedClock) -> SignedIn:
    return sign_in_as(database, fixed_clock, Role.FINANCE, name="other")


def test_two_people_change_a_policy_from_now_on(
    database: Database, fixed_clock: FixedClock, asker: SignedIn, other: SignedIn
) -> None:
    asked = propose_policy(database, asker, LIMIT, 5_000, reason="queues", clock=fixed_clock)
    assert asked.act.payload == {"policy": LIMIT.value, "version": 0, "from": 0, "to": 5_000}
    assert policies_of(database).replacement_limit_wh == 0
    approve(database, fixed_clock, asked.id, other)
    assert policies_of(database).replacement_limit_wh == 0, "nobody has carried it out"
    made = change_policy(database, asker, LIMIT, 5_000, approval_id=asked.id, clock=fixed_clock)
    assert policies_of(database).replacement_limit_wh == 5_000
    with database.read() as connection:
        assert list_history(connection, LIMIT) == [made]
        assert load_standing(connection, LIMIT).version == 1
        (event,) = connection.execute(
            select(audit_events).where(audit_events.c.action == "policy.changed")
        ).all()
    assert (made.changed_by, made.approval_id) == (asker.operator_id, asked.id)
    assert event.subject == "policy:replacement-limit-wh"
    assert event.details == {
        "version": 1, "from": "0", "to": "5000", "approval": str(asked.id),
    }  # fmt: skip


def test_one_person_changes_none(
    database: Database, fixed_clock: FixedClock, asker: SignedIn
) -> None:
    asked = propose_policy(database, asker, LIMIT, 5_000, reason="alone", clock=fixed_clock)
    again = sign_in_as(
        database, fixed_clock, Role.FINANCE, name="again", person=asker.person.upper()
    )
    for account in (asker, again):
        with pytest.raises(ApprovalOwnError):
            approve(database, fixed_clock, asked.id, account)
    with pytest.raises(ApprovalStateError):
        change_policy(database, asker, LIMIT, 5_000, approval_id=asked.id, clock=fixed_clock)
    assert policies_of(database).replacement_limit_wh == 0


def test_tightening_takes_two_as_well(
    database: Database, fixed_clock: FixedClock, asker: SignedIn
) -> None:
    set_policies(database, fixed_clock, {LIMIT: 5_000})
    asked = propose_policy(database, asker, LIMIT, 0, reason="thefts", clock=fixed_clock)
    with pytest.raises(ApprovalStateError):
        change_policy(database, asker, LIMIT, 0, approval_id=asked.id, clock=fixed_clock)


def test_approval_is_for_one_value_from_one_value_once(
    database: Database, fixed_clock: FixedClock, asker: SignedIn, other: SignedIn
) -> None:
    first, second = (
        propose_policy(database, asker, LIMIT, value, reason="queues", clock=fixed_clock)
        for value in (5_000, 7_000)
    )
    for asked in (first, second):
        approve(database, fixed_clock, asked.id, other)
    with pytest.raises(ApprovalMismatchError):
        change_policy(database, asker, LIMIT, 6_000, approval_id=first.id, clock=fixed_clock)
    change_policy(database, asker, LIMIT, 5_000, approval_id=first.id, clock=fixed_clock)
    with pytest.raises(ApprovalMismatchError):
        change_policy(database, asker, LIMIT, 7_000, approval_id=second.id, clock=fixed_clock)
    with pytest.raises((ApprovalMismatchError, ApprovalUsedError)):
        change_policy(database, asker, LIMIT, 5_000, approval_id=first.id, clock=fixed_clock)
    set_policies(database, fixed_clock, {LIMIT: 0})
    with pytest.raises(ApprovalMismatchError):
        # The value is what it was, and somebody has changed it twice meanwhile.
        change_policy(database, asker, LIMIT, 7_000, approval_id=second.id, clock=fixed_clock)


@pytest.mark.parametrize("value", [-1, "much", None, {"KES": 1}])
def test_value_of_another_form_is_not_even_asked_for(
    database: Database, fixed_clock: FixedClock, asker: SignedIn, value: object
) -> None:
    with pytest.raises(PolicyInvalidError):
        propose_policy(database, asker, LIMIT, value, reason="x", clock=fixed_clock)


def test_who_may_not_ask_does_not(database: Database, fixed_clock: FixedClock) -> None:
    clerk = sign_in_as(database, fixed_clock, Role.CUSTOMER_SERVICE)
    with pytest.raises(PermissionDeniedError):
        propose_policy(database, clerk, LIMIT, 5_000, reason="mine", clock=fixed_clock)


def test_second_of_two_changes_at_once_is_refused(
    database: Database, fixed_clock: FixedClock, asker: SignedIn
) -> None:
    set_policies(database, fixed_clock, {LIMIT: 5_000})
    asked = propose_policy(database, asker, LIMIT, 6_000, reason="x", clock=fixed_clock)
    late = PolicyVersion(
        name=LIMIT,
        version=1,
        value=6_000,
        valid_from=fixed_clock.now(),
        changed_by=asker.operator_id,
        approval_id=asked.id,
    )
    with database.unit_of_work() as uow, pytest.raises(PolicyChangedError):
        add_version(uow.connection, late, 0, by=asker.actor, clock=fixed_clock)


def test_rows_are_never_changed_and_never_deleted(
    database: Database, fixed_clock: FixedClock
) -> None:
    set_policies(database, fixed_clock, {LIMIT: 5_000})
    for statement in (update(policy_versions).values(version=9), delete(policy_versions)):
        with pytest.raises(IntegrityError), database.unit_of_work() as uow:
            uow.connection.execute(statement)
    assert policies_of(database).replacement_limit_wh == 5_000


EVERY: Mapping[PolicyName, object] = {
    PolicyName.TIMEZONE: "Africa/Nairobi",
    PolicyName.REFUND_LIMIT_MINOR: {"KES": 100, "UGX": 5},
    PolicyName.DISCONNECTION_HOURS: "08:00-16:00",
    PolicyName.DISCONNECTION_HOLIDAYS: "2026-12-25",
    PolicyName.RETENTION_MONTHS: 36,
    PolicyName.CEILING_CREDIT_MINOR: {"KES": 10**12},
}


def test_every_kind_of_value_is_read_back_as_it_was_set(
    database: Database, fixed_clock: FixedClock
) -> None:
    set_policies(database, fixed_clock, EVERY)
    set_policies(database, fixed_clock, {PolicyName.RETENTION_MONTHS: None})
    with database.read() as connection:
        found = {one.name: one.value for one in list_standings(connection)}
        assert len(list_history(connection)) == len(EVERY) + 1
    assert {name: found[name] for name in EVERY} == {**EVERY, PolicyName.RETENTION_MONTHS: None}
    assert policies_of(database).timezone == "Africa/Nairobi"


def test_two_devices_count_from_the_policy_of_the_moment_the_act_is_done(
    database: Database, fixed_clock: FixedClock
) -> None:
    """Asked for and approved on one device, which was allowed; then policy got stricter."""
    asker, other = (
        sign_in_as(database, fixed_clock, Role.ADMINISTRATOR, name=name, device="one", limits=LONG)
        for name in ("asker", "other")
    )
    target = operator_named(database, fixed_clock, "amina")
    wanted = frozenset({Role.CASHIER})
    asked = propose_roles(database, asker, target.id, wanted, reason="new", clock=fixed_clock)
    approve(database, fixed_clock, asked.id, other)
    fixed_clock.advance(timedelta(minutes=1))
    set_policies(database, fixed_clock, {PolicyName.DISTINCT_DEVICES: True})
    with pytest.raises(ApprovalSameDeviceError):
        change_roles(database, asker, target.id, wanted, approval_id=asked.id, clock=fixed_clock)
    set_policies(database, fixed_clock, {PolicyName.DISTINCT_DEVICES: False})
    change_roles(database, asker, target.id, wanted, approval_id=asked.id, clock=fixed_clock)

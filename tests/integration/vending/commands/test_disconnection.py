"""Disconnections: by one person inside the rule, by two outside it; seen again before they go."""

from datetime import date, time, timedelta

import pytest

from tests.support.deliveries import Town
from tests.support.people import approve, sign_in_as
from tests.support.policies import set_policies
from vending.approvals.errors import ApprovalMismatchError
from vending.commands import service as commands
from vending.commands.errors import (
    CommandReasonError,
    DisconnectionHoursError,
    MeterUnreachableError,
)
from vending.commands.model import (
    Command,
    CommandKind,
    RelayOrder,
    TryOutcome,
    TryResult,
)
from vending.meters.model import Meter
from vending.operators.errors import PermissionDeniedError
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.policies.model import DisconnectionRule, PolicyName
from vending.values.identifiers import ApprovalId

MORNING = DisconnectionRule(
    timezone="Africa/Nairobi", start=time(8), until=time(12), weekdays=frozenset(range(4))
)
"""The tests begin on a Wednesday at 11:00 in Nairobi."""


@pytest.fixture
def collector(town: Town) -> SignedIn:
    return sign_in_as(town.database, town.clock, Role.COLLECTIONS, name="collector")


@pytest.fixture
def meter(town: Town) -> Meter:
    morning = {
        PolicyName.TIMEZONE: "Africa/Nairobi",
        PolicyName.DISCONNECTION_HOURS: "08:00-12:00",
        PolicyName.DISCONNECTION_WEEKDAYS: "mon,tue,wed,thu",
    }
    set_policies(town.database, town.clock, morning)
    return town.add_meter()


def order(meter: Meter) -> RelayOrder:
    return RelayOrder(meter.pan.iain, "six months owed")


def cut_off(
    town: Town, meter: Meter, by: SignedIn, approval_id: ApprovalId | None = None
) -> Command:
    return commands.disconnect(
        town.database, order(meter), by=by, clock=town.clock, approval_id=approval_id
    )


def approved(town: Town, meter: Meter, by: SignedIn) -> ApprovalId:
    engineer = sign_in_as(town.database, town.clock, Role.ENGINEER, name="engineer")
    asked = commands.propose_disconnection(town.database, order(meter), by=by, clock=town.clock)
    approve(town.database, town.clock, asked.id, engineer)
    return asked.id


def lease(town: Town) -> list[CommandKind]:
    with town.database.unit_of_work() as uow:
        leased = commands.lease_due(uow.connection, town.clock.now(), 5)
        uow.commit()
    return [command.kind for command in leased]


@pytest.mark.parametrize(
    ("after", "allowed"),
    [
        (timedelta(0), True),
        (timedelta(minutes=59), True),
        (timedelta(hours=1), False),  # 12:00
        (timedelta(hours=21), True),  # Thursday 08:00
        (timedelta(days=2), False),  # Friday
        (timedelta(days=5), True),  # Monday
    ],
)
def test_rule_counts_hours_and_weekdays_of_the_utility(
    town: Town,
    after: timedelta,
    allowed: bool,  # noqa: FBT001 # a column of the table
) -> None:
    assert MORNING.allows(town.clock.now() + after) is allowed


def test_rule_knows_holidays(town: Town) -> None:
    rule = DisconnectionRule(timezone="UTC", holidays=frozenset({date(2026, 11, 25)}))
    assert not rule.allows(town.clock.now())
    assert rule.allows(town.clock.now() + timedelta(days=1))


def test_one_person_disconnects_inside_the_rule(
    town: Town, meter: Meter, collector: SignedIn
) -> None:
    queued = cut_off(town, meter, collector)
    assert (queued.kind, queued.requested_by) == (CommandKind.DISCONNECT, "operator:collector")
    assert lease(town) == [CommandKind.DISCONNECT]


def test_outside_the_rule_it_takes_two(town: Town, meter: Meter, collector: SignedIn) -> None:
    town.clock.advance(timedelta(hours=4))
    with pytest.raises(DisconnectionHoursError):
        cut_off(town, meter, collector)
    approval_id = approved(town, meter, collector)
    queued = cut_off(town, meter, collector, approval_id)
    assert queued.approval_id == approval_id
    assert cut_off(town, meter, collector, approval_id).id == queued.id
    assert lease(town) == [CommandKind.DISCONNECT]


def test_order_queued_inside_the_rule_is_not_sent_outside_it(
    town: Town, meter: Meter, collector: SignedIn
) -> None:
    cut_off(town, meter, collector)
    town.queue(town.issue(town.add_meter()).command())
    town.queue(town.issue(meter).command())
    town.clock.advance(timedelta(hours=2))
    assert lease(town) == [CommandKind.ENTER_TOKEN, CommandKind.ENTER_TOKEN]
    assert lease(town) == []


def test_held_order_leaves_when_the_hours_come_again(
    town: Town, meter: Meter, collector: SignedIn
) -> None:
    cut_off(town, meter, collector)
    town.clock.advance(timedelta(hours=2))
    assert lease(town) == []
    town.clock.advance(timedelta(hours=20))
    assert lease(town) == [CommandKind.DISCONNECT]


def test_one_person_does_not_renew_the_consent_of_two(
    town: Town, meter: Meter, collector: SignedIn
) -> None:
    """A retry gives a command time anew; whoever agreed agreed to that day."""
    town.clock.advance(timedelta(hours=4))
    cut_off(town, meter, collector, approved(town, meter, collector))
    with town.database.unit_of_work() as uow:
        (sent,) = commands.lease_due(uow.connection, town.clock.now(), 5)
        report = commands.TryReport(sent, TryResult(TryOutcome.UNKNOWN, "link_timeout"))
        commands.record_results(uow.connection, [report], town.clock.now())
        uow.commit()
    town.clock.advance(timedelta(days=5))
    assert lease(town) == []
    with town.database.unit_of_work() as uow:
        commands.try_again(uow.connection, sent.id, by=collector.actor, clock=town.clock)
        uow.commit()
    assert lease(town) == [], "outside the rule"
    town.clock.advance(timedelta(hours=17))
    assert lease(town) == [CommandKind.DISCONNECT]


def test_reconnection_needs_no_hours(town: Town, meter: Meter, collector: SignedIn) -> None:
    town.clock.advance(timedelta(hours=14))
    commands.reconnect(town.database, order(meter), by=collector, clock=town.clock)
    assert lease(town) == [CommandKind.RECONNECT]


def test_approval_is_for_one_meter_and_reason(
    town: Town, meter: Meter, collector: SignedIn
) -> None:
    approval_id = approved(town, meter, collector)
    other = town.add_meter()
    with pytest.raises(ApprovalMismatchError):
        cut_off(town, other, collector, approval_id)


def test_who_may_not_or_does_not_say_why_is_refused(
    town: Town, meter: Meter, collector: SignedIn
) -> None:
    cashier = sign_in_as(town.database, town.clock, Role.CASHIER)
    with pytest.raises(PermissionDeniedError):
        cut_off(town, meter, cashier)
    with pytest.raises(PermissionDeniedError):
        commands.reconnect(town.database, order(meter), by=cashier, clock=town.clock)
    with pytest.raises(CommandReasonError):
        commands.disconnect(
            town.database,
            RelayOrder(meter.pan.iain, " "),
            by=collector,
            clock=town.clock,
        )
    with pytest.raises(MeterUnreachableError):
        cut_off(town, town.add_meter(is_linked=False), collector)


def test_hours_that_got_stricter_hold_back_what_was_ordered_before(
    town: Town, meter: Meter, collector: SignedIn
) -> None:
    cut_off(town, meter, collector)
    set_policies(town.database, town.clock, {PolicyName.DISCONNECTION_HOURS: None})
    assert lease(town) == []
    with pytest.raises(DisconnectionHoursError):
        cut_off(town, town.add_meter(), collector)


def test_what_two_people_approved_goes_by_no_hours(
    town: Town, meter: Meter, collector: SignedIn
) -> None:
    approval_id = approved(town, meter, collector)
    set_policies(town.database, town.clock, {PolicyName.DISCONNECTION_HOURS: None})
    cut_off(town, meter, collector, approval_id)
    assert lease(town) == [CommandKind.DISCONNECT]

"""Kill switches: one stops at once, two release."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.integration.vending.custody.conftest import Staff
from tests.support.books import count_rows
from tests.support.shop import Shop, document_of
from tests.support.slow_security_module import Fault, SlowSecurityModule
from vending.approvals.errors import ApprovalMismatchError, ApprovalOwnError, ApprovalUsedError
from vending.custody.errors import StopNotFoundError, StopReleasedError, TargetInvalidError
from vending.custody.model import StopId, StopScope, StopTarget
from vending.custody.service.limits import require_open
from vending.custody.service.switches import (
    list_stops,
    parse_target,
    propose_release,
    release,
    stop,
)
from vending.errors import VendingError
from vending.keystore.model import KeyReference
from vending.operators.errors import PermissionDeniedError
from vending.operators.permissions import Role
from vending.sales.model import Declined, VendRequest
from vending.sales.service.desk import RESUME_AFTER
from vending.sales.service.two_step import resolve_open_sales
from vending.sales.service.vend import vend

TARGETS: dict[StopScope, Callable[[Shop], StopTarget]] = {
    StopScope.KEY: lambda _: parse_target(StopScope.KEY, "201457/1/DUTK"),
    StopScope.SUPPLY_GROUP: lambda _: parse_target(StopScope.SUPPLY_GROUP, "201457"),
    StopScope.PARTNER: lambda shop: parse_target(StopScope.PARTNER, str(shop.partner.id)),
    StopScope.OUTLET: lambda shop: parse_target(
        StopScope.OUTLET, str(shop.partner.id), outlet="westgate"
    ),
}


def request_of(shop: Shop, key: str) -> VendRequest:
    return replace(shop.request(key), outlet="westgate")


@pytest.mark.parametrize("scope", StopScope)
def test_stop_refuses_the_next_sale_and_stores_nothing(
    shop: Shop, staff: Staff, scope: StopScope
) -> None:
    before = count_rows(shop.database)
    engineer = staff.someone(Role.ENGINEER)
    stop(shop.database, engineer, TARGETS[scope](shop), reason="theft", clock=shop.clock)
    (outcome,) = vend([request_of(shop, "k1")], shop.desk)
    assert isinstance(outcome, Declined)
    assert (outcome.error.code, outcome.error.retryable) == ("issuing_stopped", True)
    assert outcome.error.facts == {"scope": scope.value}
    after = count_rows(shop.database)
    assert {name for name in after if after[name] != before.get(name)} <= {
        *("issue_stops", "audit_events", "operators", "operator_sessions"),
        *(name for name in after if "audit" in name or "operator" in name),
    }


def test_released_switch_lets_the_same_key_pass(shop: Shop, staff: Staff) -> None:
    chen, amina = staff.custodian("chen"), staff.custodian("amina")
    stopped = stop(
        shop.database, chen, TARGETS[StopScope.KEY](shop), reason="theft", clock=shop.clock
    )
    assert shop.refuse(request_of(shop, "k1")) == "issuing_stopped"
    asked = propose_release(shop.database, chen, stopped.id, reason="found", clock=shop.clock)
    staff.approve(asked, amina)
    assert shop.refuse(request_of(shop, "k1")) == "issuing_stopped"
    released = release(shop.database, chen, stopped.id, asked.id, clock=shop.clock)
    assert released.released_by == "chen"
    assert document_of(vend([request_of(shop, "k1")], shop.desk)[0])["tokens"]
    assert list_stops(shop.database, standing_only=True) == []
    assert list_stops(shop.database, standing_only=False) == [released]


def test_one_person_releases_nothing(shop: Shop, staff: Staff) -> None:
    chen = staff.custodian("chen")
    second_account = staff.custodian("chen2", person="chen")
    stopped = stop(
        shop.database, chen, TARGETS[StopScope.KEY](shop), reason="theft", clock=shop.clock
    )
    asked = propose_release(shop.database, chen, stopped.id, reason="mine", clock=shop.clock)
    for same in (chen, second_account):
        with pytest.raises(ApprovalOwnError):
            staff.approve(asked, same)
    with pytest.raises(VendingError):
        release(shop.database, chen, stopped.id, asked.id, clock=shop.clock)
    assert shop.refuse(request_of(shop, "k1")) == "issuing_stopped"


def test_approval_releases_one_stop_once(shop: Shop, staff: Staff) -> None:
    chen, amina = staff.custodian("chen"), staff.custodian("amina")
    target = TARGETS[StopScope.KEY](shop)
    first = stop(shop.database, chen, target, reason="theft", clock=shop.clock)
    asked = propose_release(shop.database, chen, first.id, reason="found", clock=shop.clock)
    staff.approve(asked, amina)
    release(shop.database, chen, first.id, asked.id, clock=shop.clock)
    with pytest.raises(StopReleasedError):
        release(shop.database, chen, first.id, asked.id, clock=shop.clock)
    again = stop(shop.database, chen, target, reason="theft", clock=shop.clock)
    assert again.id != first.id
    with pytest.raises((ApprovalMismatchError, ApprovalUsedError)):
        release(shop.database, chen, again.id, asked.id, clock=shop.clock)
    assert shop.refuse(request_of(shop, "k1")) == "issuing_stopped"


def test_stopping_twice_is_stopping_once(shop: Shop, staff: Staff) -> None:
    target = TARGETS[StopScope.PARTNER](shop)
    engineer = staff.someone(Role.ENGINEER)
    first = stop(shop.database, engineer, target, reason="theft", clock=shop.clock)
    assert stop(shop.database, engineer, target, reason="again", clock=shop.clock) == first


def test_cashier_stops_nothing(shop: Shop, staff: Staff) -> None:
    with pytest.raises(PermissionDeniedError):
        stop(
            shop.database,
            staff.someone(Role.CASHIER),
            TARGETS[StopScope.KEY](shop),
            reason="bored",
            clock=shop.clock,
        )


def test_switch_stands_for_something_real(shop: Shop, staff: Staff) -> None:
    stranger = parse_target(StopScope.PARTNER, "01890a5d-ac96-774b-bcce-b302099a8057")
    with pytest.raises(TargetInvalidError):
        stop(
            shop.database,
            staff.someone(Role.ENGINEER),
            stranger,
            reason="theft",
            clock=shop.clock,
        )
    with pytest.raises(StopNotFoundError):
        propose_release(
            shop.database,
            staff.custodian(),
            StopId(uuid.UUID(int=7)),
            reason="x",
            clock=shop.clock,
        )


@pytest.mark.parametrize(
    ("scope", "name", "outlet"),
    [
        (StopScope.KEY, "201457/1", None),
        (StopScope.KEY, "201457/0/DUTK", None),
        (StopScope.SUPPLY_GROUP, "20145", None),
        (StopScope.PARTNER, "Corner Shop", None),
        (StopScope.OUTLET, "01890a5d-ac96-774b-bcce-b302099a8057", None),
        (StopScope.OUTLET, "westgate", "westgate"),
    ],
)
def test_name_of_nothing_is_refused(scope: StopScope, name: str, outlet: str | None) -> None:
    with pytest.raises(TargetInvalidError):
        parse_target(scope, name, outlet=outlet)


def test_stop_comes_before_a_module_is_asked(shop: Shop, staff: Staff) -> None:
    module = SlowSecurityModule(shop.desk.security_module)
    stop(
        shop.database,
        staff.custodian(),
        TARGETS[StopScope.KEY](shop),
        reason="theft",
        clock=shop.clock,
    )
    assert shop.refuse(request_of(shop, "k1"), shop.using(module)) == "issuing_stopped"
    assert module.served == []
    assert count_rows(shop.database)["sales"] == 0


def test_sale_left_open_stays_open_while_stopped(shop: Shop, staff: Staff) -> None:
    module = SlowSecurityModule(shop.desk.security_module)
    module.plan(Fault.LOSE_REQUEST)
    desk = shop.using(module)
    assert shop.refuse(request_of(shop, "k1"), desk) == "sale_outcome_unknown"
    chen, amina = staff.custodian("chen"), staff.custodian("amina")
    stopped = stop(
        shop.database, chen, TARGETS[StopScope.KEY](shop), reason="theft", clock=shop.clock
    )
    shop.clock.advance(2 * RESUME_AFTER)
    assert resolve_open_sales(desk, limit=10) == 0
    assert module.served == []
    asked = propose_release(shop.database, chen, stopped.id, reason="found", clock=shop.clock)
    staff.approve(asked, amina)
    release(shop.database, chen, stopped.id, asked.id, clock=shop.clock)
    shop.clock.advance(2 * RESUME_AFTER)
    assert resolve_open_sales(desk, limit=10) == 1
    assert module.served == ["vend"]


def test_other_ways_of_issuing_ask_the_same_switch(shop: Shop, staff: Staff) -> None:
    meter = shop.meters[0]
    target = TARGETS[StopScope.SUPPLY_GROUP](shop)
    stop(shop.database, staff.custodian(), target, reason="theft", clock=shop.clock)
    register = KeyReference(meter.sgc, meter.krn, meter.kt)
    with shop.database.read() as connection, pytest.raises(VendingError) as refused:
        require_open(connection, register)
    assert refused.value.code == "issuing_stopped"

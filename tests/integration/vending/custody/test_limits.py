"""Ceilings a day, a key and a class: counted with what is issued, refused one by one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.integration.vending.custody.conftest import Staff
from tests.support.books import count_rows
from tests.support.policies import ceilings, set_policies
from tests.support.shop import KES, Shop, code_of, document_of
from tests.support.slow_security_module import Fault, Refuse, SlowSecurityModule
from vending.approvals.errors import ApprovalMismatchError
from vending.custody.errors import ApprovalWantedError, CeilingReachedError
from vending.custody.model import Ceiling, Count, Use, UseClass
from vending.custody.repository.limits import list_alarms
from vending.custody.service.ceilings import lower_ceiling, propose_ceiling, set_ceiling
from vending.custody.service.limits import charge, list_used_today, load_limit_policy, require_room
from vending.errors import VendingError
from vending.keystore.errors import KeyRetiredError
from vending.keystore.model import KeyReference
from vending.operators.errors import PermissionDeniedError
from vending.operators.permissions import Role
from vending.persistence.audit import audit_events
from vending.policies.model import PolicyName
from vending.sales.model import Answer
from vending.sales.service.desk import RESUME_AFTER, SalesDesk
from vending.sales.service.two_step import resolve_open_sales
from vending.sales.service.vend import vend
from vending.sts import SGC, KeyType
from vending.values.money import Money

REGISTER = KeyReference(SGC("201457"), 1, KeyType.DUTK)
OTHER = KeyReference(SGC("201457"), 2, KeyType.DUTK)
CREDIT = (REGISTER, UseClass.CREDIT)
Limited = Callable[[Ceiling], SalesDesk]
# 50.00 buys 2.1 kWh here, 2100 Wh on the token.
WH = 2100


def counted(shop: Shop, use_class: UseClass = UseClass.CREDIT) -> Count:
    with shop.database.read() as connection:
        used = list_used_today(connection, now=shop.clock.now())
    found = [one.count for one in used if one.use_class is use_class]
    return found[0] if found else Count()


def alarms(shop: Shop) -> list[tuple[str, str]]:
    with shop.database.read() as connection:
        day = load_limit_policy(connection).day_of(shop.clock.now())
        found = list_alarms(connection, since=day, limit=100)
    return sorted((one.measure.value, one.level.value) for one in found)


def actions(shop: Shop) -> list[str]:
    with shop.database.read() as connection:
        query = select(audit_events.c.action).where(audit_events.c.action.like("ceiling.%"))
        return sorted(connection.execute(query).scalars())


def test_sale_counts_energy_money_and_one_token(shop: Shop) -> None:
    shop.issue("k1")
    shop.issue("k2", meter=1)
    assert counted(shop) == Count(energy_wh=2 * WH, money_minor={"KES": 10_000}, token_count=2)


def test_repeat_of_a_key_is_counted_once(shop: Shop) -> None:
    shop.issue("k1")
    shop.issue("k1")
    assert counted(shop).token_count == 1


@pytest.mark.parametrize(
    ("ceiling", "measure"),
    [
        (Ceiling(energy_wh=2 * WH), "energy"),
        (Ceiling(money_minor={"KES": 10_000}), "money"),
        (Ceiling(token_count=2), "tokens"),
    ],
)
def test_those_that_do_not_fit_are_refused_and_the_others_pass(
    shop: Shop, limited: Limited, ceiling: Ceiling, measure: str
) -> None:
    desk = limited(ceiling)
    outcomes = vend([shop.request(f"k{n}", meter=n) for n in range(3)], desk)
    assert [isinstance(one, Answer) for one in outcomes] == [True, True, False]
    assert code_of(outcomes[2]) == "ceiling_reached"
    rows = count_rows(shop.database)
    assert (rows["sales"], rows["issued_tokens"], rows["declined_sales"]) == (2, 2, 0)
    assert counted(shop).token_count == 2
    assert (measure, "reached") in alarms(shop)


def test_smaller_sale_fits_behind_one_that_did_not(shop: Shop, limited: Limited) -> None:
    desk = limited(Ceiling(money_minor={"KES": 6000}))
    wanted = [shop.request("big", minor=7000), shop.request("small", minor=5000, meter=1)]
    big, small = vend(wanted, desk)
    assert code_of(big) == "ceiling_reached"
    assert document_of(small)


def test_refused_sale_passes_with_the_same_key_on_the_next_local_day(
    shop: Shop, limited: Limited
) -> None:
    desk = limited(Ceiling(token_count=1))
    set_policies(shop.database, shop.clock, {PolicyName.TIMEZONE: "Africa/Nairobi"})
    shop.clock.advance(timedelta(hours=12, minutes=59))  # 23:59 in Nairobi
    shop.sell(shop.request("k1"), desk)
    assert shop.refuse(shop.request("k2", meter=1), desk) == "ceiling_reached"
    shop.clock.advance(timedelta(minutes=1))
    assert document_of(shop.sell(shop.request("k2", meter=1), desk))


def test_refusal_tells_the_partner_no_numbers(shop: Shop, limited: Limited) -> None:
    refused = vend([shop.request("k1")], limited(Ceiling(energy_wh=1)))[0]
    assert not isinstance(refused, Answer)
    assert refused.error.facts == {"measure": "energy"}


def test_refused_mint_counts_nothing(shop: Shop) -> None:
    module = SlowSecurityModule(shop.desk.security_module)
    module.plan(Refuse(KeyRetiredError(str(REGISTER))))
    assert shop.refuse(shop.request("k1"), shop.using(module)) == "key_retired"
    assert counted(shop).token_count == 0


def test_unknown_mint_stays_counted_and_is_counted_once(shop: Shop) -> None:
    module = SlowSecurityModule(shop.desk.security_module)
    module.plan(Fault.LOSE_ANSWER)
    desk = shop.using(module)
    assert shop.refuse(shop.request("k1"), desk) == "sale_outcome_unknown"
    assert counted(shop).token_count == 1
    shop.clock.advance(2 * RESUME_AFTER)
    assert resolve_open_sales(desk, limit=10) == 1
    assert counted(shop).token_count == 1


def test_ceiling_holds_before_a_module_is_asked(shop: Shop, limited: Limited) -> None:
    module = SlowSecurityModule(shop.desk.security_module)
    desk = replace(limited(Ceiling(token_count=0)), security_module=module)
    assert shop.refuse(shop.request("k1"), desk) == "ceiling_reached"
    assert module.served == []
    assert count_rows(shop.database)["sales"] == 0


def test_alarm_comes_once_at_eighty_percent(shop: Shop, limited: Limited) -> None:
    desk = limited(Ceiling(token_count=5))
    for n in range(3):
        shop.sell(shop.request(f"k{n}", meter=n), desk)
    assert alarms(shop) == []
    for n in range(3, 7):
        shop.sell(shop.request(f"k{n}", meter=n % 4), desk)
    assert alarms(shop) == [("tokens", "near"), ("tokens", "reached")]
    assert actions(shop) == ["ceiling.near", "ceiling.reached"]


def test_classes_and_keys_are_counted_apart(shop: Shop) -> None:
    for one in UseClass:
        set_policies(shop.database, shop.clock, ceilings(one, Ceiling(token_count=1)))
    uses = [
        Use(register=register, use_class=use_class, energy_wh=5, money=Money(1, KES))
        for register in (REGISTER, OTHER)
        for use_class in UseClass
    ]
    with shop.database.unit_of_work() as uow:
        now = shop.clock.now()
        assert charge(uow.connection, uses, shop.clock, now=now) == [None] * 6
        again = charge(uow.connection, uses, shop.clock, now=now)
        assert all(isinstance(one, CeilingReachedError) for one in again)
        with pytest.raises(CeilingReachedError):
            require_room(uow.connection, uses[0], shop.clock, now=now)
        assert charge(uow.connection, [], shop.clock, now=now) == []


def test_two_people_raise_a_ceiling(shop: Shop, staff: Staff) -> None:
    chen, amina, clock = staff.custodian("chen"), staff.custodian("amina"), shop.clock
    lower_ceiling(shop.database, chen, CREDIT, Ceiling(token_count=1), clock)
    shop.issue("k1")
    assert shop.refuse(shop.request("k2", meter=1)) == "ceiling_reached"
    with pytest.raises(ApprovalWantedError):
        lower_ceiling(shop.database, chen, CREDIT, Ceiling(token_count=2), clock)
    asked = propose_ceiling(
        shop.database, chen, CREDIT, Ceiling(token_count=2), clock, reason="market day"
    )
    with pytest.raises(VendingError):
        staff.approve(asked, chen)
    staff.approve(asked, amina)
    before = set_ceiling(
        shop.database, chen, CREDIT, Ceiling(token_count=2), clock, approval_id=asked.id
    )
    assert before == Ceiling(token_count=1)
    shop.issue("k2", meter=1)
    assert shop.refuse(shop.request("k3", meter=2)) == "ceiling_reached"


def test_approval_does_not_hold_for_another_ceiling_or_after_a_change(
    shop: Shop, staff: Staff
) -> None:
    chen, amina, clock = staff.custodian("chen"), staff.custodian("amina"), shop.clock
    lower_ceiling(shop.database, chen, CREDIT, Ceiling(token_count=5), clock)
    wanted = Ceiling(token_count=9)
    asked = propose_ceiling(shop.database, chen, CREDIT, wanted, clock, reason="market day")
    staff.approve(asked, amina)
    for other in (Ceiling(token_count=10), Ceiling()):
        with pytest.raises(ApprovalMismatchError):
            set_ceiling(shop.database, chen, CREDIT, other, clock, approval_id=asked.id)
    lower_ceiling(shop.database, amina, CREDIT, Ceiling(token_count=1), clock)
    with pytest.raises(ApprovalMismatchError):
        set_ceiling(shop.database, chen, CREDIT, wanted, clock, approval_id=asked.id)


def test_cashier_sets_no_ceiling(shop: Shop, staff: Staff) -> None:
    cashier, clock = staff.someone(Role.CASHIER), shop.clock
    with pytest.raises(PermissionDeniedError):
        lower_ceiling(shop.database, cashier, CREDIT, Ceiling(token_count=1), clock)
    with pytest.raises(PermissionDeniedError):
        propose_ceiling(shop.database, cashier, CREDIT, Ceiling(), clock, reason="a friend asked")

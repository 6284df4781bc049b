"""The worker shows what expires and what nears its ceiling, and wipes overdue ceremonies."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.support.people import sign_in_as
from tests.support.policies import set_policies
from tests.support.shop import build_shop
from tests.support.vending_keys import DUTK_2014
from vending.custody.model import CeremonyState
from vending.custody.service.ceremonies import (
    CeremonyDesk,
    CeremonyPlan,
    begin,
    load_ceremony,
)
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.policies.model import PolicyName
from vending.sts import SGC, compute_expiry
from vending.values.clock import FixedClock
from vending.worker.key_watch import watch_keys

REGISTER = {"register": "201457/1/DUTK"}


def test_gauges_follow_the_keys_that_meters_hold(
    database: Database, fixed_clock: FixedClock, tmp_path: Path
) -> None:
    shop = build_shop(database, fixed_clock, tmp_path)
    set_policies(database, fixed_clock, {PolicyName.CEILING_CREDIT_TOKENS: 4})
    shop.issue("k1")
    container = shop.container()
    assert watch_keys(container) == 0
    registry = container.metrics.registry
    attributes = DUTK_2014.attributes
    left = compute_expiry(attributes.base_date, attributes.ken) - fixed_clock.now()
    assert registry.get_sample_value("vending_key_expiry_seconds", REGISTER) == (
        left.total_seconds()
    )
    used = {**REGISTER, "class": "credit"}
    assert registry.get_sample_value("vending_ceiling_used_ratio", used) == 0.25
    assert (
        registry.get_sample_value("vending_key_expiry_seconds", {"register": "123456/1/DUTK"})
        is None
    )


def test_overdue_ceremony_is_wiped(
    database: Database, fixed_clock: FixedClock, tmp_path: Path
) -> None:
    shop = build_shop(database, fixed_clock, tmp_path)
    desk = CeremonyDesk(database, shop.store, fixed_clock)
    attributes = replace(DUTK_2014.attributes, sgc=SGC("201460"))
    plan = CeremonyPlan(attributes=attributes, component_count=2, check_value="ABCDEF")
    custodian = sign_in_as(database, fixed_clock, Role.KEY_CUSTODIAN)
    held = begin(custodian, plan, desk)
    fixed_clock.advance(timedelta(hours=24))
    container = shop.container()
    assert (watch_keys(container), watch_keys(container)) == (1, 0)
    assert load_ceremony(database, held.id).state is CeremonyState.EXPIRED

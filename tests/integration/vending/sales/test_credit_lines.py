"""Credit lines: set by two, held in every sale's own transaction, by sales at the same time too."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.support.people import approve, sign_in_as
from tests.support.shop import KES, Shop
from tests.support.slow_security_module import Fault, SlowSecurityModule
from vending.approvals.errors import ApprovalMismatchError
from vending.ledger.service import verify
from vending.operators.errors import PermissionDeniedError
from vending.operators.permissions import Role
from vending.partners.errors import CreditLineInvalidError, CreditLineTooLowError
from vending.partners.model import Partner
from vending.partners.service import (
    add_partner,
    load_owed,
    load_partner,
    propose_credit_line,
    set_credit_line,
)
from vending.sales.model import Answer, Declined
from vending.sales.service.vend import vend
from vending.values.actor import SYSTEM


def set_line(shop: Shop, line_minor: int | None) -> Partner:
    manager = sign_in_as(shop.database, shop.clock, Role.KEY_ACCOUNTS, name="manager")
    finance = sign_in_as(shop.database, shop.clock, Role.FINANCE, name="finance")
    asked = propose_credit_line(
        shop.database, shop.partner.id, line_minor, by=manager, reason="risk", clock=shop.clock
    )
    approve(shop.database, shop.clock, asked.id, finance)
    return set_credit_line(
        shop.database,
        shop.partner.id,
        line_minor,
        by=manager,
        approval_id=asked.id,
        clock=shop.clock,
    )


def owed_minor(shop: Shop) -> int:
    with shop.database.read() as connection:
        assert verify(connection) == []
        return load_owed(connection, load_partner(connection, shop.partner.id)).minor


def test_partner_without_a_line_owes_without_limit(shop: Shop) -> None:
    for number in range(3):
        shop.issue(f"k-{number}", minor=1_000_000)
    assert owed_minor(shop) == 3_000_000


def test_partner_that_one_person_added_sells_nothing(shop: Shop) -> None:
    fresh = add_partner(shop.database, "Ghost", KES, by=SYSTEM, clock=shop.clock)
    assert shop.refuse(shop.request("k-1", partner=fresh)) == "credit_line_exceeded"


def test_line_that_grows_from_nothing_counts_from_nothing(shop: Shop) -> None:
    fresh = add_partner(shop.database, "Kiosk", KES, by=SYSTEM, clock=shop.clock)
    kiosk = replace(shop, partner=fresh)
    for line_minor in (5_000, None, 6_000):
        set_line(kiosk, line_minor)
    kiosk.issue("k-1", minor=6_000)
    assert owed_minor(kiosk) == 6_000
    assert kiosk.refuse(kiosk.request("k-2", minor=300)) == "credit_line_exceeded"


def test_sale_beyond_the_line_is_refused_and_a_smaller_one_is_not(shop: Shop) -> None:
    assert set_line(shop, 12_000).credit_line_minor == 12_000
    shop.issue("k-1", minor=5_000)
    outcomes = vend(
        [
            shop.request("k-2", minor=5_000, meter=1),
            shop.request("k-3", minor=5_000, meter=2),
            shop.request("k-4", minor=2_000),
        ],
        shop.desk,
    )
    assert [isinstance(one, Answer) for one in outcomes] == [True, False, True]
    refused = outcomes[1]
    assert isinstance(refused, Declined)
    assert refused.error.code == "credit_line_exceeded"
    assert refused.error.facts["available_minor"] == 2_000
    assert owed_minor(shop) == 12_000
    assert shop.refuse(shop.request("k-3", minor=5_000, meter=2)) == "credit_line_exceeded"


def test_what_is_owed_moves_with_the_line(shop: Shop) -> None:
    shop.issue("k-1", minor=5_000)
    with pytest.raises(CreditLineTooLowError):
        set_line(shop, 4_999)
    set_line(shop, 6_000)
    assert shop.refuse(shop.request("k-2", minor=1_001)) == "credit_line_exceeded"
    set_line(shop, 7_000)
    shop.issue("k-3", minor=2_000)
    set_line(shop, None)
    shop.issue("k-4", minor=9_000)
    assert owed_minor(shop) == 16_000
    set_line(shop, 16_000)
    assert shop.refuse(shop.request("k-5", minor=300)) == "credit_line_exceeded"
    assert owed_minor(shop) == 16_000


def test_sales_at_the_same_time_do_not_overspend(shop: Shop) -> None:
    set_line(shop, 10_000)
    desks = [replace(shop.desk) for _ in range(6)]  # a lane each, as processes have
    requests = [shop.request(f"k-{i}", minor=3_000, meter=i % 3) for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(lambda pair: vend([pair[1]], pair[0])[0], zip(desks, requests)))  # noqa: B905 # of one length
    assert sum(isinstance(one, Answer) for one in outcomes) == 3
    assert owed_minor(shop) == 9_000


def test_sale_that_waits_for_a_module_counts_as_owed(shop: Shop) -> None:
    set_line(shop, 10_000)
    module = SlowSecurityModule(shop.desk.security_module)
    module.plan(Fault.LOSE_REQUEST)
    slow = shop.using(module)
    assert shop.refuse(shop.request("k-1", minor=6_000), slow) == "sale_outcome_unknown"
    assert shop.refuse(shop.request("k-2", minor=6_000, meter=1), slow) == "credit_line_exceeded"
    assert isinstance(shop.sell(shop.request("k-1", minor=6_000), slow), Answer)
    assert owed_minor(shop) == 6_000


def test_approval_is_bound_to_the_step_it_was_given_for(shop: Shop) -> None:
    manager = sign_in_as(shop.database, shop.clock, Role.KEY_ACCOUNTS, name="manager")
    finance = sign_in_as(shop.database, shop.clock, Role.FINANCE, name="finance")
    asked = propose_credit_line(
        shop.database, shop.partner.id, 9_000, by=manager, reason="risk", clock=shop.clock
    )
    approve(shop.database, shop.clock, asked.id, finance)
    set_line(shop, 5_000)
    with pytest.raises(ApprovalMismatchError):
        set_credit_line(
            shop.database,
            shop.partner.id,
            9_000,
            by=manager,
            approval_id=asked.id,
            clock=shop.clock,
        )


def test_line_is_a_whole_number_and_takes_the_permission(shop: Shop) -> None:
    cashier = sign_in_as(shop.database, shop.clock, Role.CASHIER)
    manager = sign_in_as(shop.database, shop.clock, Role.KEY_ACCOUNTS, name="manager")
    for by, line_minor, refusal in (
        (cashier, 1, PermissionDeniedError),
        (manager, -1, CreditLineInvalidError),
        (manager, 10**16, CreditLineInvalidError),
    ):
        with pytest.raises(refusal):
            propose_credit_line(
                shop.database, shop.partner.id, line_minor, by=by, reason="x", clock=shop.clock
            )
    assert shop.partner.currency == KES

"""While a set is out, the sale is under the new key, and the set goes with it."""

import uuid
from datetime import timedelta
from typing import Any

from tests.support.campaign_meters import Acceptor
from tests.support.campaigns import Fleet
from tests.support.people import sign_in_as
from tests.support.shop import document_of
from tests.support.slow_security_module import Fault, SlowSecurityModule
from vending.campaigns.model import CampaignTarget, MeterStep
from vending.campaigns.service.evidence import note_entered, note_not_entered
from vending.campaigns.service.reports import find_token_key, tell_meter
from vending.operators.permissions import Role
from vending.sales.service.lookups import reprint
from vending.sts import TI
from vending.values.identifiers import SaleId


def key_change(document: dict[str, Any]) -> list[str]:
    return [str(one["digits"]) for one in document["key_change"]["tokens"]]


def credit(document: dict[str, Any]) -> str:
    return str(document["tokens"][0]["digits"])


def test_meter_outside_a_campaign_is_sold_to_as_ever(fleet: Fleet) -> None:
    assert "key_change" not in fleet.shop.issue("k")


def test_set_before_token_works_whether_the_meter_had_changed_or_not(fleet: Fleet) -> None:
    fleet.run()
    first, second = fleet.shop.issue("first"), fleet.shop.issue("second")
    meter = Acceptor(fleet)
    assert [meter.type(each) for each in key_change(first)] == ["1stKCT", "Accept"]
    assert meter.type(credit(first)) == "Accept"
    # The same set once more: the meter has it, and says that the tokens are wrong; credit works.
    assert key_change(second) == key_change(first)
    assert [meter.type(each) for each in key_change(second)] == ["CRCError", "CRCError"]
    assert meter.type(credit(second)) == "Accept"


def test_credit_before_its_set_is_refused_and_works_after_it(fleet: Fleet) -> None:
    fleet.run()
    document = fleet.shop.issue("k")
    meter = Acceptor(fleet)
    assert meter.type(credit(document)) == "CRCError"
    section_1, section_2 = key_change(document)
    meter.type(section_2)
    assert meter.type(credit(document)) == "CRCError"
    meter.type(section_1)
    assert meter.type(credit(document)) == "Accept"


def test_receipt_tells_the_order_in_the_customers_language(fleet: Fleet) -> None:
    fleet.run()
    lines = fleet.shop.issue("k")["receipt"]["lines"]
    places = [
        next(place for place, line in enumerate(lines) if word in line)
        for word in ("ENTER THESE FIRST", "Key change 1/2", "Key change 2/2", "Token:")
    ]
    assert places == sorted(places)


def test_answer_tells_the_order_in_both_languages(fleet: Fleet) -> None:
    fleet.run()
    told = fleet.shop.issue("k")["key_change"]["instructions"]
    assert "ENTER THESE FIRST" in told["en"]
    assert "请先按顺序输入" in told["zh-CN"]


def test_repeat_and_reprint_carry_the_set(fleet: Fleet) -> None:
    fleet.run()
    document = fleet.shop.issue("k")
    assert fleet.shop.issue("k") == document
    copy = reprint(fleet.shop.partner.id, SaleId(uuid.UUID(str(document["id"]))), fleet.shop.desk)
    assert copy["key_change"] == document["key_change"]


def test_sale_makes_an_issued_set_delivered_and_is_kept_as_evidence(fleet: Fleet) -> None:
    campaign = fleet.run()
    fleet.shop.issue("k")
    assert fleet.steps(campaign.id) == {MeterStep.ISSUED: 3, MeterStep.DELIVERED: 1}
    with fleet.database.read() as connection:
        story = tell_meter(connection, campaign.id, fleet.shop.meters[0].pan)
    assert [(one.target, one.evidence) for one in story.steps] == [("delivered", "sale")]


def test_noted_as_entered_the_register_follows_and_sales_carry_no_set(fleet: Fleet) -> None:
    campaign = fleet.run()
    note_entered(
        fleet.office, campaign.id, fleet.shop.meters[0].pan, note="called", by=fleet.engineer
    )
    assert fleet.meter().krn == 2
    document = fleet.shop.issue("k")
    assert "key_change" not in document
    meter = Acceptor(fleet)
    assert meter.type(credit(document)) == "CRCError"  # it was not true: `verify` tells why


def test_noted_as_not_entered_sales_go_under_the_old_key(fleet: Fleet) -> None:
    campaign = fleet.run()
    fleet.shop.issue("with set")
    note_not_entered(
        fleet.office, campaign.id, fleet.shop.meters[0].pan, note="keypad broken", by=fleet.engineer
    )
    document = fleet.shop.issue("k")
    assert "key_change" not in document
    assert Acceptor(fleet).type(credit(document)) == "Accept"
    assert fleet.meter().krn == 1


def test_tariff_index_alone_is_changed_the_same_way(fleet: Fleet) -> None:
    campaign = fleet.run(target=CampaignTarget(ti=TI("02")))
    document = fleet.shop.issue("k")
    meter = Acceptor(fleet)
    assert [meter.type(each) for each in key_change(document)] == ["1stKCT", "Accept"]
    assert meter.type(credit(document)) == "Accept"
    note_entered(fleet.office, campaign.id, fleet.shop.meters[0].pan, note="-", by=fleet.engineer)
    assert fleet.meter().ti == TI("02")


def test_clerk_finds_which_key_a_token_belongs_to(fleet: Fleet) -> None:
    before = fleet.shop.issue("before")
    fleet.run()
    after = fleet.shop.issue("after")
    clerk = sign_in_as(fleet.database, fleet.clock, Role.CUSTOMER_SERVICE)
    pan = fleet.shop.meters[0].pan
    old = find_token_key(fleet.office, pan, credit(before), by=clerk)
    new = find_token_key(fleet.office, pan, credit(after), by=clerk)
    assert (old.key.krn, old.is_registered) == (1, True)
    assert (new.key.krn, new.is_registered) == (2, False)


def test_sale_opened_before_the_set_was_withdrawn_still_carries_it(fleet: Fleet) -> None:
    campaign = fleet.run()
    module = SlowSecurityModule(fleet.shop.desk.security_module)
    module.plan(Fault.LOSE_ANSWER)
    desk = fleet.shop.using(module)
    request = fleet.shop.request("k")
    assert fleet.shop.refuse(request, desk) == "sale_outcome_unknown"
    note_not_entered(
        fleet.office, campaign.id, fleet.shop.meters[0].pan, note="lost", by=fleet.engineer
    )
    fleet.clock.advance(timedelta(seconds=30))
    document = document_of(fleet.shop.sell(request, desk))
    meter = Acceptor(fleet)
    assert [meter.type(each) for each in key_change(document)] == ["1stKCT", "Accept"]
    assert meter.type(credit(document)) == "Accept"

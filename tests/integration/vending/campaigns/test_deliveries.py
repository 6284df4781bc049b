"""Sets on their way to meters: before the credit that needs them, and what answers teach."""

from datetime import timedelta

import pytest

from tests.support.campaign_meters import Round
from tests.support.campaigns import Fleet
from tests.support.deliveries import Plan
from vending.campaigns.model import CampaignState, Evidence, MeterStep
from vending.campaigns.service.evidence import note_entered
from vending.campaigns.service.reports import list_chase, report
from vending.campaigns.service.running import cancel_campaign, pause_campaign


@pytest.fixture
def street(fleet: Fleet) -> Round:
    return Round(fleet)


def test_accepted_set_changes_the_register_at_once(fleet: Fleet, street: Round) -> None:
    campaign = fleet.run()
    street.deliver()
    assert street.sent == [2]
    assert fleet.meter().krn == 2
    assert report(fleet.office, campaign.id).evidence == {Evidence.METER_ACCEPTED: 1}
    assert "key_change" not in fleet.shop.issue("k")


def test_credit_sold_meanwhile_waits_for_its_set(fleet: Fleet, street: Round) -> None:
    fleet.run()
    street.gateway.plan(fleet.shop.meters[0], Plan.UNREACHABLE)
    street.deliver()
    fleet.clock.advance(timedelta(seconds=1))
    fleet.shop.issue("under the new key")
    street.relay()
    street.deliver(after=timedelta(seconds=1))
    assert street.sent == []
    street.deliver(after=timedelta(minutes=1))
    assert street.sent == [2, 1]


def test_set_waits_for_credit_that_was_sold_before_it(fleet: Fleet, street: Round) -> None:
    fleet.shop.issue("under the old key")
    street.relay()
    street.gateway.plan(fleet.shop.meters[0], Plan.LOSE_ANSWER)
    street.deliver()
    fleet.run()
    street.deliver(after=timedelta(seconds=1))
    assert street.sent == [1]
    street.deliver(after=timedelta(minutes=1))
    assert street.sent == [1, 1, 2]


def test_sale_takes_the_set_along_where_the_campaign_did_not_send_it(
    fleet: Fleet, street: Round
) -> None:
    campaign = fleet.run()
    fleet.clock.advance(timedelta(seconds=1))
    pause_campaign(fleet.office, campaign.id, by=fleet.engineer)
    street.deliver()
    assert street.sent == []
    fleet.shop.issue("k")
    street.relay()
    street.deliver(after=timedelta(seconds=1))
    assert street.sent == [2, 1]


def test_doubt_delivers_the_set_and_the_same_digits_settle_it(fleet: Fleet, street: Round) -> None:
    campaign = fleet.run()
    street.gateway.plan(fleet.shop.meters[0], Plan.LOSE_ANSWER)
    street.deliver()
    assert fleet.steps(campaign.id)[MeterStep.DELIVERED] == 1
    assert fleet.meter().krn == 1
    street.deliver(after=timedelta(minutes=1))
    assert fleet.steps(campaign.id)[MeterStep.ENTERED] == 1
    first, second = street.gateway.sent
    assert first == second


def test_refused_set_is_chased_and_accepted_credit_shows_that_it_was_in(
    fleet: Fleet, street: Round
) -> None:
    campaign = fleet.run()
    fleet.clock.advance(timedelta(seconds=1))
    fleet.shop.issue("k")
    street.relay()
    # What the customer typed from the receipt: the meter does not read the set any more.
    street.refuse_sets()
    street.deliver(after=timedelta(seconds=1))
    assert street.sent == [2, 1]
    assert report(fleet.office, campaign.id).evidence == {Evidence.CREDIT_ACCEPTED: 1}
    assert fleet.meter().krn == 2


def test_refused_set_without_credit_is_chased_at_once(fleet: Fleet, street: Round) -> None:
    campaign = fleet.run()
    street.refuse_sets()
    street.deliver()
    (group,) = list_chase(fleet.office, campaign.id)
    (entry,) = group.entries
    assert (entry.member.step, entry.member.code) == (MeterStep.NEEDS_CHASE, "crc_error")


def test_entered_by_another_word_the_set_is_not_sent_any_more(fleet: Fleet, street: Round) -> None:
    campaign = fleet.run()
    pan = fleet.shop.meters[0].pan
    note_entered(fleet.office, campaign.id, pan, note="visited", by=fleet.engineer)
    street.deliver()
    assert street.sent == []


def test_cancelled_campaign_keeps_chasing_a_set_in_doubt(fleet: Fleet, street: Round) -> None:
    campaign = fleet.run()
    street.gateway.plan(fleet.shop.meters[0], Plan.LOSE_REQUEST)
    street.deliver()
    ended = cancel_campaign(fleet.office, campaign.id, reason="-", by=fleet.engineer)
    assert ended.state is CampaignState.CANCELLED
    assert fleet.steps(campaign.id) == {MeterStep.DELIVERED: 1, MeterStep.WITHDRAWN: 3}
    street.deliver(after=timedelta(minutes=1))
    assert fleet.steps(campaign.id) == {MeterStep.ENTERED: 1, MeterStep.WITHDRAWN: 3}

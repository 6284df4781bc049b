"""Issue under switches and ceilings, pause, resume, cancel, and what each leaves behind."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.support.campaigns import Fleet
from tests.support.policies import set_policies
from tests.support.slow_security_module import Fault, Refuse, SlowSecurityModule
from tests.support.vending_keys import DUTK_1993
from vending.campaigns import repository
from vending.campaigns.errors import (
    CampaignMeterNotFoundError,
    CampaignMeterStateError,
    CampaignStateError,
)
from vending.campaigns.model import CampaignState, CampaignTarget, Channel, Evidence, MeterStep
from vending.campaigns.service.evidence import note_entered, note_not_entered
from vending.campaigns.service.issuing import issue_batch, issue_due
from vending.campaigns.service.lists import ListFormat
from vending.campaigns.service.printing import print_sets
from vending.campaigns.service.reports import list_chase, report, tell_meter
from vending.campaigns.service.running import cancel_campaign, pause_campaign, resume_campaign
from vending.custody.model import StopTarget
from vending.custody.service.switches import stop
from vending.keystore.errors import KeyChangeError
from vending.keystore.model import KeyReference
from vending.meters.model import MeterFilter
from vending.meters.service import change_link
from vending.policies.model import PolicyName
from vending.sts import SGC, KeyType
from vending.values.actor import SYSTEM


def test_paused_campaign_issues_nothing_until_resumed(fleet: Fleet) -> None:
    campaign = fleet.start(fleet.draft())
    issue_batch(fleet.office, campaign.id, limit=1)
    pause_campaign(fleet.office, campaign.id, by=fleet.engineer)
    assert issue_due(fleet.office) == 0
    assert fleet.steps(campaign.id) == {MeterStep.ISSUED: 1, MeterStep.PLANNED: 3}
    resume_campaign(fleet.office, campaign.id, by=fleet.engineer)
    assert issue_due(fleet.office) == 3


def test_kill_switch_holds_sets_back_and_none_is_lost(fleet: Fleet) -> None:
    campaign = fleet.start(fleet.draft())
    stop(
        fleet.database,
        fleet.engineer,
        StopTarget.supply_group(SGC("201457")),
        reason="key leaked",
        clock=fleet.clock,
    )
    assert issue_due(fleet.office) == 0
    assert fleet.steps(campaign.id) == {MeterStep.PLANNED: 4}


def test_kill_switch_on_one_key_lets_meters_on_others_go_on(fleet: Fleet) -> None:
    fleet.clock.advance(timedelta(seconds=1))
    place = fleet.shop.add_meter(DUTK_1993)  # behind those of the stopped key
    campaign = fleet.start(fleet.draft())
    stop(
        fleet.database,
        fleet.engineer,
        StopTarget.key(KeyReference(SGC("201457"), 1, KeyType.DUTK)),
        reason="key leaked",
        clock=fleet.clock,
    )
    result = issue_batch(fleet.office, campaign.id, limit=2)
    assert (result.issued, result.held) == (1, 2)
    with fleet.database.read() as connection:
        found = repository.find_sets_out(connection, [fleet.shop.meters[place].id])
    assert len(found) == 1
    assert issue_batch(fleet.office, campaign.id, limit=2).progress == 0
    assert fleet.steps(campaign.id) == {MeterStep.ISSUED: 1, MeterStep.PLANNED: 4}


def test_kill_switch_on_a_new_key_lets_meters_to_others_go_on(fleet: Fleet) -> None:
    fleet.shop.add_meter(DUTK_1993)
    campaign = fleet.start(fleet.draft())
    stop(
        fleet.database,
        fleet.engineer,
        StopTarget.key(KeyReference(SGC("201457"), 2, KeyType.DUTK)),
        reason="key leaked",
        clock=fleet.clock,
    )
    assert issue_batch(fleet.office, campaign.id, limit=2).issued == 1


def test_reached_ceiling_of_one_key_lets_meters_on_others_go_on(fleet: Fleet) -> None:
    fleet.shop.add_meter(DUTK_1993)
    set_policies(fleet.database, fleet.clock, {PolicyName.CEILING_MANAGEMENT_TOKENS: 5})
    office = fleet.office
    campaign = fleet.start(fleet.draft())
    assert issue_batch(office, campaign.id, limit=2).issued == 2
    assert issue_batch(office, campaign.id, limit=2).issued == 1
    assert fleet.steps(campaign.id) == {MeterStep.ISSUED: 3, MeterStep.PLANNED: 2}


def test_ceiling_of_management_tokens_holds_for_sets(fleet: Fleet) -> None:
    set_policies(fleet.database, fleet.clock, {PolicyName.CEILING_MANAGEMENT_TOKENS: 5})
    office = fleet.office
    campaign = fleet.start(fleet.draft())
    assert issue_batch(office, campaign.id).issued == 2  # two sections each
    assert issue_batch(office, campaign.id).issued == 0
    fleet.clock.advance(timedelta(days=1))
    assert issue_batch(office, campaign.id).issued == 2


def test_lost_answer_of_the_module_leaves_the_meters_planned(fleet: Fleet) -> None:
    campaign = fleet.start(fleet.draft())
    module = SlowSecurityModule(fleet.office.security_module)
    office = replace(fleet.office, security_module=module)
    described = [None, None]  # the two keys are looked at first
    module.plan(*described, Fault.LOSE_ANSWER, Fault.LOSE_REQUEST)
    result = issue_batch(office, campaign.id)
    assert (result.issued, result.held) == (2, 2)
    assert issue_batch(office, campaign.id).issued == 2


def test_refusal_of_the_module_fails_the_meter_and_may_be_tried_again(fleet: Fleet) -> None:
    campaign = fleet.start(fleet.draft())
    module = SlowSecurityModule(fleet.office.security_module)
    office = replace(fleet.office, security_module=module)
    module.plan(None, None, Refuse(KeyChangeError("no", sts_code="key_type_change")))
    issue_batch(office, campaign.id)
    assert fleet.steps(campaign.id) == {MeterStep.ISSUED: 3, MeterStep.FAILED: 1}
    reasons = report(fleet.office, campaign.id).reasons
    assert reasons == {(MeterStep.FAILED, KeyChangeError.code): 1}
    pause_campaign(office, campaign.id, by=fleet.engineer)
    resume_campaign(office, campaign.id, retry_failed=True, by=fleet.engineer)
    issue_due(office)
    assert fleet.steps(campaign.id) == {MeterStep.ISSUED: 4}


def test_two_campaigns_never_have_two_sets_out_for_one_meter(fleet: Fleet) -> None:
    first = fleet.run()
    second = fleet.run(target=CampaignTarget(sgc=SGC("201457"), krn=2))
    assert fleet.steps(first.id) == {MeterStep.ISSUED: 4}
    assert fleet.steps(second.id) == {MeterStep.SKIPPED: 4}
    assert report(fleet.office, second.id).campaign.state is CampaignState.FINISHED


def test_database_keeps_two_sets_apart_even_without_us(fleet: Fleet) -> None:
    first, second = fleet.run(), fleet.draft()
    statement = text(
        "INSERT INTO campaign_meters (campaign_id, meter_id, step, changed_at)"
        " SELECT :other, meter_id, step, changed_at FROM campaign_meters WHERE campaign_id = :one"
    )
    is_sqlite = fleet.database.engine.dialect.name == "sqlite"
    values = {
        "other": second.id.bytes if is_sqlite else second.id,
        "one": first.id.bytes if is_sqlite else first.id,
    }
    with (
        pytest.raises(IntegrityError),
        fleet.database.unit_of_work() as uow,
    ):
        uow.connection.execute(statement, values)


def test_sets_are_never_edited(fleet: Fleet) -> None:
    fleet.run()
    for statement in ("UPDATE key_change_sets SET new_krn = 3", "DELETE FROM key_change_sets"):
        with pytest.raises(IntegrityError), fleet.database.unit_of_work() as uow:
            uow.connection.exec_driver_sql(statement)


def test_cancelled_campaign_voids_what_never_left_and_chases_the_rest(fleet: Fleet) -> None:
    campaign = fleet.start(fleet.draft())
    issue_batch(fleet.office, campaign.id, limit=3)
    first, second = sorted(range(4), key=lambda place: fleet.shop.meters[place].id)[:2]
    fleet.shop.issue("carries the set of the first meter", meter=first)
    cancel_campaign(fleet.office, campaign.id, reason="wrong key", by=fleet.engineer)
    assert fleet.steps(campaign.id) == {MeterStep.DELIVERED: 1, MeterStep.WITHDRAWN: 3}
    (group,) = list_chase(fleet.office, campaign.id, days=0)
    assert [entry.meter.pan for entry in group.entries] == [fleet.shop.meters[first].pan]
    assert "key_change" in fleet.shop.issue("still out", meter=first)
    assert "key_change" not in fleet.shop.issue("void", meter=second)
    with pytest.raises(CampaignStateError):
        resume_campaign(fleet.office, campaign.id, by=fleet.engineer)


def test_set_out_for_too_long_is_chased(fleet: Fleet) -> None:
    campaign = fleet.run()
    assert list_chase(fleet.office, campaign.id) == []
    fleet.clock.advance(timedelta(days=14))
    (group,) = list_chase(fleet.office, campaign.id)
    assert (group.place, len(group.entries), group.entries[0].days) == ("Block A", 4, 14)


def test_campaign_ends_when_no_meter_waits(fleet: Fleet) -> None:
    campaign = fleet.run()
    for meter in fleet.shop.meters:
        note_entered(fleet.office, campaign.id, meter.pan, note="visited", by=fleet.engineer)
    issue_due(fleet.office)
    found = report(fleet.office, campaign.id)
    assert found.campaign.state is CampaignState.FINISHED
    assert found.evidence == {Evidence.CUSTOMER_SAID: 4}
    assert fleet.meter(3).krn == 2


def test_note_on_a_meter_without_a_set_is_refused(fleet: Fleet) -> None:
    campaign = fleet.start(fleet.draft())
    pan = fleet.shop.meters[0].pan
    with pytest.raises(CampaignMeterStateError):
        note_entered(fleet.office, campaign.id, pan, note="-", by=fleet.engineer)


def test_note_on_a_meter_outside_the_campaign_is_refused(fleet: Fleet) -> None:
    pan = fleet.shop.meters[0].pan
    campaign = fleet.run(wanted=MeterFilter(pans=(pan,)))
    other = fleet.shop.meters[1].pan
    with pytest.raises(CampaignMeterNotFoundError):
        note_entered(fleet.office, campaign.id, other, note="-", by=fleet.engineer)


def test_withdrawn_set_found_to_be_entered_after_all_changes_the_register(fleet: Fleet) -> None:
    campaign = fleet.run()
    pan = fleet.shop.meters[0].pan
    note_not_entered(fleet.office, campaign.id, pan, note="says no", by=fleet.engineer)
    fleet.clock.advance(timedelta(hours=1))
    note_entered(fleet.office, campaign.id, pan, note="says yes", by=fleet.engineer)
    assert fleet.meter().krn == 2
    with fleet.database.read() as connection:
        story = tell_meter(connection, campaign.id, pan)
    assert [step.target for step in story.steps] == [MeterStep.WITHDRAWN, MeterStep.ENTERED]


def test_printed_sets_are_delivered_and_come_again_the_same(fleet: Fleet) -> None:
    campaign = fleet.run(channels=frozenset({Channel.PRINT}))
    first = print_sets(
        fleet.office,
        campaign.id,
        place_prefix="Block",
        list_format=ListFormat.TEXT,
        language="en",
        by=fleet.engineer,
    )
    assert (first.count, first.is_whole) == (4, True)
    assert fleet.steps(campaign.id) == {MeterStep.DELIVERED: 4}
    again = print_sets(
        fleet.office,
        campaign.id,
        list_format=ListFormat.TEXT,
        language="en",
        by=fleet.engineer,
    )
    assert again.content == first.content


def test_paused_campaign_takes_its_deliveries_out_of_the_queue(fleet: Fleet) -> None:
    meter = fleet.shop.meters[0]
    link = "modbus-tcp://127.0.0.1:502/1"
    change_link(
        fleet.database,
        meter.pan,
        profile="reference_prepay",
        link=link,
        by=SYSTEM,
        clock=fleet.clock,
    )
    campaign = fleet.run()
    assert states(fleet) == ["queued"]
    pause_campaign(fleet.office, campaign.id, by=fleet.engineer)
    assert states(fleet) == ["superseded"]
    resume_campaign(fleet.office, campaign.id, by=fleet.engineer)
    assert states(fleet) == ["queued", "superseded"]


def states(fleet: Fleet) -> list[str]:
    with fleet.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT state FROM commands").scalars()
        return sorted(map(str, rows))

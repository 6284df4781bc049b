"""What a person finds out about a command reaches its campaign, in the same transaction."""

import uuid
from datetime import timedelta

import pytest

from tests.support.campaign_meters import Round
from tests.support.campaigns import Fleet
from tests.support.deliveries import Plan
from tests.support.people import sign_in_as
from tests.support.token_orders import give
from vending.campaigns.errors import CampaignMeterStateError
from vending.campaigns.model import Campaign, Evidence, MeterStep
from vending.campaigns.service.evidence import note_not_entered
from vending.campaigns.service.reports import report, tell_meter
from vending.campaigns.service.settling import retry_command, settle_command
from vending.commands.errors import CommandNotFoundError, CommandStateError
from vending.commands.model import Command, CommandState, Verdict
from vending.commands.rules import UNKNOWN_TRIES_MAX
from vending.commands.service import list_for_meter, list_for_person
from vending.delivery.service import deliver_due
from vending.operators.permissions import Role
from vending.values.identifiers import CommandId


@pytest.fixture
def street(fleet: Fleet) -> Round:
    return Round(fleet)


@pytest.fixture
def campaign(fleet: Fleet, street: Round) -> Campaign:
    """One whose set was sent to the first meter until a person has to look."""
    running = fleet.run()
    lose_answers(street)
    return running


def lose_answers(street: Round) -> None:
    street.gateway.plan(
        street.fleet.shop.meters[0], *[Plan.LOSE_REQUEST for _ in range(UNKNOWN_TRIES_MAX)]
    )
    for _ in range(UNKNOWN_TRIES_MAX):
        street.deliver(after=timedelta(hours=1))


def waiting(fleet: Fleet) -> Command:
    with fleet.database.read() as connection:
        (command,) = list_for_person(connection)
    return command


def settle(fleet: Fleet, verdict: Verdict) -> None:
    command = waiting(fleet)
    with fleet.database.unit_of_work() as uow:
        settle_command(
            uow.connection, command.id, verdict, by=fleet.engineer.actor, clock=fleet.clock
        )
        uow.commit()


def retry(fleet: Fleet, command_id: CommandId) -> None:
    with fleet.database.unit_of_work() as uow:
        retry_command(uow.connection, command_id, by=fleet.engineer.actor, clock=fleet.clock)
        uow.commit()


def last_step(fleet: Fleet, campaign: Campaign) -> tuple[MeterStep, Evidence, str | None, str]:
    with fleet.database.read() as connection:
        *_, step = tell_meter(connection, campaign.id, fleet.shop.meters[0].pan).steps
    return step.target, step.evidence, step.code, step.actor


def test_set_found_applied_changes_the_register(fleet: Fleet, campaign: Campaign) -> None:
    assert fleet.steps(campaign.id)[MeterStep.NEEDS_CHASE] == 1
    settle(fleet, Verdict.APPLIED)
    assert fleet.meter().krn == 2
    assert report(fleet.office, campaign.id).evidence == {Evidence.CUSTOMER_SAID: 1}
    assert "key_change" not in fleet.shop.issue("k")


def test_set_found_not_applied_stays_out_and_is_chased(fleet: Fleet, campaign: Campaign) -> None:
    settle(fleet, Verdict.NOT_APPLIED)
    engineer = str(fleet.engineer.actor)
    assert last_step(fleet, campaign) == (
        MeterStep.NEEDS_CHASE,
        Evidence.CLERK,
        "person_not_applied",
        engineer,
    )
    assert fleet.meter().krn == 1
    assert "key_change" in fleet.shop.issue("k")


def test_retried_set_is_sent_again_and_the_retry_is_kept(
    fleet: Fleet, street: Round, campaign: Campaign
) -> None:
    retry(fleet, waiting(fleet).id)
    assert last_step(fleet, campaign)[1] is Evidence.RETRIED
    street.deliver(after=timedelta(hours=1))
    assert len({digits for _, digits in street.gateway.sent}) == 1
    assert fleet.meter().krn == 2


def test_withdrawn_set_is_not_sent_again(fleet: Fleet, street: Round, campaign: Campaign) -> None:
    pan = fleet.shop.meters[0].pan
    note_not_entered(fleet.office, campaign.id, pan, note="keypad", by=fleet.engineer)
    command = waiting(fleet)
    sent = len(street.sent)
    with pytest.raises(CampaignMeterStateError):
        retry(fleet, command.id)
    street.deliver(after=timedelta(hours=1))
    assert len(street.sent) == sent
    assert waiting(fleet).state is CommandState.NEEDS_HUMAN


def test_withdrawn_set_found_applied_changes_the_register(fleet: Fleet, campaign: Campaign) -> None:
    pan = fleet.shop.meters[0].pan
    note_not_entered(fleet.office, campaign.id, pan, note="keypad", by=fleet.engineer)
    settle(fleet, Verdict.APPLIED)
    assert fleet.meter().krn == 2


@pytest.mark.parametrize("what", ["sale", "free units"])
def test_token_found_applied_shows_that_the_meter_changed(
    fleet: Fleet, street: Round, what: str
) -> None:
    campaign = fleet.run()
    if what == "sale":
        fleet.shop.issue("k")
    else:
        clerk = sign_in_as(fleet.database, fleet.clock, Role.CUSTOMER_SERVICE, name="clerk")
        give(fleet.shop, fleet.shop.container().token_desk, clerk, 5)
    street.relay()
    street.refuse_sets()
    fleet.clock.advance(timedelta(seconds=1))
    deliver_due(street.delivery)
    lose_answers(street)
    settle(fleet, Verdict.APPLIED)
    assert fleet.meter().krn == 2
    assert report(fleet.office, campaign.id).evidence == {Evidence.CUSTOMER_SAID: 1}


def test_only_what_waits_for_a_person_is_settled_or_retried(
    fleet: Fleet, campaign: Campaign
) -> None:
    with pytest.raises(CommandNotFoundError):
        retry(fleet, CommandId(uuid.UUID(int=1)))
    settle(fleet, Verdict.APPLIED)
    with fleet.database.read() as connection:
        (command,) = list_for_meter(connection, fleet.shop.meters[0].id)
    with pytest.raises(CommandStateError):
        retry(fleet, command.id)
    assert fleet.steps(campaign.id)[MeterStep.ENTERED] == 1

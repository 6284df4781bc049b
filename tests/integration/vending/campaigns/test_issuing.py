"""Sets are made once, of the meters that were approved, under switches and ceilings."""

from tests.support.campaigns import Fleet
from vending.campaigns.model import CampaignState, MeterStep
from vending.campaigns.service.issuing import issue_batch, issue_due


def test_every_chosen_meter_gets_its_set(fleet: Fleet) -> None:
    campaign = fleet.run()
    assert campaign.state is CampaignState.RUNNING
    assert campaign.meter_count == 4
    assert fleet.steps(campaign.id) == {MeterStep.ISSUED: 4}
    assert issue_due(fleet.office) == 0


def test_batches_are_bounded_and_go_on_where_they_stopped(fleet: Fleet) -> None:
    campaign = fleet.start(fleet.draft())
    assert issue_batch(fleet.office, campaign.id, limit=3).issued == 3
    assert fleet.steps(campaign.id) == {MeterStep.ISSUED: 3, MeterStep.PLANNED: 1}
    assert issue_batch(fleet.office, campaign.id, limit=3).issued == 1

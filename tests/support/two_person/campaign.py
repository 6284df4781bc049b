"""Campaigns: started over exactly the meters that another person approved."""

from tests.support.campaigns import Fleet
from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from vending.approvals.model import UseCase
from vending.campaigns.service.planning import propose_start, start_campaign
from vending.campaigns.service.reports import report


@scenario(UseCase.CAMPAIGN)
def campaign(stage: Stage) -> TwoPersonAct:
    fleet = Fleet(stage.database, stage.clock, stage.folder, 1)
    drafted = fleet.draft()
    return TwoPersonAct(
        propose=lambda by: propose_start(fleet.office, drafted.id, reason="planned", by=by).id,
        carry_out=lambda by, approval_id: start_campaign(
            fleet.office, drafted.id, approval_id=approval_id, by=by
        ),
        effect=lambda: report(fleet.office, drafted.id).steps,
    )

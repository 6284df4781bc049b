"""A key of a partner that can sell at once."""

from tests.support.shop import build_shop
from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from vending.approvals.model import UseCase
from vending.partners.service import issue_approved_api_key, list_api_keys, propose_api_key


@scenario(UseCase.PARTNER_KEY)
def partner_key(stage: Stage) -> TwoPersonAct:
    """Another key of a partner that owes without limit."""
    database, clock = stage.database, stage.clock
    partner = build_shop(database, clock, stage.folder).partner

    def effect() -> object:
        with database.read() as connection:
            return list_api_keys(connection, partner.id)

    return TwoPersonAct(
        propose=lambda by: (
            propose_api_key(database, partner.id, by=by, reason="rotation", clock=clock).id
        ),
        carry_out=lambda by, approval_id: issue_approved_api_key(
            database, partner.id, by=by, approval_id=approval_id, clock=clock
        ),
        effect=effect,
    )

"""A limit of one person, raised."""

from tests.support.policies import policies_of
from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from vending.approvals.model import UseCase
from vending.approvals.policy_changes import change_policy, propose_policy
from vending.policies.model import PolicyName


@scenario(UseCase.POLICY_CHANGE)
def policy_change(stage: Stage) -> TwoPersonAct:
    """Refunds that one person may make, where there are none so far."""
    database, clock, name, value = (
        stage.database,
        stage.clock,
        PolicyName.REFUND_LIMIT_MINOR,
        {"KES": 1_000_000},
    )
    return TwoPersonAct(
        propose=lambda by: (
            propose_policy(database, by, name, value, reason="shorter queues", clock=clock).id
        ),
        carry_out=lambda by, approval_id: change_policy(
            database, by, name, value, approval_id=approval_id, clock=clock
        ),
        effect=lambda: policies_of(database),
    )

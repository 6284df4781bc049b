"""A disconnection outside the rule."""

from tests.support.deliveries import Town
from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from vending.approvals.model import UseCase
from vending.commands.model import RelayOrder
from vending.commands.service import disconnect, list_for_meter, propose_disconnection
from vending.policies.model import PolicyName


@scenario(UseCase.DISCONNECTION)
def disconnection(stage: Stage) -> TwoPersonAct:
    """A meter cut off in the morning where the rule says at night."""
    town = Town(stage.database, stage.clock, {PolicyName.DISCONNECTION_HOURS: "01:00-02:00"})
    meter = town.add_meter()
    order = RelayOrder(meter.pan.iain, "bypass found")

    def effect() -> object:
        with stage.database.read() as connection:
            return list_for_meter(connection, meter.id)

    return TwoPersonAct(
        propose=lambda by: (
            propose_disconnection(stage.database, order, by=by, clock=stage.clock).id
        ),
        carry_out=lambda by, approval_id: disconnect(
            stage.database, order, by=by, clock=stage.clock, approval_id=approval_id
        ),
        effect=effect,
    )

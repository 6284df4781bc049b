"""The roles of an operator."""

from tests.support.people import operator_named
from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from vending.approvals.model import UseCase
from vending.approvals.role_changes import change_roles, propose_roles
from vending.operators.permissions import Role
from vending.operators.service.accounts import load_operator


@scenario(UseCase.ROLE_CHANGE)
def role_change(stage: Stage) -> TwoPersonAct:
    """A cashier becomes a key custodian."""
    database, clock = stage.database, stage.clock
    operator = operator_named(database, clock, "amina", [Role.CASHIER])
    wanted = frozenset({Role.KEY_CUSTODIAN})

    def effect() -> object:
        with database.read() as connection:
            return load_operator(connection, operator.id).roles

    return TwoPersonAct(
        propose=lambda by: (
            propose_roles(
                database, by, operator.id, wanted, reason="takes over the keys", clock=clock
            ).id
        ),
        carry_out=lambda by, approval_id: change_roles(
            database, by, operator.id, wanted, approval_id=approval_id, clock=clock
        ),
        effect=effect,
    )

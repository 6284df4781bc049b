"""Roles of operators change through approvals, and in no other way."""

from sqlalchemy import Connection

from vending.approvals.model import Act, Approval, UseCase
from vending.approvals.service import redeem, request_approval
from vending.operators.errors import OperatorStateError
from vending.operators.model import Operator, SignedIn
from vending.operators.permissions import Role
from vending.operators.service.accounts import load_operator, load_operator_for_change, set_roles
from vending.persistence.engine import Database
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId, OperatorId


def propose_roles(
    database: Database,
    by: SignedIn,
    operator_id: OperatorId,
    roles: frozenset[Role],
    *,
    reason: str,
    clock: Clock,
) -> Approval:
    """Ask that an operator have exactly these roles.

    Raises:
        PermissionDeniedError: The operator may not ask for it.
        SecondFactorStaleError: The second factor was given too long ago.
        ApprovalContentError: The reason cannot be shown.
        OperatorNotFoundError: There is no such operator.
        OperatorStateError: The account waits for its holder or is locked, and would get a role.
    """
    by.require_fresh(clock.now())
    with database.unit_of_work() as uow:
        act = _build_act(uow.connection, operator_id, roles)
        asked = request_approval(uow.connection, by, act, reason=reason, clock=clock)
        uow.commit()
    return asked


def change_roles(
    database: Database,
    by: SignedIn,
    operator_id: OperatorId,
    roles: frozenset[Role],
    *,
    approval_id: ApprovalId,
    clock: Clock,
) -> Operator:
    """Give an operator exactly these roles, as was approved; they hold at the next request.

    Raises:
        VendingError: The approval is not there, not approved, over, used up or of something else:
            see `vending.approvals.service.redeem`.
        OperatorNotFoundError: There is no such operator.
        OperatorStateError: The account waits for its holder or is locked, and would get a role.
    """
    with database.unit_of_work() as uow:
        connection = uow.connection
        act = _build_act(connection, operator_id, roles)
        redeem(connection, by, approval_id, act, clock=clock)
        before = load_operator(connection, operator_id)
        set_roles(connection, by.actor, before, roles, clock=clock)
        changed = load_operator(connection, operator_id)
        uow.commit()
    return changed


def _build_act(connection: Connection, operator_id: OperatorId, roles: frozenset[Role]) -> Act:
    """Return the change from the roles of now; other roles meanwhile make another act of it.

    Raises:
        OperatorNotFoundError: There is no such operator.
        OperatorStateError: The account waits for its holder or is locked, and would get a role.
    """
    operator = load_operator_for_change(connection, operator_id)
    if roles - operator.roles and not operator.is_active:
        # Whoever holds an activation code that is still open could become its holder.
        raise OperatorStateError(operator.name, operator.state.value)
    return Act(
        UseCase.ROLE_CHANGE,
        operator.subject,
        {
            "name": operator.name,
            "person": operator.person,
            "from": sorted(role.value for role in operator.roles),
            "to": sorted(role.value for role in roles),
        },
    )

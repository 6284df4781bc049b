"""Management tokens: what changes a meter takes two people; a test of class 1 takes one."""

from sqlalchemy import Connection

from vending.approvals.errors import ApprovalRequiredError
from vending.approvals.model import Approval
from vending.approvals.service import redeem, request_approval
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.tokens.model import ManagementRequest, OrderPurpose, TokenOrder
from vending.tokens.rules import (
    management_act,
    require_in_use,
    require_management,
    require_reason,
    takes_two,
)
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.orders import (
    IssuedOrder,
    Wanted,
    carry_out,
    find_made,
    lock_meter,
    open_order,
)
from vending.values.identifiers import ApprovalId


def propose_management_token(
    request: ManagementRequest, desk: TokenDesk, *, by: SignedIn, reason: str
) -> Approval:
    """Ask for the approval of a management token for a meter as it stands now.

    Raises:
        PermissionDeniedError: The operator may not ask.
        TokenRequestInvalidError: The kind cannot carry the value.
        MeterNotFoundError: The register has none of this number.
        MeterTakesNoTokenError: The meter is in no state to take it.
    """
    by.require(Permission.TOKENS_MANAGE)
    require_management(request.kind, request.value)
    with desk.database.unit_of_work() as uow:
        meter = require_in_use(lock_meter(uow.connection, request.meter, desk))
        act = management_act(meter, request.kind, request.value)
        approval = request_approval(uow.connection, by, act, reason=reason, clock=desk.clock)
        uow.commit()
    return approval


def issue_management_token(
    request: ManagementRequest,
    desk: TokenDesk,
    *,
    by: SignedIn,
    reason: str,
    approval_id: ApprovalId | None = None,
) -> IssuedOrder:
    """Return the management token; the same approval gives the same token again.

    A test of class 1 carries no identifier, changes nothing and is the same for every meter: one
    person with the permission orders it, and the audit log says so.

    Raises:
        PermissionDeniedError: The operator may not order it.
        ApprovalRequiredError: The token changes the meter, and no approval came with the order.
        TokenRequestInvalidError: The kind cannot carry the value, or there is no reason.
        MeterNotFoundError: The register has none of this number.
        MeterTakesNoTokenError: The meter is in no state to take it.
        TokenOrderRefusedError: The security module refused for good.
        TokenOrderUnknownError: The module did not answer; repeat the order.
        VendingError: The approval does not allow it, or the key cannot make it.
    """
    by.require(Permission.TOKENS_MANAGE)
    require_management(request.kind, request.value)
    require_reason(reason)

    wanted = Wanted(
        purpose=OrderPurpose.MANAGEMENT,
        kind=request.kind,
        value=request.value,
        reason=reason,
        approval_id=approval_id if takes_two(request.kind) else None,
    )

    def fix(connection: Connection) -> TokenOrder:
        meter = lock_meter(connection, request.meter, desk)
        made = find_made(connection, meter, wanted)
        if made is not None:
            return made
        require_in_use(meter)
        if takes_two(request.kind):
            act = management_act(meter, request.kind, request.value)
            if wanted.approval_id is None:
                raise ApprovalRequiredError(act.use_case, act.subject)
            redeem(connection, by, wanted.approval_id, act, clock=desk.clock)
        return open_order(connection, meter, wanted, desk, by=by)

    return carry_out(desk, fix, by.actor)

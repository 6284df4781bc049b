"""Replacements: the units of a token again, under a new identifier, when the first did not work.

Nothing is paid and nothing is posted: the sale stands. The old token is marked by the order that
took its place, and is replaced once. One that its meter is known to have taken, or that is still
on its way, is not replaced.
"""

from sqlalchemy import Connection

from vending.approvals.errors import ApprovalRequiredError
from vending.approvals.model import Approval
from vending.approvals.service import redeem, request_approval
from vending.campaigns.service.deliveries import with_keys_to_sell_under
from vending.commands.model import CommandState
from vending.commands.service import list_for_token
from vending.meters.errors import MeterNotFoundError
from vending.meters.model import Meter
from vending.meters.rules import parse_meter_number, require_vendable
from vending.meters.service import lock_meters
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.policies.service import load_policies
from vending.sales import repository
from vending.sales.errors import ReplacementRefusedError
from vending.sales.model import ReplacementRequest
from vending.sales.rules import replacement_act
from vending.tokens.errors import TokenNotFoundError, TokenReplacedError
from vending.tokens.model import OrderPurpose, OrderState, TokenKind, TokenOrder, TokenRecord
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.orders import (
    IssuedOrder,
    Wanted,
    carry_out,
    find_made,
    open_order,
)
from vending.tokens.service.views import find_replacement, find_token, load_order
from vending.values.energy import WH_PER_STS_UNIT
from vending.values.identifiers import ApprovalId, SaleId, TokenId, TokenOrderId

_TAKEN = frozenset({CommandState.DONE, CommandState.RECONCILED})
_NOT_TAKEN = frozenset({CommandState.REFUSED, CommandState.EXPIRED, CommandState.SUPERSEDED})


def propose_replacement(
    request: ReplacementRequest, desk: TokenDesk, *, by: SignedIn, reason: str
) -> Approval:
    """Ask for the approval of a replacement, as token and meter stand now.

    Raises:
        PermissionDeniedError: The operator may not ask.
        TokenNotFoundError: No token has this id.
        TokenReplacedError: It was replaced before.
        ReplacementRefusedError: The token may not be made again.
        MeterNotVendableError: The meter's state takes no credit.
    """
    by.require(Permission.SALES_REPLACE)
    with desk.database.unit_of_work() as uow:
        token = _load_token(uow.connection, request.token_id)
        meter = _lock_target(uow.connection, request, token)
        _require_replaceable(uow.connection, token)
        act = replacement_act(token, meter, request.reason)
        approval = request_approval(uow.connection, by, act, reason=reason, clock=desk.clock)
        uow.commit()
    return approval


def replace_token(
    request: ReplacementRequest,
    desk: TokenDesk,
    *,
    by: SignedIn,
    approval_id: ApprovalId | None = None,
) -> IssuedOrder:
    """Return another token with the same units; asked for again, the same one.

    Raises:
        PermissionDeniedError: The operator may not do it.
        TokenNotFoundError: No token has this id.
        TokenReplacedError: It was replaced before, by another act.
        ReplacementRefusedError: The token may not be made again.
        ApprovalRequiredError: It carries more than the limit, or replaces a replacement, and no
            approval came with it.
        MeterNotVendableError: The meter's state takes no credit.
        TokenOrderRefusedError: The security module refused for good.
        TokenOrderUnknownError: The module did not answer; repeat the order.
        VendingError: The approval does not allow it, or the key cannot make it.
    """
    by.require(Permission.SALES_REPLACE)

    def fix(connection: Connection) -> TokenOrder:
        token = _load_token(connection, request.token_id)
        meter = _lock_target(connection, request, token)
        # A replacement is as good as what it replaces: made alone again and again, it has no limit.
        is_second = token.order_id is not None and _is_replacement(connection, token.order_id)
        limit_wh = load_policies(connection).replacement_limit_wh
        takes_two = is_second or token.units * WH_PER_STS_UNIT > limit_wh
        wanted = Wanted(
            purpose=OrderPurpose.REPLACEMENT,
            kind=TokenKind.TRANSFER_CREDIT,
            value=token.units,
            reason=request.reason.value,
            approval_id=approval_id if takes_two else None,
            sale_id=_sale_of(connection, token),
            replaces_token_id=token.id,
        )
        made = find_made(connection, meter, wanted) or _find_own(connection, meter, wanted, by)
        if made is not None:
            return made
        _require_replaceable(connection, token)
        if takes_two:
            act = replacement_act(token, meter, request.reason)
            if approval_id is None:
                raise ApprovalRequiredError(act.use_case, act.subject)
            redeem(connection, by, approval_id, act, clock=desk.clock)
        return open_order(connection, meter, wanted, desk, by=by)

    return carry_out(desk, fix, by.actor)


def _load_token(connection: Connection, token_id: TokenId) -> TokenRecord:
    token = find_token(connection, token_id)
    if token is None:
        raise TokenNotFoundError(token_id)
    if token.kind is not TokenKind.TRANSFER_CREDIT:
        raise ReplacementRefusedError(token_id, "it carries no units; order another one")
    return token


def _lock_target(connection: Connection, request: ReplacementRequest, token: TokenRecord) -> Meter:
    """Return the meter that gets the new token; another one must be the customer's own.

    Both meters are locked: the old one against a refund, another replacement and its delivery.

    Raises:
        MeterNotFoundError: The register has no meter of the number.
        ReplacementRefusedError: The meters do not belong to one customer.
    """
    old_pan = token.meter_pan
    pan = old_pan if request.meter is None else parse_meter_number(request.meter)
    locked = with_keys_to_sell_under(connection, lock_meters(connection, {pan, old_pan}))
    if pan not in locked:
        raise MeterNotFoundError(pan.iain)
    meter, old = locked[pan], locked[old_pan]
    is_same_customer = old.customer_id is not None and old.customer_id == meter.customer_id
    if meter.pan != old.pan and not is_same_customer:
        raise ReplacementRefusedError(token.id, "the meters belong to different customers")
    return require_vendable(meter.pan, meter)


def _sale_of(connection: Connection, token: TokenRecord) -> SaleId | None:
    if token.order_id is None:
        return token.sale_id
    return load_order(connection, token.order_id).sale_id


def _is_replacement(connection: Connection, order_id: TokenOrderId) -> bool:
    return load_order(connection, order_id).purpose is OrderPurpose.REPLACEMENT


def _find_own(
    connection: Connection, meter: Meter, wanted: Wanted, by: SignedIn
) -> TokenOrder | None:
    """Return the replacement that the same operator made before without an approval."""
    assert wanted.replaces_token_id is not None, "a replacement replaces a token"
    made = find_replacement(connection, wanted.replaces_token_id)
    if made is None or wanted.approval_id is not None or made.approval_id is not None:
        return None
    is_own = made.ordered_by == by.operator_id and made.meter_id == meter.id
    return made if is_own and made.state is not OrderState.REFUSED else None


def _require_replaceable(connection: Connection, token: TokenRecord) -> None:
    """Go on only while the units of the token are given once.

    Raises:
        TokenReplacedError: It was replaced before.
        ReplacementRefusedError: Its meter has it, or may get it, or its money went back.
    """
    made = find_replacement(connection, token.id)
    if made is not None:
        raise TokenReplacedError(token.id, made.id)
    states = {command.state for command in list_for_token(connection, token.id)}
    if states & _TAKEN:
        raise ReplacementRefusedError(token.id, "its meter took it")
    if states - _NOT_TAKEN:
        raise ReplacementRefusedError(token.id, "it is on its way to its meter")
    sale_id = _sale_of(connection, token)
    if sale_id is not None and repository.list_refunds(connection, sale_id):
        raise ReplacementRefusedError(token.id, "money of its sale went back")

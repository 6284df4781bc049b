"""Free units: a credit token that nobody pays for, booked as an expense, within a monthly limit."""

from dataclasses import replace

from sqlalchemy import Connection

from vending.approvals.model import Approval
from vending.approvals.service import redeem, request_approval
from vending.meters.model import Meter
from vending.meters.rules import require_vendable
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.policies.service import load_policies
from vending.sts.amount import round_transfer_amount
from vending.tariffs.rules import compute_net_value
from vending.tariffs.service import load_effective
from vending.tokens import repository
from vending.tokens.errors import FreeUnitsLimitError
from vending.tokens.model import FreeUnitsRequest, OrderPurpose, TokenKind, TokenOrder
from vending.tokens.rules import free_units_act, month_start, require_reason, require_units
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.orders import (
    IssuedOrder,
    Wanted,
    carry_out,
    find_made,
    lock_meter,
    open_order,
)
from vending.values.energy import WH_PER_STS_UNIT
from vending.values.identifiers import ApprovalId
from vending.values.money import Money


def propose_free_units(
    request: FreeUnitsRequest, desk: TokenDesk, *, by: SignedIn, reason: str
) -> Approval:
    """Ask for the approval of free units for a meter as it stands now.

    Raises:
        PermissionDeniedError: The operator may not ask.
        TokenRequestInvalidError: The units do not fit on one token.
        MeterNotFoundError: The register has none of this number.
        MeterNotVendableError: The meter's state takes no credit.
        FreeUnitsLimitError: The meter has had its free units of this month.
    """
    by.require(Permission.TOKENS_FREE)
    require_units(request.units)
    with desk.database.unit_of_work() as uow:
        meter = _lock_meter_within_limit(uow.connection, request, desk)
        act = free_units_act(meter, request.units)
        approval = request_approval(uow.connection, by, act, reason=reason, clock=desk.clock)
        uow.commit()
    return approval


def issue_free_units(
    request: FreeUnitsRequest,
    desk: TokenDesk,
    *,
    by: SignedIn,
    reason: str,
    approval_id: ApprovalId,
) -> IssuedOrder:
    """Return the credit token; the same approval gives the same token again.

    Raises:
        PermissionDeniedError: The operator may not order it.
        TokenRequestInvalidError: The units do not fit on one token, or there is no reason.
        MeterNotFoundError: The register has none of this number.
        MeterNotVendableError: The meter's state takes no credit.
        FreeUnitsLimitError: The meter has had its free units of this month.
        TariffNotFoundError: The units have no price to book them at.
        TokenOrderRefusedError: The security module refused for good.
        TokenOrderUnknownError: The module did not answer; repeat the order.
        VendingError: The approval does not allow it, or the key cannot make it.
    """
    by.require(Permission.TOKENS_FREE)
    require_units(request.units)
    require_reason(reason)
    wanted = Wanted(
        purpose=OrderPurpose.FREE_UNITS,
        kind=TokenKind.TRANSFER_CREDIT,
        value=round_transfer_amount(request.units),
        reason=reason,
        approval_id=approval_id,
    )

    def fix(connection: Connection) -> TokenOrder:
        made = find_made(connection, lock_meter(connection, request.meter, desk), wanted)
        if made is not None:
            return made
        meter = _lock_meter_within_limit(connection, request, desk)
        act = free_units_act(meter, request.units)
        redeem(connection, by, approval_id, act, clock=desk.clock)
        worth = _price(connection, meter, wanted.value, desk)
        return open_order(connection, meter, replace(wanted, worth=worth), desk, by=by)

    return carry_out(desk, fix, by.actor)


def _lock_meter_within_limit(
    connection: Connection, request: FreeUnitsRequest, desk: TokenDesk
) -> Meter:
    meter = lock_meter(connection, request.meter, desk)
    require_vendable(meter.pan, meter)
    policies = load_policies(connection)
    since = month_start(desk.clock.now(), policies.timezone)
    given = repository.sum_free_units(connection, meter.id, since=since)
    limit_wh = policies.free_units_month_wh
    if (given + round_transfer_amount(request.units)) * WH_PER_STS_UNIT > limit_wh:
        raise FreeUnitsLimitError(
            meter.pan.iain, given_wh=given * WH_PER_STS_UNIT, limit_wh=limit_wh
        )
    return meter


def _price(connection: Connection, meter: Meter, units: int, desk: TokenDesk) -> Money:
    tariff = load_effective(connection, meter.tariff_code, desk.clock.now())
    return compute_net_value(units, tariff)

"""Refunds: money back for a sale, at most the sale, with its VAT; no refund touches a meter.

Whether the token was used cannot be known: the reason says why the money goes back all the same.
Up to the utility's limit, counted over all refunds of one sale, one person does it; where the token
was replaced, units and money would both be given back, so two people look.
"""

from typing import Final

from sqlalchemy import Connection

from vending.approvals.errors import ApprovalRequiredError
from vending.approvals.model import Approval
from vending.approvals.service import redeem, request_approval
from vending.ledger.service import post_entries
from vending.meters.service import lock_meters
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.partners.service import load_lines
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.policies.service import load_policies
from vending.sales import repository
from vending.sales.errors import (
    RefundInvalidError,
    RefundKeyReusedError,
    RefundTooLargeError,
    SaleNotFoundError,
    SaleNotRefundableError,
)
from vending.sales.model import Refund, RefundRequest, Sale, SaleState
from vending.sales.repository import list_refunds
from vending.sales.rules import refund_accounts, refund_act, refund_entry, split_refund
from vending.sales.service.desk import SalesDesk
from vending.tokens.service.views import is_sale_replaced
from vending.values.identifiers import ApprovalId, EntryId, RefundId, new_uuid7

__all__ = ["list_refunds", "propose_refund", "refund_sale"]

NOTE_LENGTH_MAX: Final = 200
KEY_LENGTH_MAX: Final = 255
REFUNDABLE_STATES: Final = frozenset(
    {SaleState.ISSUED, SaleState.RELEASED, SaleState.CONFIRMED, SaleState.SUSPECT}
)
"""The sale has its token, so the books have its money."""


def propose_refund(request: RefundRequest, desk: SalesDesk, *, by: SignedIn) -> Approval:
    """Ask for the approval of a refund, as the sale stands now; its note is the reason.

    Raises:
        PermissionDeniedError: The operator may not ask.
        RefundInvalidError: The amount, the note or the key is none.
        RefundTooLargeError: It is more than what is left of the sale.
        SaleNotFoundError: There is no such sale.
        SaleNotRefundableError: The sale has no token.
    """
    by.require(Permission.SALES_REFUND)
    _require_valid(request)
    with desk.database.unit_of_work() as uow:
        sale, before_minor = _lock(uow.connection, request)
        act = refund_act(sale, request, before_minor)
        approval = request_approval(uow.connection, by, act, reason=request.note, clock=desk.clock)
        uow.commit()
    return approval


def refund_sale(
    request: RefundRequest,
    desk: SalesDesk,
    *,
    by: SignedIn,
    approval_id: ApprovalId | None = None,
) -> Refund:
    """Give money back; the same key with the same request is the same refund.

    Raises:
        PermissionDeniedError: The operator may not do it.
        RefundInvalidError: The amount, the note or the key is none.
        RefundKeyReusedError: The key belongs to another refund.
        RefundTooLargeError: It is more than what is left of the sale.
        SaleNotFoundError: There is no such sale.
        SaleNotRefundableError: The sale has no token.
        ApprovalRequiredError: It takes a second person.
        VendingError: The approval does not allow it.
    """
    by.require(Permission.SALES_REFUND)
    _require_valid(request)
    with desk.database.unit_of_work() as uow:
        connection = uow.connection
        _lock_meter_of(connection, request)
        made = repository.find_refund_by_key(connection, request.key)
        if made is not None:
            return _require_same(made, request)
        sale, before_minor = _lock(connection, request)
        act = refund_act(sale, request, before_minor)
        limits_minor = load_policies(connection).refund_limit_minor
        limit_minor = limits_minor.get(sale.quote.gross.currency.code, 0)
        takes_two = before_minor + request.amount_minor > limit_minor
        if takes_two or is_sale_replaced(connection, sale.id):
            if approval_id is None:
                raise ApprovalRequiredError(act.use_case, act.subject)
            redeem(connection, by, approval_id, act, clock=desk.clock)
        else:
            approval_id = None
        refund = _make(request, sale, before_minor, desk, by, approval_id)
        _post(connection, refund, sale)
        repository.insert_refund(connection, refund)
        record(connection, [_event(by, refund)], desk.clock)
        uow.commit()
    return refund


def _lock_meter_of(connection: Connection, request: RefundRequest) -> None:
    """Lock the meter before its sale, as sales do: its credit may change.

    Raises:
        SaleNotFoundError: There is no such sale.
    """
    pan = repository.find_meter_pan(connection, request.sale_id)
    if pan is None:
        raise SaleNotFoundError
    lock_meters(connection, [pan])


def _lock(connection: Connection, request: RefundRequest) -> tuple[Sale, int]:
    """Return the sale, locked, and what went back before.

    Raises:
        SaleNotFoundError: There is no such sale.
        SaleNotRefundableError: The sale has no token.
        RefundTooLargeError: The request is more than what is left of it.
    """
    sale = repository.lock_sale(connection, request.sale_id)
    if sale is None:
        raise SaleNotFoundError
    if sale.state not in REFUNDABLE_STATES:
        raise SaleNotRefundableError(sale.state.value)
    before_minor = sum(one.gross.minor for one in list_refunds(connection, sale.id))
    left_minor = sale.quote.gross.minor - before_minor
    if request.amount_minor > left_minor:
        raise RefundTooLargeError(request.amount_minor, left_minor)
    return sale, before_minor


def _make(  # what a refund is made of
    request: RefundRequest,
    sale: Sale,
    before_minor: int,
    desk: SalesDesk,
    by: SignedIn,
    approval_id: ApprovalId | None,
) -> Refund:
    net, vat = split_refund(
        sale.quote, before_minor=before_minor, amount_minor=request.amount_minor
    )
    return Refund(
        id=RefundId(new_uuid7(desk.clock)),
        sale_id=sale.id,
        net=net,
        vat=vat,
        destination=request.destination,
        reason=request.reason,
        note=request.note,
        approval_id=approval_id,
        key=request.key,
        entry_id=EntryId(new_uuid7(desk.clock)),
        refunded_by=by.operator_id,
        refunded_at=desk.clock.now(),
    )


def _post(connection: Connection, refund: Refund, sale: Sale) -> None:
    line_minor = load_lines(connection, [sale.partner_id]).get(sale.partner_id)
    accounts = refund_accounts(sale, refund.destination, line_minor)
    post_entries(connection, [refund_entry(refund, accounts)], accounts)


def _require_valid(request: RefundRequest) -> None:
    if request.amount_minor < 1:
        raise RefundInvalidError(field="amount", wanted="at least one minor unit")
    if not (1 <= len(request.note.strip()) <= NOTE_LENGTH_MAX and request.note.isprintable()):
        raise RefundInvalidError(
            field="note", wanted=f"1 to {NOTE_LENGTH_MAX} printable characters"
        )
    if not (1 <= len(request.key) <= KEY_LENGTH_MAX and request.key.isprintable()):
        raise RefundInvalidError(field="key", wanted=f"1 to {KEY_LENGTH_MAX} printable characters")


def _require_same(made: Refund, request: RefundRequest) -> Refund:
    same = (made.sale_id, made.gross.minor, made.destination, made.reason)
    if same != (request.sale_id, request.amount_minor, request.destination, request.reason):
        raise RefundKeyReusedError
    return made


def _event(by: SignedIn, refund: Refund) -> AuditEvent:
    details: dict[str, Json] = {
        "refund": str(refund.id),
        "net_minor": refund.net.minor,
        "vat_minor": refund.vat.minor,
        "currency": refund.net.currency.code,
        "destination": refund.destination.value,
        "reason": refund.reason.value,
        "approval": None if refund.approval_id is None else str(refund.approval_id),
    }
    return AuditEvent(by.actor, "sale.refunded", f"sale:{refund.sale_id}", details)

"""Routes of refunds."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Response
from pydantic import Field

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.office_forms import (
    ApprovalIn,
    AskedOut,
    Instant,
    Line,
    OfficeIn,
    OfficeOut,
    asked,
    id_of,
)
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE, TENDER_MINOR_MAX, MoneyOut, RecordId
from vending.approvals.errors import ApprovalRequiredError
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.sales.model import Refund, RefundDestination, RefundReason, RefundRequest
from vending.sales.receipt import money_document
from vending.sales.service.refunds import list_refunds, propose_refund, refund_sale
from vending.values.identifiers import SaleId

router: Final = new_router("office")
SalePath = Annotated[UUID, Path(description="Id of the sale", examples=[ID_EXAMPLE])]


class RefundIn(OfficeIn):
    """Money back for a sale, energy and VAT together."""

    amount_minor: Annotated[int, Field(gt=0, le=TENDER_MINOR_MAX, examples=[2000])]
    destination: Annotated[RefundDestination, Field(strict=False, examples=["partner"])]
    why: Annotated[RefundReason, Field(strict=False, examples=["paid-twice"])]
    note: Line
    key: Annotated[
        str,
        Field(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="Makes it happen once; the same in the request for the approval",
            examples=["refund-4711"],
        ),
    ]
    approval_id: ApprovalIn = None


class RefundOut(OfficeOut):
    """Money that went back."""

    id: RecordId
    gross: MoneyOut
    vat: MoneyOut
    destination: Annotated[str, Field(examples=["partner"])]
    why: Annotated[str, Field(examples=["paid-twice"])]
    refunded_at: Instant


class RefundsOut(OfficeOut):
    """What went back for a sale, the oldest first."""

    refunds: list[RefundOut]


@router.post(
    "/office/sales/{sale_id}/refunds",
    responses={
        200: {"model": RefundOut},
        202: {"model": AskedOut},
        **problems(400, 401, 403, 404, 409, 413, 422, 503),
    },
)
def create_refund(
    sale_id: SalePath,
    body: RefundIn,
    by: Annotated[SignedIn, Depends(requires(Permission.SALES_REFUND))],
    container: ContainerDep,
) -> Response:
    """Give money back; above the limit of one person, ask for the approval first."""
    request = RefundRequest(
        sale_id=SaleId(sale_id),
        amount_minor=body.amount_minor,
        destination=body.destination,
        reason=body.why,
        note=body.note,
        key=body.key,
    )
    desk = container.desk
    try:
        made = refund_sale(request, desk, by=by, approval_id=id_of(body.approval_id))
    except ApprovalRequiredError:
        return asked(propose_refund(request, desk, by=by))
    return encoded(_document(made))


@router.get(
    "/office/sales/{sale_id}/refunds",
    responses={200: {"model": RefundsOut}, **problems(401, 403, 422, 503)},
)
def get_refunds(
    sale_id: SalePath,
    by: Annotated[SignedIn, Depends(requires(Permission.SALES_READ))],
    container: ContainerDep,
) -> Response:
    """List what went back for a sale."""
    del by
    with container.database.read() as connection:
        found = list_refunds(connection, SaleId(sale_id))
    return encoded({"refunds": [_document(one) for one in found]})


def _document(refund: Refund) -> dict[str, object]:
    return {
        "id": str(refund.id),
        "gross": money_document(refund.gross),
        "vat": money_document(refund.vat),
        "destination": refund.destination.value,
        "why": refund.reason.value,
        "refunded_at": refund.refunded_at.isoformat(),
    }

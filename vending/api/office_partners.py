"""Routes of partners: see what they owe, set their credit lines, stop them at once."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Response
from pydantic import Field

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.office_forms import ApprovalIn, AskedOut, Line, OfficeIn, OfficeOut, asked
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE, MoneyOut, RecordId
from vending.bootstrap import Container
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.partners.model import Partner, PartnerStatus
from vending.partners.rules import LINE_MINOR_MAX
from vending.partners.service import (
    change_status,
    list_partners,
    load_owed,
    load_partner,
    propose_credit_line,
    set_credit_line,
)
from vending.sales.receipt import money_document
from vending.values.identifiers import ApprovalId, PartnerId

router: Final = new_router("office")
PartnerPath = Annotated[UUID, Path(description="Id of the partner", examples=[ID_EXAMPLE])]
_REFUSALS: Final = problems(400, 401, 403, 404, 409, 413, 422, 503)


class CreditLineIn(OfficeIn):
    """The most a partner may owe, and the approval of it or why it is asked for."""

    line_minor: Annotated[
        int | None,
        Field(ge=0, le=LINE_MINOR_MAX, description="None: without limit", examples=[500_000]),
    ]
    reason: Line
    approval_id: ApprovalIn = None


class StatusIn(OfficeIn):
    """Whether a partner may sell."""

    status: Annotated[PartnerStatus, Field(strict=False, examples=["suspended"])]


class PartnerRowOut(OfficeOut):
    """A partner, and what it owes."""

    id: RecordId
    name: Annotated[str, Field(examples=["Corner Shop"])]
    status: Annotated[str, Field(examples=["active"])]
    owed: MoneyOut
    credit_line_minor: Annotated[int | None, Field(examples=[500_000])]


class PartnersOut(OfficeOut):
    """The partners in the order of their names."""

    partners: list[PartnerRowOut]


@router.get(
    "/office/partners", responses={200: {"model": PartnersOut}, **problems(401, 403, 422, 503)}
)
def get_partners(
    by: Annotated[SignedIn, Depends(requires(Permission.PARTNERS_READ))],
    container: ContainerDep,
) -> Response:
    """List the partners, what they owe, and how much they may."""
    del by
    with container.database.read() as connection:
        found = [(one, load_owed(connection, one)) for one in list_partners(connection)]
    rows = [_document(one) | {"owed": money_document(owed)} for one, owed in found]
    return encoded({"partners": rows})


@router.put(
    "/office/partners/{partner_id}/credit-line",
    responses={200: {"model": PartnerRowOut}, 202: {"model": AskedOut}, **_REFUSALS},
)
def put_credit_line(
    partner_id: PartnerPath,
    body: CreditLineIn,
    by: Annotated[SignedIn, Depends(requires(Permission.PARTNERS_CREDIT))],
    container: ContainerDep,
) -> Response:
    """Set the most a partner may owe; without an approval, ask for it."""
    database, clock, wanted = container.database, container.clock, PartnerId(partner_id)
    if body.approval_id is None:
        return asked(
            propose_credit_line(
                database, wanted, body.line_minor, by=by, reason=body.reason, clock=clock
            )
        )
    set_credit_line(
        database,
        wanted,
        body.line_minor,
        by=by,
        approval_id=ApprovalId(body.approval_id),
        clock=clock,
    )
    return encoded(_load(container, wanted))


@router.put(
    "/office/partners/{partner_id}/status",
    responses={200: {"model": PartnerRowOut}, **_REFUSALS},
)
def put_status(
    partner_id: PartnerPath,
    body: StatusIn,
    by: Annotated[SignedIn, Depends(requires(Permission.PARTNERS_WRITE))],
    container: ContainerDep,
) -> Response:
    """Stop a partner at once, or let it sell again; one person does it."""
    wanted = PartnerId(partner_id)
    change_status(container.database, wanted, body.status, by=by.actor, clock=container.clock)
    return encoded(_load(container, wanted))


def _load(container: Container, partner_id: PartnerId) -> dict[str, object]:
    with container.database.read() as connection:
        partner = load_partner(connection, partner_id)
        owed = load_owed(connection, partner)
    return _document(partner) | {"owed": money_document(owed)}


def _document(partner: Partner) -> dict[str, object]:
    return {
        "id": str(partner.id),
        "name": partner.name,
        "status": partner.status.value,
        "credit_line_minor": partner.credit_line_minor,
    }

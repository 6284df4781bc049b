"""Routes of tokens outside a sale, and of the digits of any token."""

from collections.abc import Sequence
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
    MeterPath,
    OfficeIn,
    OfficeOut,
    asked,
    id_of,
)
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE, KeyChangeOut, MeterNumber, RecordId
from vending.approvals.errors import ApprovalRequiredError
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.sales.model import ReplacementReason, ReplacementRequest
from vending.sales.receipt import enter_first_document
from vending.sales.service.replacements import propose_replacement, replace_token
from vending.sts import group_digits
from vending.tokens.model import FreeUnitsRequest, ManagementRequest, NewToken, TokenKind
from vending.tokens.rules import FREE_UNITS_MAX, takes_two
from vending.tokens.service.free_units import issue_free_units, propose_free_units
from vending.tokens.service.management import issue_management_token, propose_management_token
from vending.tokens.service.views import list_tokens, view_token
from vending.values.identifiers import ApprovalId, TokenId

router: Final = new_router("office")
TokenPath = Annotated[UUID, Path(description="Id of the token", examples=[ID_EXAMPLE])]
Kind = Annotated[TokenKind, Field(strict=False, examples=["clear-tamper-condition"])]
_REFUSALS: Final = problems(400, 401, 403, 404, 409, 413, 422, 429, 503)


class ManagementIn(OfficeIn):
    """A management token for a meter."""

    meter: MeterNumber
    kind: Kind
    value: Annotated[
        int, Field(description="Watts, register, rate, factor or test bits", examples=[5000])
    ] = 0
    reason: Line
    approval_id: ApprovalIn = None


class FreeUnitsIn(OfficeIn):
    """Units for nothing."""

    meter: MeterNumber
    units: Annotated[int, Field(ge=1, le=FREE_UNITS_MAX, examples=[50])]
    reason: Line
    approval_id: ApprovalIn = None


class ReplacementIn(OfficeIn):
    """Another token with the units of this one."""

    why: Annotated[ReplacementReason, Field(strict=False, examples=["token-rejected"])]
    meter: Annotated[
        str | None,
        Field(max_length=40, description="The customer's new meter", examples=["01234567897"]),
    ] = None
    approval_id: ApprovalIn = None


class ViewIn(OfficeIn):
    """Why the digits are looked at."""

    purpose: Line


class IssuedTokenOut(OfficeOut):
    """A token with its digits, and what goes before it; that it was shown is recorded."""

    id: RecordId
    kind: Annotated[str, Field(examples=["clear-tamper-condition"])]
    units: Annotated[int, Field(examples=[0])]
    digits: Annotated[str, Field(pattern=r"^[0-9]{20}$", examples=["70630503470028726114"])]
    grouped: Annotated[str, Field(examples=["7063 0503 4700 2872 6114"])]
    key_change: Annotated[
        KeyChangeOut | None,
        Field(description="To be entered before the token; absent: nothing is"),
    ] = None


class TokenRowOut(OfficeOut):
    """A token without its digits."""

    id: RecordId
    kind: Annotated[str, Field(examples=["transfer-credit"])]
    purpose: Annotated[str, Field(examples=["sale"])]
    units: Annotated[int, Field(examples=[50])]
    last_four: Annotated[str, Field(examples=["6114"])]
    issued_at: Instant
    is_replaced: bool


class TokensOut(OfficeOut):
    """The newest tokens of a meter, the newest first."""

    tokens: list[TokenRowOut]


@router.get(
    "/office/meters/{meter}/tokens",
    responses={200: {"model": TokensOut}, **problems(401, 403, 404, 422, 503)},
)
def get_tokens(
    meter: MeterPath,
    by: Annotated[SignedIn, Depends(requires(Permission.SALES_READ))],
    container: ContainerDep,
) -> Response:
    """List the newest tokens of a meter, without their digits."""
    del by
    with container.database.read() as connection:
        tokens, orders = list_tokens(connection, meter)
    purposes = {order.id: order.purpose.value for order in orders}
    replaced = {order.replaces_token_id for order in orders}
    rows = [
        {
            "id": str(token.id),
            "kind": token.kind.value,
            "purpose": purposes.get(token.order_id, "sale") if token.order_id else "sale",
            "units": token.units,
            "last_four": token.last_four,
            "issued_at": token.issued_at.isoformat(),
            "is_replaced": token.id in replaced,
        }
        for token in tokens
    ]
    return encoded({"tokens": rows})


@router.post(
    "/office/tokens/{token_id}/views",
    responses={200: {"model": IssuedTokenOut}, **problems(400, 401, 403, 404, 413, 422, 503)},
)
def create_view(
    token_id: TokenPath,
    body: ViewIn,
    by: Annotated[SignedIn, Depends(requires(Permission.TOKENS_VIEW))],
    container: ContainerDep,
) -> Response:
    """Show a token, and the set it still needs first; who sees it and for what is recorded."""
    found = view_token(TokenId(token_id), container.token_desk, by=by, purpose=body.purpose)
    return encoded(_document(found, found.enter_first))


@router.post(
    "/office/tokens/management",
    responses={200: {"model": IssuedTokenOut}, 202: {"model": AskedOut}, **_REFUSALS},
)
def create_management_token(
    body: ManagementIn,
    by: Annotated[SignedIn, Depends(requires(Permission.TOKENS_MANAGE))],
    container: ContainerDep,
) -> Response:
    """Order a management token; without an approval, ask for it. A meter test takes none."""
    request, desk = ManagementRequest(body.meter, body.kind, body.value), container.token_desk
    if body.approval_id is None and takes_two(body.kind):
        return asked(propose_management_token(request, desk, by=by, reason=body.reason))
    issued = issue_management_token(
        request, desk, by=by, reason=body.reason, approval_id=id_of(body.approval_id)
    )
    return encoded(_document(issued.token, issued.enter_first))


@router.post(
    "/office/tokens/free-units",
    responses={200: {"model": IssuedTokenOut}, 202: {"model": AskedOut}, **_REFUSALS},
)
def create_free_units(
    body: FreeUnitsIn,
    by: Annotated[SignedIn, Depends(requires(Permission.TOKENS_FREE))],
    container: ContainerDep,
) -> Response:
    """Give units for nothing; without an approval, ask for it."""
    request, desk = FreeUnitsRequest(body.meter, body.units), container.token_desk
    if body.approval_id is None:
        return asked(propose_free_units(request, desk, by=by, reason=body.reason))
    issued = issue_free_units(
        request, desk, by=by, reason=body.reason, approval_id=ApprovalId(body.approval_id)
    )
    return encoded(_document(issued.token, issued.enter_first))


@router.post(
    "/office/tokens/{token_id}/replacement",
    responses={200: {"model": IssuedTokenOut}, 202: {"model": AskedOut}, **_REFUSALS},
)
def create_replacement(
    token_id: TokenPath,
    body: ReplacementIn,
    by: Annotated[SignedIn, Depends(requires(Permission.SALES_REPLACE))],
    container: ContainerDep,
) -> Response:
    """Make another token with the same units; above the limit, ask for the approval first."""
    request = ReplacementRequest(token_id=TokenId(token_id), reason=body.why, meter=body.meter)
    desk = container.token_desk
    try:
        issued = replace_token(
            request,
            desk,
            by=by,
            approval_id=id_of(body.approval_id),
        )
    except ApprovalRequiredError:
        return asked(propose_replacement(request, desk, by=by, reason=body.why.value))
    return encoded(_document(issued.token, issued.enter_first))


def _document(token: NewToken, enter_first: Sequence[str]) -> dict[str, object]:
    return {
        **enter_first_document(token.record.kind, enter_first),
        "id": str(token.record.id),
        "kind": token.record.kind.value,
        "units": token.record.units,
        "digits": token.digits,
        "grouped": group_digits(token.digits),
    }

"""Routes of customers: masked for who may look them up, in full for a purpose, exported, erased."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from pydantic import Field

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.office_forms import (
    ApprovalIn,
    AskedOut,
    Instant,
    InstantOrNone,
    Line,
    OfficeIn,
    OfficeOut,
    asked,
)
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE, RecordId
from vending.customers.model import Customer
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.personal_data.service import (
    erase_person,
    export_person,
    look_up,
    propose_erasure,
    view_identity,
)
from vending.values.identifiers import ApprovalId, CustomerId

router: Final = new_router("office")
CustomerPath = Annotated[UUID, Path(description="Id of the customer", examples=[ID_EXAMPLE])]
IdentityDep = Annotated[SignedIn, Depends(requires(Permission.CUSTOMERS_IDENTITY))]
_REFUSALS: Final = problems(400, 401, 403, 404, 409, 413, 422, 503)


class PurposeIn(OfficeIn):
    """What a person's data is looked at for."""

    purpose: Line


class ErasureIn(OfficeIn):
    """The approval of the erasure, or why it is asked for."""

    reason: Line
    approval_id: ApprovalIn = None


class CustomerOut(OfficeOut):
    """A customer; name, phone and e-mail are masked unless seen for a purpose."""

    id: RecordId
    account_number: Annotated[str, Field(examples=["A-1042"])]
    name: Annotated[str, Field(examples=["A**** W******"])]
    phone: Annotated[str | None, Field(examples=["+254*******78"])]
    email: Annotated[str | None, Field(examples=["a***@e***.org"])]
    language: Annotated[str, Field(examples=["en"])]
    erased_at: InstantOrNone


class ExportOut(OfficeOut):
    """All that is kept of one person, by feature."""

    exported_at: Instant
    parts: Annotated[dict[str, Any], Field(examples=[{"customer": {}, "meters": [], "sales": []}])]


@router.get(
    "/office/customers",
    responses={200: {"model": CustomerOut}, **problems(401, 403, 404, 422, 503)},
)
def find_customer(
    account_number: Annotated[str, Query(min_length=1, max_length=32, examples=["A-1042"])],
    by: Annotated[SignedIn, Depends(requires(Permission.CUSTOMERS_READ))],
    container: ContainerDep,
) -> Response:
    """Look a customer up by account number; who it is stays masked."""
    with container.database.read() as connection:
        found = look_up(connection, account_number, by=by)
    return encoded(_document(found) | found.masked())


@router.post(
    "/office/customers/{customer_id}/identity-views",
    responses={200: {"model": CustomerOut}, **_REFUSALS},
)
def create_identity_view(
    customer_id: CustomerPath, body: PurposeIn, by: IdentityDep, container: ContainerDep
) -> Response:
    """Show who a customer is; who sees it and for what is recorded first."""
    found = view_identity(
        container.database,
        CustomerId(customer_id),
        by=by,
        purpose=body.purpose,
        clock=container.clock,
    )
    who = {"name": found.name, "phone": found.phone, "email": found.email}
    return encoded(_document(found) | who)


@router.post(
    "/office/customers/{customer_id}/exports",
    responses={200: {"model": ExportOut}, **_REFUSALS},
)
def create_export(
    customer_id: CustomerPath, body: PurposeIn, by: IdentityDep, container: ContainerDep
) -> Response:
    """Give all that is kept of one person, for that person."""
    parts = export_person(
        container.database,
        CustomerId(customer_id),
        by=by,
        purpose=body.purpose,
        clock=container.clock,
    )
    exported_at = parts.pop("exported_at")
    return encoded({"exported_at": exported_at, "parts": parts})


@router.post(
    "/office/customers/{customer_id}/erasure",
    responses={200: {"model": CustomerOut}, 202: {"model": AskedOut}, **_REFUSALS},
)
def create_erasure(
    customer_id: CustomerPath,
    body: ErasureIn,
    by: Annotated[SignedIn, Depends(requires(Permission.CUSTOMERS_ERASE))],
    container: ContainerDep,
) -> Response:
    """Erase who a customer is, for good; without an approval, ask for it."""
    database, clock, wanted = container.database, container.clock, CustomerId(customer_id)
    if body.approval_id is None:
        return asked(propose_erasure(database, wanted, by=by, reason=body.reason, clock=clock))
    approval_id = ApprovalId(body.approval_id)
    erased = erase_person(database, wanted, by=by, approval_id=approval_id, clock=clock)
    return encoded(_document(erased) | erased.masked())


def _document(customer: Customer) -> dict[str, object]:
    erased_at = customer.erased_at
    return {
        "id": str(customer.id),
        "account_number": customer.account_number,
        "language": customer.language.value,
        "erased_at": erased_at.isoformat() if erased_at else None,
    }

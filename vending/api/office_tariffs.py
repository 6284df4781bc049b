"""Routes of tariffs: draft a version, activate it when two people agree, list."""

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Response
from pydantic import Field, field_validator

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.office_forms import (
    ApprovalIn,
    AskedOut,
    InstantOrNone,
    Line,
    OfficeIn,
    OfficeOut,
    asked,
)
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE, RecordId
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.sales.receipt import percent_text, price_text
from vending.tariffs.model import StoredDraft, Tariff, TariffTerms
from vending.tariffs.rules import parse_price_per_kwh, parse_vat_percent
from vending.tariffs.service import (
    activate,
    draft_version,
    list_drafts,
    list_versions,
    propose_activation,
    withdraw_draft,
)
from vending.values.identifiers import ApprovalId, TariffDraftId
from vending.values.money import Currency, UnknownCurrencyError

router: Final = new_router("office")
DraftPath = Annotated[UUID, Path(description="Id of the draft", examples=[ID_EXAMPLE])]
WriterDep = Annotated[SignedIn, Depends(requires(Permission.TARIFFS_WRITE))]
ReaderDep = Annotated[SignedIn, Depends(requires(Permission.TARIFFS_READ))]
_REFUSALS: Final = problems(400, 401, 403, 404, 409, 413, 422, 503)


class DraftIn(OfficeIn):
    """What the next version of a tariff is to say."""

    code: Annotated[str, Field(min_length=1, max_length=32, examples=["RES-1"])]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["KES"])]
    price_per_kwh: Annotated[
        str, Field(max_length=20, description="Without VAT", examples=["21.50"])
    ]
    vat_percent: Annotated[str, Field(max_length=8, examples=["16"])] = "0"
    effective_from: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
            description="None: from its activation on",
            examples=["2027-01-01T00:00:00Z"],
        ),
    ] = None

    @field_validator("currency")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            Currency(value)
        except UnknownCurrencyError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("effective_from")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            datetime.fromisoformat(value)
        return value

    def to_terms(self) -> TariffTerms:
        """Return the terms."""
        return TariffTerms(
            code=self.code,
            currency=Currency(self.currency),
            price_per_kwh_micro=parse_price_per_kwh(self.price_per_kwh),
            vat_basis_points=parse_vat_percent(self.vat_percent),
            effective_from=_instant(self.effective_from),
        )


class ActivationIn(OfficeIn):
    """The approval of the draft, or why it is asked for."""

    reason: Line
    approval_id: ApprovalIn = None


class VersionOut(OfficeOut):
    """A version that sells when its time comes."""

    code: Annotated[str, Field(examples=["RES-1"])]
    version: Annotated[int, Field(examples=[1])]
    currency: Annotated[str, Field(examples=["KES"])]
    price_per_kwh: Annotated[str, Field(examples=["21.50"])]
    vat_percent: Annotated[str, Field(examples=["16"])]
    effective_from: InstantOrNone


class DraftOut(OfficeOut):
    """Terms that sell nothing yet, and what became of them."""

    id: RecordId
    state: Annotated[str, Field(examples=["draft"])]
    code: Annotated[str, Field(examples=["RES-1"])]
    currency: Annotated[str, Field(examples=["KES"])]
    price_per_kwh: Annotated[str, Field(examples=["21.50"])]
    vat_percent: Annotated[str, Field(examples=["16"])]
    effective_from: InstantOrNone


class TariffsOut(OfficeOut):
    """Every version, and the newest drafts."""

    versions: list[VersionOut]
    drafts: list[DraftOut]


@router.get(
    "/office/tariffs", responses={200: {"model": TariffsOut}, **problems(401, 403, 422, 503)}
)
def get_tariffs(by: ReaderDep, container: ContainerDep) -> Response:
    """List every version of every tariff, and the newest drafts."""
    del by
    with container.database.read() as connection:
        versions, drafts = list_versions(connection), list_drafts(connection)
    return encoded(
        {
            "versions": [_version(one) for one in versions],
            "drafts": [_draft(one) for one in drafts],
        }
    )


@router.post(
    "/office/tariffs/drafts", status_code=201, responses={201: {"model": DraftOut}, **_REFUSALS}
)
def create_draft(body: DraftIn, by: WriterDep, container: ContainerDep) -> Response:
    """Draft the next version of a tariff; it sells nothing yet."""
    draft = draft_version(container.database, body.to_terms(), by=by, clock=container.clock)
    return encoded(_draft(draft), status=201)


@router.post(
    "/office/tariffs/drafts/{draft_id}/activation",
    responses={200: {"model": VersionOut}, 202: {"model": AskedOut}, **_REFUSALS},
)
def create_activation(
    draft_id: DraftPath, body: ActivationIn, by: WriterDep, container: ContainerDep
) -> Response:
    """Make a version of a draft; without an approval, ask for it."""
    database, clock, wanted = container.database, container.clock, TariffDraftId(draft_id)
    if body.approval_id is None:
        return asked(propose_activation(database, wanted, by=by, reason=body.reason, clock=clock))
    approval_id = ApprovalId(body.approval_id)
    version = activate(database, wanted, by=by, approval_id=approval_id, clock=clock)
    return encoded(_version(version))


@router.delete(
    "/office/tariffs/drafts/{draft_id}",
    responses={200: {"model": DraftOut}, **problems(401, 403, 404, 409, 422, 503)},
)
def delete_draft(draft_id: DraftPath, by: WriterDep, container: ContainerDep) -> Response:
    """Give a draft up; it stays in the list."""
    ended = withdraw_draft(
        container.database, TariffDraftId(draft_id), by=by, clock=container.clock
    )
    return encoded(_draft(ended))


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _version(tariff: Tariff) -> dict[str, object]:
    return {
        "code": tariff.code,
        "version": tariff.version,
        "currency": tariff.currency.code,
        "price_per_kwh": price_text(tariff),
        "vat_percent": percent_text(tariff),
        "effective_from": tariff.effective_from.isoformat(),
    }


def _draft(draft: StoredDraft) -> dict[str, object]:
    terms = draft.terms
    shown = terms.starting(draft.drafted_at)
    return {
        "id": str(draft.id),
        "state": draft.state.value,
        "code": terms.code,
        "currency": terms.currency.code,
        "price_per_kwh": price_text(shown),
        "vat_percent": percent_text(shown),
        "effective_from": terms.effective_from.isoformat() if terms.effective_from else None,
    }

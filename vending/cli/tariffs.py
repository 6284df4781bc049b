"""tariffs: draft a version, activate it when two people agree, list; a version never changes."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from vending.cli.access import acting_operator, needs
from vending.cli.arguments import parse_currency
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document, print_note
from vending.errors import ErrorKind, VendingError
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
from vending.values.clock import SystemClock
from vending.values.identifiers import ApprovalId, TariffDraftId

app: Final = typer.Typer(help="Tariffs: versions, never edited.", no_args_is_help=True)
DraftArgument = Annotated[uuid.UUID, typer.Argument(help="Id of the draft.")]
ApprovalOption = Annotated[
    uuid.UUID | None, typer.Option("--approval", help="Id of the approval that allows it.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; shown to who approves.")]


class InstantFormatError(VendingError):
    """A text is no date or time."""

    kind = ErrorKind.INVALID
    code = "instant_invalid"
    remedy = "Write a time in UTC such as 2027-01-01T00:00:00Z."

    def __init__(self, given: str) -> None:
        super().__init__(f"{given!r} is no time", given=given)


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="tariffs")


@app.command("add")
@needs(Permission.TARIFFS_WRITE)
def add(
    code: Annotated[str, typer.Argument(help="Code of the tariff, such as RES-1.")],
    price: Annotated[str, typer.Option("--price", help="Price per kWh without VAT, as 21.50.")],
    vat: Annotated[str, typer.Option("--vat", help="VAT in percent, such as 16.")] = "0",
    currency: Annotated[
        str | None, typer.Option("--currency", help="ISO 4217; default: VENDING_CURRENCY.")
    ] = None,
    effective_from: Annotated[
        str | None, typer.Option("--from", help="When it starts, UTC; default: once activated.")
    ] = None,
    reason: ReasonOption = "new version",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draft the next version of a tariff and ask another person to approve it."""
    clock = SystemClock()
    with opened_database(data) as (settings, database):
        terms = TariffTerms(
            code=code,
            currency=parse_currency(currency or settings.currency),
            price_per_kwh_micro=parse_price_per_kwh(price),
            vat_basis_points=parse_vat_percent(vat),
            effective_from=_parse_instant(effective_from) if effective_from else None,
        )
        by = acting_operator()
        draft = draft_version(database, terms, by=by, clock=clock)
        asked = propose_activation(database, draft.id, by=by, reason=reason, clock=clock)
    print_document(_draft_row(draft) | {"approval": str(asked.id)}, as_json=as_json)
    print_note(
        "It sells nothing until another person approves it and `vending tariffs activate` is run.",
        as_json=as_json,
    )


@app.command("activate")
@needs(Permission.TARIFFS_WRITE)
def activate_draft(
    draft: DraftArgument,
    approval: ApprovalOption = None,
    reason: ReasonOption = "new version",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a version of an approved draft; without --approval, ask for the approval again."""
    clock, draft_id = SystemClock(), TariffDraftId(draft)
    with opened_database(data) as (_, database):
        by = acting_operator()
        if approval is None:
            asked = propose_activation(database, draft_id, by=by, reason=reason, clock=clock)
            print_document({"approval": str(asked.id)}, as_json=as_json)
            return
        tariff = activate(database, draft_id, by=by, approval_id=ApprovalId(approval), clock=clock)
    print_document(_row(tariff), as_json=as_json)


@app.command("withdraw")
@needs(Permission.TARIFFS_WRITE)
def withdraw(draft: DraftArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Give a draft up."""
    with opened_database(data) as (_, database):
        ended = withdraw_draft(
            database, TariffDraftId(draft), by=acting_operator(), clock=SystemClock()
        )
    print_document(_draft_row(ended), as_json=as_json)


@app.command("drafts")
@needs(Permission.TARIFFS_READ)
def show_drafts(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the newest drafts and what became of them."""
    with opened_database(data) as (_, database), database.read() as connection:
        rows = [_draft_row(draft) for draft in list_drafts(connection)]
    print_document(rows, as_json=as_json, title="drafts")


@app.command("list")
@needs(Permission.TARIFFS_READ)
def list_all(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List every version of every tariff."""
    with opened_database(data) as (_, database), database.read() as connection:
        rows = [_row(tariff) for tariff in list_versions(connection)]
    print_document(rows, as_json=as_json, title="tariffs")


def _parse_instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise InstantFormatError(text) from error
    if instant.tzinfo is None:
        raise InstantFormatError(text)
    return instant.astimezone(UTC)


def _draft_row(draft: StoredDraft) -> dict[str, object]:
    terms = draft.terms
    shown = terms.starting(draft.drafted_at)
    return {
        "draft": str(draft.id),
        "state": draft.state.value,
        "code": terms.code,
        "price_per_kwh": price_text(shown),
        "vat_percent": percent_text(shown),
        "currency": terms.currency.code,
        "effective_from": terms.effective_from.isoformat() if terms.effective_from else None,
    }


def _row(tariff: Tariff) -> dict[str, object]:
    return {
        "code": tariff.code,
        "version": tariff.version,
        "price_per_kwh": price_text(tariff),
        "vat_percent": percent_text(tariff),
        "currency": tariff.currency.code,
        "effective_from": tariff.effective_from.isoformat(),
    }

"""partners: who sells through us, and the keys they present."""

import uuid
from typing import Annotated, Final

import typer

from vending.approvals.errors import ApprovalRequiredError
from vending.cli.access import acting, acting_operator, needs
from vending.cli.arguments import parse_amount, parse_currency
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document, print_note
from vending.operators.permissions import Permission
from vending.partners.model import PartnerStatus
from vending.partners.service import (
    add_partner,
    change_status,
    issue_api_key,
    issue_approved_api_key,
    list_api_keys,
    list_partners,
    load_partner_by_name,
    propose_api_key,
    propose_credit_line,
    revoke_api_key,
    set_credit_line,
)
from vending.values.clock import SystemClock
from vending.values.identifiers import ApprovalId

app: Final = typer.Typer(help="Partners and their API keys.", no_args_is_help=True)
NO_LINE: Final = "none"
ApprovalOption = Annotated[
    uuid.UUID | None, typer.Option("--approval", help="Id of the approval that allows it.")
]
NameArgument = Annotated[str, typer.Argument(help="Name of the partner.")]


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="partners")


@app.command("add")
@needs(Permission.PARTNERS_WRITE)
def add(
    name: NameArgument,
    currency: Annotated[
        str | None, typer.Option("--currency", help="ISO 4217; default: VENDING_CURRENCY.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a partner and print its first API key, once."""
    clock = SystemClock()
    with opened_database(data) as (settings, database):
        chosen = parse_currency(currency or settings.currency)
        partner = add_partner(database, name, chosen, by=acting(), clock=clock)
        issued = issue_api_key(database, partner.id, by=acting(), clock=clock)
    print_document(
        {"partner": partner.name, "id": str(partner.id), "api_key": issued.secret_text},
        as_json=as_json,
    )
    note = "The key is shown this once; hand it over safely. It sells once two people set its line."
    print_note(note, as_json=as_json)


@app.command("key")
@needs(Permission.PARTNERS_WRITE)
def add_key(
    name: NameArgument,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; shown to who approves.")
    ] = "another API key",
    approval: ApprovalOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make another API key for a partner, such as for a rotation, and print it, once.

    For a partner that has a credit line or has paid ahead it takes two people: without
    --approval, ask for the approval.
    """
    clock = SystemClock()
    with opened_database(data) as (_, database):
        with database.read() as connection:
            partner = load_partner_by_name(connection, name)
        if approval is None:
            try:
                issued = issue_api_key(database, partner.id, by=acting(), clock=clock)
            except ApprovalRequiredError:
                asked = propose_api_key(
                    database, partner.id, by=acting_operator(), reason=reason, clock=clock
                )
                print_document({"approval": str(asked.id)}, as_json=as_json)
                return
        else:
            issued = issue_approved_api_key(
                database,
                partner.id,
                by=acting_operator(),
                approval_id=ApprovalId(approval),
                clock=clock,
            )
    print_document({"partner": partner.name, "api_key": issued.secret_text}, as_json=as_json)


@app.command("keys")
@needs(Permission.PARTNERS_READ)
def show_keys(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the API keys of a partner, without their secrets."""
    with opened_database(data) as (_, database), database.read() as connection:
        partner = load_partner_by_name(connection, name)
        rows: list[dict[str, object]] = [
            {
                "prefix": key.prefix,
                "ends_in": key.last_four,
                "created": key.created_at.isoformat(),
                "revoked": key.revoked_at.isoformat() if key.revoked_at else None,
            }
            for key in list_api_keys(connection, partner.id)
        ]
    print_document(rows, as_json=as_json, title=f"API keys of {name}")


@app.command("revoke")
@needs(Permission.PARTNERS_WRITE)
def revoke(
    prefix: Annotated[str, typer.Argument(help="Prefix of the key, as `keys` lists it.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """End an API key now."""
    with opened_database(data) as (_, database):
        key = revoke_api_key(database, prefix, by=acting(), clock=SystemClock())
    print_document({"revoked": key.prefix}, as_json=as_json)


@app.command("list")
@needs(Permission.PARTNERS_READ)
def list_all(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the partners."""
    with opened_database(data) as (_, database), database.read() as connection:
        rows: list[dict[str, object]] = [
            {
                "name": partner.name,
                "currency": partner.currency.code,
                "status": partner.status.value,
                "id": str(partner.id),
            }
            for partner in list_partners(connection)
        ]
    print_document(rows, as_json=as_json, title="partners")


@app.command("suspend")
@needs(Permission.PARTNERS_WRITE)
def suspend(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Let a partner sell nothing from now on; what it sold stays."""
    _set_status(name, PartnerStatus.SUSPENDED, data, as_json=as_json)


@app.command("resume")
@needs(Permission.PARTNERS_WRITE)
def resume(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Let a suspended partner sell again."""
    _set_status(name, PartnerStatus.ACTIVE, data, as_json=as_json)


def _set_status(name: str, status: PartnerStatus, data: DataOption, *, as_json: bool) -> None:
    with opened_database(data) as (_, database):
        with database.read() as connection:
            partner = load_partner_by_name(connection, name)
        changed = change_status(database, partner.id, status, by=acting(), clock=SystemClock())
    print_document({"partner": changed.name, "status": changed.status.value}, as_json=as_json)


@app.command("credit-line")
@needs(Permission.PARTNERS_CREDIT)
def change_credit_line(
    name: NameArgument,
    line: Annotated[
        str, typer.Option("--line", help="The most it may owe, as 5000.00; `none`: no limit.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; shown to who approves.")],
    approval: ApprovalOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set what a partner may owe; without --approval, ask for the approval."""
    clock = SystemClock()
    with opened_database(data) as (_, database):
        by = acting_operator()
        with database.read() as connection:
            partner = load_partner_by_name(connection, name)
        line_minor = None if line == NO_LINE else parse_amount(line, partner.currency, "--line")
        if approval is None:
            asked = propose_credit_line(
                database, partner.id, line_minor, by=by, reason=reason, clock=clock
            )
            print_document({"approval": str(asked.id)}, as_json=as_json)
            return
        changed = set_credit_line(
            database, partner.id, line_minor, by=by, approval_id=ApprovalId(approval), clock=clock
        )
    print_document(
        {"partner": changed.name, "credit_line_minor": changed.credit_line_minor}, as_json=as_json
    )

"""tokens: see what a meter was given, order a management token, give free units, replace one."""

import uuid
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from vending.approvals.errors import ApprovalRequiredError
from vending.approvals.model import Approval
from vending.cli.access import acting_operator, needs
from vending.cli.context import DataOption, opened_container, opened_database
from vending.cli.output import JsonOption, print_document, print_note
from vending.operators.permissions import Permission
from vending.sales.model import ReplacementReason, ReplacementRequest
from vending.sales.receipt import enter_first_document, token_instructions
from vending.sales.service.replacements import propose_replacement, replace_token
from vending.sts import group_digits
from vending.tokens.model import (
    FreeUnitsRequest,
    ManagementRequest,
    NewToken,
    TokenKind,
)
from vending.tokens.rules import takes_two
from vending.tokens.service.free_units import issue_free_units, propose_free_units
from vending.tokens.service.management import issue_management_token, propose_management_token
from vending.tokens.service.views import list_tokens, view_token
from vending.values.identifiers import ApprovalId, TokenId

app: Final = typer.Typer(help="Tokens, and those that no sale makes.", no_args_is_help=True)
MeterArgument = Annotated[str, typer.Argument(help="DRN or MeterPAN.")]
TokenArgument = Annotated[uuid.UUID, typer.Argument(help="Id of the token.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]
ApprovalOption = Annotated[
    uuid.UUID | None,
    typer.Option("--approval", help="Id of what allows it; without: ask for it."),
]


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="tokens")


@app.command("list")
@needs(Permission.SALES_READ)
def list_all(meter: MeterArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the newest tokens of a meter, without their digits."""
    with opened_database(data) as (_, database), database.read() as connection:
        tokens, orders = list_tokens(connection, meter)
    purposes = {order.id: order for order in orders}
    replaced = {order.replaces_token_id: order.id for order in orders if order.replaces_token_id}
    rows: list[dict[str, object]] = []
    for token in tokens:
        order = purposes.get(token.order_id) if token.order_id else None
        rows.append(
            {
                "id": str(token.id),
                "kind": token.kind.value,
                "for": order.purpose.value if order else "sale",
                "units": token.units,
                "ends_in": token.last_four,
                "issued": token.issued_at.isoformat(),
                "replaced": token.id in replaced,
            }
        )
    print_document(rows, as_json=as_json, title=f"tokens of {meter}")


@app.command("view")
@needs(Permission.TOKENS_VIEW)
def view(
    token: TokenArgument,
    purpose: Annotated[str, typer.Option("--purpose", help="What for; it is recorded.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a token, and the set it still needs first; who saw it and for what is recorded."""
    with opened_container(data) as container:
        found = view_token(
            TokenId(token), container.token_desk, by=acting_operator(), purpose=purpose
        )
    _print_token(found, found.enter_first, as_json=as_json)


@app.command("manage")
@needs(Permission.TOKENS_MANAGE)
def manage(
    meter: MeterArgument,
    kind: Annotated[TokenKind, typer.Argument(help="What it does at the meter.")],
    reason: ReasonOption,
    value: Annotated[int, typer.Option("--value", help="Watts, register, rate or factor.")] = 0,
    approval: ApprovalOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Order a management token; without --approval, ask for it (a meter test takes none)."""
    request = ManagementRequest(meter, kind, value)
    with opened_container(data) as container:
        desk, by = container.token_desk, acting_operator()
        if approval is None and takes_two(kind):
            asked = propose_management_token(request, desk, by=by, reason=reason)
            _print_asked(asked, as_json=as_json)
            return
        issued = issue_management_token(
            request, desk, by=by, reason=reason, approval_id=_id_of(approval)
        )
    _print_token(issued.token, issued.enter_first, as_json=as_json)


@app.command("free")
@needs(Permission.TOKENS_FREE)
def give_free_units(
    meter: MeterArgument,
    units: Annotated[int, typer.Option("--units", min=1, help="Units of 0.1 kWh.")],
    reason: ReasonOption,
    approval: ApprovalOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a meter units for nothing; without --approval, ask for it."""
    request = FreeUnitsRequest(meter, units)
    with opened_container(data) as container:
        desk, by = container.token_desk, acting_operator()
        if approval is None:
            asked = propose_free_units(request, desk, by=by, reason=reason)
            _print_asked(asked, as_json=as_json)
            return
        issued = issue_free_units(
            request, desk, by=by, reason=reason, approval_id=ApprovalId(approval)
        )
    _print_token(issued.token, issued.enter_first, as_json=as_json)


@app.command("replace")
@needs(Permission.SALES_REPLACE)
def replace_one(
    token: TokenArgument,
    why: Annotated[ReplacementReason, typer.Option("--why", help="What happened.")],
    meter: Annotated[
        str | None, typer.Option("--meter", help="The customer's new meter, if it was changed.")
    ] = None,
    approval: ApprovalOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make another token with the same units; above the limit, ask for the approval first."""
    request = ReplacementRequest(token_id=TokenId(token), reason=why, meter=meter)
    with opened_container(data) as container:
        desk, by = container.token_desk, acting_operator()
        try:
            issued = replace_token(
                request,
                desk,
                by=by,
                approval_id=_id_of(approval),
            )
        except ApprovalRequiredError:
            asked = propose_replacement(request, desk, by=by, reason=why.value)
            _print_asked(asked, as_json=as_json)
            return
    _print_token(issued.token, issued.enter_first, as_json=as_json)


def _id_of(approval: uuid.UUID | None) -> ApprovalId | None:
    return None if approval is None else ApprovalId(approval)


def _print_asked(asked: Approval, *, as_json: bool) -> None:
    print_document({"approval": str(asked.id)}, as_json=as_json)
    print_note("Another person approves it; then run this again with --approval.", as_json=as_json)


def _print_token(token: NewToken, enter_first: Sequence[str], *, as_json: bool) -> None:
    """Print a token; a key-change set that the meter needs before it comes first, and says so."""
    kind = token.record.kind
    if as_json:
        print_document({**enter_first_document(kind, enter_first), **_row(token)}, as_json=True)
        return
    if enter_first:
        for told in token_instructions(kind).values():
            print_note(told, as_json=False)
        count = len(enter_first)
        sections = {
            f"key_change_{place}/{count}": group_digits(digits)
            for place, digits in enumerate(enter_first, 1)
        }
        print_document(sections, as_json=False)
    print_document(_row(token), as_json=False)


def _row(token: NewToken) -> dict[str, object]:
    return {
        "token": str(token.record.id),
        "kind": token.record.kind.value,
        "units": token.record.units,
        "digits": group_digits(token.digits),
    }

"""sales: give money back, and see what was given back."""

import uuid
from typing import Annotated, Final

import typer

from vending.approvals.errors import ApprovalRequiredError
from vending.cli.access import acting_operator, needs
from vending.cli.context import DataOption, opened_container, opened_database
from vending.cli.output import JsonOption, print_document, print_note
from vending.operators.permissions import Permission
from vending.sales.model import Refund, RefundDestination, RefundReason, RefundRequest
from vending.sales.service.refunds import list_refunds, propose_refund, refund_sale
from vending.values.identifiers import ApprovalId, SaleId

app: Final = typer.Typer(help="Money that goes back.", no_args_is_help=True)
SaleArgument = Annotated[uuid.UUID, typer.Argument(help="Id of the sale.")]


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="sales")


@app.command("refund")
@needs(Permission.SALES_REFUND)
def refund(
    sale: SaleArgument,
    minor: Annotated[int, typer.Option("--minor", min=1, help="In minor units, VAT included.")],
    why: Annotated[RefundReason, typer.Option("--why", help="What happened.")],
    note: Annotated[str, typer.Option("--note", help="In your own words; it is kept.")],
    to: Annotated[
        RefundDestination, typer.Option("--to", help="Who gets the money.")
    ] = RefundDestination.PARTNER,
    key: Annotated[
        str | None, typer.Option("--key", help="Makes it happen once; default: one per approval.")
    ] = None,
    approval: Annotated[
        uuid.UUID | None, typer.Option("--approval", help="Id of what allows it.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give money back for a sale; above the limit, ask for the approval first.

    The key it prints with the approval goes into the second call, so that it happens once.
    """
    request = RefundRequest(
        sale_id=SaleId(sale),
        amount_minor=minor,
        destination=to,
        reason=why,
        note=note,
        key=key or str(uuid.uuid4()),
    )
    with opened_container(data) as container:
        by = acting_operator()
        approval_id = None if approval is None else ApprovalId(approval)
        try:
            made = refund_sale(request, container.desk, by=by, approval_id=approval_id)
        except ApprovalRequiredError:
            asked = propose_refund(request, container.desk, by=by)
            print_document({"approval": str(asked.id), "key": request.key}, as_json=as_json)
            print_note(
                "Another person approves it; then run this again with --approval and --key.",
                as_json=as_json,
            )
            return
    print_document(_row(made), as_json=as_json)


@app.command("refunds")
@needs(Permission.SALES_READ)
def show_refunds(sale: SaleArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List what went back for a sale."""
    with opened_database(data) as (_, database), database.read() as connection:
        rows = [_row(one) for one in list_refunds(connection, SaleId(sale))]
    print_document(rows, as_json=as_json, title="refunds")


def _row(refund: Refund) -> dict[str, object]:
    return {
        "refund": str(refund.id),
        "amount": str(refund.gross),
        "vat": str(refund.vat),
        "to": refund.destination.value,
        "why": refund.reason.value,
        "note": refund.note,
        "at": refund.refunded_at.isoformat(),
    }

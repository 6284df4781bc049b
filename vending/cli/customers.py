"""customers: look one up masked, see one for a purpose, export, change contact, erase."""

import uuid
from typing import Annotated, Final

import typer

from vending.cli.access import acting, acting_operator, needs
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document, print_note
from vending.customers.model import Customer, Language
from vending.customers.service import Contact, change_contact
from vending.operators.permissions import Permission
from vending.personal_data.service import (
    erase_person,
    export_person,
    look_up,
    propose_erasure,
    view_identity,
)
from vending.values.clock import SystemClock
from vending.values.identifiers import ApprovalId, CustomerId

app: Final = typer.Typer(help="Customers and their personal data.", no_args_is_help=True)
IdArgument = Annotated[uuid.UUID, typer.Argument(help="Id of the customer.")]
PurposeOption = Annotated[str, typer.Option("--purpose", help="What for; it is recorded.")]


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="customers")


@app.command("show")
@needs(Permission.CUSTOMERS_READ)
def show(
    account_number: Annotated[str, typer.Argument(help="Account number.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a customer, masked."""
    with opened_database(data) as (_, database), database.read() as connection:
        found = look_up(connection, account_number, by=acting_operator())
    print_document(_row(found) | found.masked(), as_json=as_json)


@app.command("identity")
@needs(Permission.CUSTOMERS_IDENTITY)
def identity(
    customer: IdArgument,
    purpose: PurposeOption,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who a customer is; who saw it and for what is recorded."""
    with opened_database(data) as (_, database):
        found = view_identity(
            database,
            CustomerId(customer),
            by=acting_operator(),
            purpose=purpose,
            clock=SystemClock(),
        )
    print_document(_row(found) | _who(found), as_json=as_json)


@app.command("export")
@needs(Permission.CUSTOMERS_IDENTITY)
def export(customer: IdArgument, purpose: PurposeOption, data: DataOption = None) -> None:
    """Print all that is kept of one person as JSON, for that person."""
    with opened_database(data) as (_, database):
        document = export_person(
            database,
            CustomerId(customer),
            by=acting_operator(),
            purpose=purpose,
            clock=SystemClock(),
        )
    print_document(document, as_json=True)


@app.command("contact")
@needs(Permission.CUSTOMERS_WRITE)
def set_contact(
    customer: IdArgument,
    name: Annotated[str, typer.Option("--name")],
    phone: Annotated[str | None, typer.Option("--phone", help="As +254712345678.")] = None,
    email: Annotated[str | None, typer.Option("--email")] = None,
    language: Annotated[Language, typer.Option("--language")] = Language.EN,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a customer is reached; a consent ends with the address it was given for."""
    contact = Contact(name=name, phone=phone, email=email, language=language)
    with opened_database(data) as (_, database):
        changed = change_contact(
            database, CustomerId(customer), contact, by=acting(), clock=SystemClock()
        )
    print_document(_row(changed) | changed.masked(), as_json=as_json)


@app.command("erase")
@needs(Permission.CUSTOMERS_ERASE)
def erase(
    customer: IdArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it names nobody.")] = "asked for it",
    approval: Annotated[
        uuid.UUID | None, typer.Option("--approval", help="Id of what allows it.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase who a customer is, for good; without --approval, ask for it."""
    customer_id, clock = CustomerId(customer), SystemClock()
    with opened_database(data) as (_, database):
        by = acting_operator()
        if approval is None:
            asked = propose_erasure(database, customer_id, by=by, reason=reason, clock=clock)
            print_document({"approval": str(asked.id)}, as_json=as_json)
            print_note(
                "Another person approves it; then run this again with --approval.", as_json=as_json
            )
            return
        erased = erase_person(
            database, customer_id, by=by, approval_id=ApprovalId(approval), clock=clock
        )
    print_document(_row(erased), as_json=as_json)


def _row(customer: Customer) -> dict[str, object]:
    return {
        "id": str(customer.id),
        "account_number": customer.account_number,
        "language": customer.language.value,
        "erased": customer.erased_at.isoformat() if customer.erased_at else None,
    }


def _who(customer: Customer) -> dict[str, object]:
    return {"name": customer.name, "phone": customer.phone, "email": customer.email}

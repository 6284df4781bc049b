"""commands: order a meter off or on, see what became of orders and deliveries, settle doubts."""

import uuid
from typing import Annotated, Final

import typer

from vending.campaigns.service.settling import retry_command, settle_command
from vending.cli.access import acting, acting_operator, needs
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document, print_note
from vending.commands.model import Command, RelayOrder, Verdict
from vending.commands.service import (
    disconnect,
    list_for_meter,
    list_for_person,
    propose_disconnection,
    reconnect,
)
from vending.meters.rules import parse_meter_number
from vending.meters.service import load_meter
from vending.operators.permissions import Permission
from vending.values.clock import SystemClock
from vending.values.identifiers import ApprovalId, CommandId

app: Final = typer.Typer(help="Orders to meters and deliveries of tokens.", no_args_is_help=True)
MeterArgument = Annotated[str, typer.Argument(help="DRN or MeterPAN.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]
IdArgument = Annotated[uuid.UUID, typer.Argument(help="Id of the command.")]


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="commands")


@app.command("disconnect")
@needs(Permission.COMMANDS_WRITE)
def order_off(
    meter: MeterArgument,
    reason: ReasonOption,
    approval: Annotated[
        uuid.UUID | None, typer.Option("--approval", help="Id of what allows it outside the rule.")
    ] = None,
    propose: Annotated[
        bool, typer.Option("--propose", help="Ask for the approval instead of ordering.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Order the relay of a meter open; the worker carries it out and reads it back."""
    order, clock = RelayOrder(meter, reason), SystemClock()
    with opened_database(data) as (_, database):
        by = acting_operator()
        if propose:
            asked = propose_disconnection(database, order, by=by, clock=clock)
            print_document({"approval": str(asked.id)}, as_json=as_json)
            return
        queued = disconnect(
            database,
            order,
            by=by,
            clock=clock,
            approval_id=None if approval is None else ApprovalId(approval),
        )
    print_document(_row(queued), as_json=as_json)
    print_note("The worker carries it out; `vending commands list` shows it.", as_json=as_json)


@app.command("reconnect")
@needs(Permission.COMMANDS_WRITE)
def order_on(
    meter: MeterArgument, reason: ReasonOption, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Order the relay of a meter closed; the worker carries it out and reads it back."""
    order = RelayOrder(meter, reason)
    with opened_database(data) as (_, database):
        queued = reconnect(database, order, by=acting_operator(), clock=SystemClock())
    print_document(_row(queued), as_json=as_json)
    print_note("The worker carries it out; `vending commands list` shows it.", as_json=as_json)


@app.command("list")
@needs(Permission.COMMANDS_READ)
def list_all(
    meter: Annotated[
        str | None, typer.Option("--meter", help="Of this meter; else those that wait for you.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the newest commands of a meter, or all that wait for a person."""
    with opened_database(data) as (_, database), database.read() as connection:
        if meter is None:
            found = list_for_person(connection)
        else:
            found = list_for_meter(connection, load_meter(connection, parse_meter_number(meter)).id)
    print_document([_row(command) for command in found], as_json=as_json, title="commands")


@app.command("retry")
@needs(Permission.COMMANDS_WRITE)
def retry(command_id: IdArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Give a command that waits for a person fresh tries: the same token, never a new one."""
    with opened_database(data) as (_, database), database.unit_of_work() as uow:
        command = retry_command(
            uow.connection,
            CommandId(command_id),
            by=acting(),
            clock=SystemClock(),
        )
        uow.commit()
    print_document(_row(command), as_json=as_json)


@app.command("settle")
@needs(Permission.COMMANDS_WRITE)
def settle_doubt(
    command_id: IdArgument,
    verdict: Annotated[Verdict, typer.Argument(help="What you found out at the meter.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Finish a command that waits for a person by what the person found out."""
    with opened_database(data) as (_, database), database.unit_of_work() as uow:
        command = settle_command(
            uow.connection,
            CommandId(command_id),
            verdict,
            by=acting(),
            clock=SystemClock(),
        )
        uow.commit()
    print_document(_row(command), as_json=as_json)


def _row(command: Command) -> dict[str, object]:
    return {
        "id": str(command.id),
        "kind": command.kind.value,
        "state": command.state.value,
        "result": command.result_code,
        "attempts": command.attempts,
        "reason": command.reason,
        "by": command.requested_by,
        "changed": command.changed_at.isoformat(),
    }

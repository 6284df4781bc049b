"""commands: order a meter off or on, see what became of orders and deliveries, settle doubts."""

import uuid
from typing import Annotated, Final

import typer

from vending.cli.access import needs
from vending.cli.arguments import name_actor
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document, print_note
from vending.commands.model import Command, CommandKind, NewCommand, Verdict
from vending.commands.service import (
    list_for_meter,
    list_for_person,
    queue_commands,
    settle,
    try_again,
)
from vending.errors import ErrorKind, VendingError
from vending.meters.rules import parse_meter_number
from vending.meters.service import load_meter
from vending.operators.permissions import Permission
from vending.values.clock import SystemClock
from vending.values.identifiers import CommandId

app: Final = typer.Typer(help="Orders to meters and deliveries of tokens.", no_args_is_help=True)
MeterArgument = Annotated[str, typer.Argument(help="DRN or MeterPAN.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]
IdArgument = Annotated[uuid.UUID, typer.Argument(help="Id of the command.")]


class MeterUnreachableError(VendingError):
    """The register does not say how the meter is reached."""

    kind = ErrorKind.REFUSED
    code = "meter_unreachable"
    remedy = "Say how it is reached with `vending meters link`, then order again."

    def __init__(self, drn: str) -> None:
        super().__init__(f"meter {drn} has no link", drn=drn)


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="commands")


@app.command("disconnect")
@needs(Permission.COMMANDS_WRITE)
def disconnect(
    meter: MeterArgument, reason: ReasonOption, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Order the relay of a meter open; the worker carries it out and reads it back."""
    print_document(_queue(CommandKind.DISCONNECT, meter, reason, data), as_json=as_json)
    print_note("The worker carries it out; `vending commands list` shows it.", as_json=as_json)


@app.command("reconnect")
@needs(Permission.COMMANDS_WRITE)
def reconnect(
    meter: MeterArgument, reason: ReasonOption, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Order the relay of a meter closed; the worker carries it out and reads it back."""
    print_document(_queue(CommandKind.RECONNECT, meter, reason, data), as_json=as_json)
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
        command = try_again(
            uow.connection,
            CommandId(command_id),
            actor=name_actor(),
            now=SystemClock().now(),
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
        command = settle(
            uow.connection,
            CommandId(command_id),
            verdict,
            actor=name_actor(),
            now=SystemClock().now(),
        )
        uow.commit()
    print_document(_row(command), as_json=as_json)


def _queue(kind: CommandKind, meter: str, reason: str, data: DataOption) -> dict[str, object]:
    pan = parse_meter_number(meter)
    with opened_database(data) as (_, database), database.unit_of_work() as uow:
        found = load_meter(uow.connection, pan)
        if found.link is None:
            raise MeterUnreachableError(pan.iain)
        order = NewCommand(
            kind=kind,
            meter_id=found.id,
            dedupe_key=f"cli:{uuid.uuid4()}",
            reason=reason,
            requested_by=name_actor(),
        )
        queued = queue_commands(uow.connection, [order], SystemClock())[0]
        uow.commit()
    return _row(queued)


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

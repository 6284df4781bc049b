"""outbox: messages that failed for good, and another try for them."""

import uuid
from typing import Annotated, Final

import typer

from vending.cli.access import acting, needs
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document
from vending.operators.permissions import Permission
from vending.persistence.outbox import list_parked, release_parked
from vending.values.clock import SystemClock

app: Final = typer.Typer(help="Messages that wait for a person.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="outbox")


@app.command("list")
@needs(Permission.OUTBOX_WRITE)
def list_all(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the messages that failed for good, with their last failure."""
    with opened_database(data) as (_, database), database.read() as connection:
        rows: list[dict[str, object]] = [
            {
                "id": str(message.id),
                "topic": message.topic,
                "since": message.created_at.isoformat(),
                "tries": message.attempt_count,
                "failure": message.last_failure,
            }
            for message in list_parked(connection)
        ]
    print_document(rows, as_json=as_json, title="messages that wait for a person")


@app.command("release")
@needs(Permission.OUTBOX_WRITE)
def release(
    message_ids: Annotated[list[uuid.UUID], typer.Argument(help="Ids, as `list` shows them.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the worker try these messages again, once their cause is mended."""
    with opened_database(data) as (_, database), database.unit_of_work() as uow:
        count = release_parked(uow.connection, message_ids, by=acting(), clock=SystemClock())
        uow.commit()
    print_document({"released": count}, as_json=as_json)

"""meters: look at the register, move a meter through its states, say how it is reached."""

from typing import Annotated, Final

import typer

from vending.cli.access import acting, needs
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document
from vending.meters.model import Meter, MeterState
from vending.meters.rules import parse_meter_number
from vending.meters.service import change_link, change_state, list_meters, load_meter
from vending.operators.permissions import Permission
from vending.values.clock import SystemClock

app: Final = typer.Typer(help="The meter register.", no_args_is_help=True)
MeterArgument = Annotated[str, typer.Argument(help="DRN or MeterPAN.")]


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="meters")


@app.command("show")
@needs(Permission.METERS_READ)
def show(meter: MeterArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show one meter."""
    pan = parse_meter_number(meter)
    with opened_database(data) as (_, database), database.read() as connection:
        found = load_meter(connection, pan)
    print_document(_row(found), as_json=as_json)


@app.command("list")
@needs(Permission.METERS_READ)
def list_all(
    state: Annotated[MeterState | None, typer.Option("--state", help="Only this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 100,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List meters in the order of their registration."""
    with opened_database(data) as (_, database), database.read() as connection:
        page = list_meters(connection, limit=limit, state=state)
    print_document([_row(meter) for meter in page.meters], as_json=as_json, title="meters")


@app.command("state")
@needs(Permission.METERS_WRITE)
def move(
    meter: MeterArgument,
    target: Annotated[MeterState, typer.Argument(help="The state it takes.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a meter to another state, such as `commissioned`."""
    pan = parse_meter_number(meter)
    with opened_database(data) as (_, database):
        moved = change_state(database, pan, target, by=acting(), reason=reason, clock=SystemClock())
    print_document(_row(moved), as_json=as_json)


@app.command("link")
@needs(Permission.METERS_WRITE)
def link(
    meter: MeterArgument,
    profile: Annotated[str | None, typer.Option("--profile", help="Meter model.")] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--link", help="modbus-tcp://host:port/unit or modbus-rtu:///dev/…?unit=&baud="
        ),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a meter is reached; without options, by its keypad alone."""
    pan = parse_meter_number(meter)
    with opened_database(data) as (_, database):
        changed = change_link(
            database, pan, profile=profile, link=address, by=acting(), clock=SystemClock()
        )
    print_document(_row(changed), as_json=as_json)


def _row(meter: Meter) -> dict[str, object]:
    return {
        "drn": meter.pan.iain,
        "pan": meter.pan.digits,
        "state": meter.state.value,
        "sgc": meter.sgc.digits,
        "krn": meter.krn,
        "ti": meter.ti.digits,
        "tariff": meter.tariff_code,
        "profile": meter.profile,
        "link": meter.link,
        "location": meter.location.text,
    }

"""switches and ceilings: stop issuing at once, say how much a key may issue in a day."""

import uuid
from typing import Annotated, Final

import typer

from vending.approvals.model import Approval
from vending.cli.access import acting_operator, needs
from vending.cli.arguments import ArgumentInvalidError, parse_currency
from vending.cli.context import DataOption, opened_container, opened_database
from vending.cli.output import JsonOption, print_document
from vending.custody.model import (
    Ceiling,
    IssueStop,
    Measure,
    StopId,
    StopScope,
    UseClass,
    UsedToday,
)
from vending.custody.rules import used_percent
from vending.custody.service.ceilings import lower_ceiling, propose_ceiling, set_ceiling
from vending.custody.service.limits import list_used_today
from vending.custody.service.switches import (
    list_stops,
    parse_register,
    parse_target,
    propose_release,
    release,
    stop,
)
from vending.operators.permissions import Permission
from vending.values.clock import SystemClock
from vending.values.identifiers import ApprovalId

switches: Final = typer.Typer(help="Kill switches: one stops, two release.", no_args_is_help=True)
ceilings: Final = typer.Typer(
    help="How much a key may issue in a day: one lowers, two raise.", no_args_is_help=True
)
ApprovalOption = Annotated[
    uuid.UUID | None, typer.Option("--approval", help="Id of the approval that allows it.")
]
WH_PER_KWH: Final = 1000
_MONEY_OPTION: Final = "--money-minor"


def register(parent: typer.Typer) -> None:
    """Add the groups to the command line."""
    parent.add_typer(switches, name="switches")
    parent.add_typer(ceilings, name="ceilings")


@switches.command("stop")
@needs(Permission.SWITCHES_STOP)
def stop_issuing(
    scope: Annotated[StopScope, typer.Argument(help="What to stop.")],
    name: Annotated[
        str, typer.Argument(help="SGC/KRN/TYPE of a key, a supply group, or a partner's id.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who come after.")],
    outlet: Annotated[
        str | None, typer.Option("--outlet", help="Of the partner, with scope outlet.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop issuing at once, everywhere; it takes two people to release it."""
    target = parse_target(scope, name, outlet=outlet)
    with opened_database(data) as (_, database):
        stopped = stop(database, acting_operator(), target, reason=reason, clock=SystemClock())
    print_document(_stop_row(stopped), as_json=as_json)


@switches.command("release")
@needs(Permission.SWITCHES_RELEASE)
def release_stop(
    stop_id: Annotated[uuid.UUID, typer.Argument(help="Id of the stop.")],
    approval: ApprovalOption = None,
    reason: Annotated[str, typer.Option("--reason", help="For who approves.")] = "release",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let issuing go on under an approval; without --approval, ask for one."""
    by, clock = acting_operator(), SystemClock()
    with opened_database(data) as (_, database):
        if approval is None:
            asked = propose_release(database, by, StopId(stop_id), reason=reason, clock=clock)
            print_document(_asked_row(asked), as_json=as_json)
            return
        released = release(database, by, StopId(stop_id), ApprovalId(approval), clock=clock)
    print_document(_stop_row(released), as_json=as_json)


@switches.command("list")
@needs(Permission.KEYS_READ)
def list_switches(
    every: Annotated[bool, typer.Option("--all", help="Also those that were released.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what is stopped, the newest first."""
    with opened_database(data) as (_, database):
        rows = [_stop_row(one) for one in list_stops(database, standing_only=not every)]
    print_document(rows, as_json=as_json, title="stops")


@ceilings.command("list")
@needs(Permission.KEYS_READ)
def list_ceilings(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List what each key has issued today, and its ceilings."""
    with opened_container(data) as container, container.database.read() as connection:
        used = list_used_today(connection, now=container.clock.now())
    print_document([_used_row(one) for one in used], as_json=as_json, title="ceilings")


@ceilings.command("set")
@needs(Permission.CEILINGS_WRITE)
def set_one(
    key: Annotated[str, typer.Argument(help="SGC/KRN/TYPE of a key.")],
    use_class: Annotated[UseClass, typer.Option("--class", help="Of tokens.")] = UseClass.CREDIT,
    energy_kwh: Annotated[
        int | None, typer.Option("--energy-kwh", min=0, help="In a day; left out: no ceiling.")
    ] = None,
    money: Annotated[
        list[str] | None,
        typer.Option(_MONEY_OPTION, help="CODE=MINOR, such as KES=5000000; may be repeated."),
    ] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", min=0, help="In a day.")] = None,
    lower: Annotated[
        bool, typer.Option("--lower", help="It is not above the present one: takes no approval.")
    ] = False,
    approval: ApprovalOption = None,
    reason: Annotated[str, typer.Option("--reason", help="For who approves.")] = "ceiling",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the ceiling of a key; without --lower or --approval, ask for an approval."""
    by, named = acting_operator(), (parse_register(key), use_class)
    wanted = Ceiling(
        energy_wh=None if energy_kwh is None else energy_kwh * WH_PER_KWH,
        money_minor=dict(_parse_money(one) for one in money or []),
        token_count=tokens,
    )
    with opened_container(data) as container:
        database, clock = container.database, container.clock
        if lower:
            lower_ceiling(database, by, named, wanted, clock)
        elif approval is None:
            asked = propose_ceiling(database, by, named, wanted, clock, reason=reason)
            print_document(_asked_row(asked), as_json=as_json)
            return
        else:
            set_ceiling(database, by, named, wanted, clock, approval_id=ApprovalId(approval))
    print_document({"ceiling": key, "class": use_class.value, "set": True}, as_json=as_json)


def _parse_money(given: str) -> tuple[str, int]:
    code, _, minor = given.partition("=")
    if not minor.isdecimal():
        wanted = "write a currency and minor units such as KES=5000000"
        raise ArgumentInvalidError(_MONEY_OPTION, given, wanted=wanted)
    return parse_currency(code, _MONEY_OPTION).code, int(minor)


def _asked_row(asked: Approval) -> dict[str, object]:
    return {"approval": str(asked.id)}


def _stop_row(one: IssueStop) -> dict[str, object]:
    return {
        "id": str(one.id),
        "scope": one.target.scope.value,
        "name": one.target.name,
        "reason": one.reason,
        "stopped_at": one.stopped_at.isoformat(timespec="seconds"),
        "stopped_by": one.stopped_by,
        "released_at": "" if one.released_at is None else one.released_at.isoformat(),
        "released_by": one.released_by or "",
    }


def _used_row(one: UsedToday) -> dict[str, object]:
    shares = used_percent(one.count, one.ceiling)
    return {
        "key": one.register,
        "class": one.use_class.value,
        "energy_wh": one.count.energy_wh,
        "energy_ceiling_wh": one.ceiling.energy_wh,
        "money_minor": _money_text(one.count.money_minor),
        "money_ceiling_minor": _money_text(one.ceiling.money_minor),
        "tokens": one.count.token_count,
        "tokens_ceiling": one.ceiling.token_count,
        "used_percent": ", ".join(f"{one.value} {shares[one]}" for one in Measure if one in shares),
        "own": one.is_own,
    }


def _money_text(amounts: object) -> str:
    assert isinstance(amounts, dict), "amounts come by currency"
    return ", ".join(f"{code} {minor}" for code, minor in sorted(amounts.items()))

"""policies: what one person may do alone, when, and for how long; two people change it."""

import json
import uuid
from typing import Annotated, Final

import typer

from vending.approvals.policy_changes import change_policy, propose_policy
from vending.cli.access import acting_operator, needs
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document, print_note
from vending.cli.people import ReasonMissingError
from vending.operators.permissions import Permission
from vending.operators.service.accounts import load_operator
from vending.policies.model import MEANINGS, PolicyName, PolicyStanding
from vending.policies.service import (
    HISTORY_COUNT_MAX,
    describe_value,
    list_history,
    list_standings,
)
from vending.values.clock import SystemClock
from vending.values.identifiers import ApprovalId

app: Final = typer.Typer(
    help="Policies: what one person may do alone; two change it.", no_args_is_help=True
)
NameArgument = Annotated[PolicyName, typer.Argument(help="Which policy.")]


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="policies")


@app.command("show")
@needs(Permission.POLICIES_READ)
def show_all(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show what holds now, and whether two people have set it."""
    with opened_database(data) as (_, database), database.read() as connection:
        rows = [_row(one, as_json=as_json) for one in list_standings(connection)]
    print_document(rows, as_json=as_json, title="policies")


@app.command("change")
@needs(Permission.POLICIES_WRITE)
def change(
    name: NameArgument,
    value: Annotated[str, typer.Argument(help="As JSON; text may come without quotes.")],
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; whoever decides reads it.")
    ] = None,
    approval: Annotated[
        uuid.UUID | None, typer.Option("--approval", help="Carry out what was approved.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a policy have another value from now on; without --approval, ask for it.

    Raises:
        ReasonMissingError: There is neither a reason nor an approval.
    """
    by, wanted, clock = acting_operator(), _parse_value(value), SystemClock()
    with opened_database(data) as (_, database):
        if approval is None:
            if reason is None:
                raise ReasonMissingError
            asked = propose_policy(database, by, name, wanted, reason=reason, clock=clock)
            print_document({"approval": str(asked.id)}, as_json=as_json)
            print_note(
                "Another person approves it; then run this again with --approval.", as_json=as_json
            )
            return
        made = change_policy(
            database, by, name, wanted, approval_id=ApprovalId(approval), clock=clock
        )
    standing = PolicyStanding(name=name, value=made.value, version=made.version)
    print_document(_row(standing, as_json=as_json), as_json=as_json)


@app.command("history")
@needs(Permission.POLICIES_READ)
def show_history(
    name: Annotated[PolicyName | None, typer.Argument(help="Only this policy.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=HISTORY_COUNT_MAX)] = 50,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what two people have set, the newest first."""
    with opened_database(data) as (_, database), database.read() as connection:
        rows = [
            {
                "policy": one.name.value,
                "version": one.version,
                "value": one.value if as_json else describe_value(one.value),
                "valid_from": one.valid_from.isoformat(timespec="seconds"),
                "changed_by": load_operator(connection, one.changed_by).name,
                "approval": str(one.approval_id),
            }
            for one in list_history(connection, name, limit=limit)
        ]
    print_document(rows, as_json=as_json, title="policies")


def _parse_value(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value


def _row(one: PolicyStanding, *, as_json: bool) -> dict[str, object]:
    return {
        "policy": one.name.value,
        "value": one.value if as_json else describe_value(one.value),
        "version": one.version,
        "set_by": "two people" if one.version else "nobody: the default",
        "meaning": MEANINGS[one.name],
    }

"""approvals: see what others ask for, exactly, and decide it."""

import json
import uuid
from typing import Annotated, Final

import typer
from sqlalchemy import Connection

from vending.approvals.model import Approval, ApprovalState, Decision
from vending.approvals.service import (
    LIST_COUNT_MAX,
    decide,
    find_approval,
    list_approvals,
    withdraw,
)
from vending.cli.access import acting_operator, needs
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document, print_line, print_note
from vending.operators.permissions import Permission
from vending.operators.service.accounts import load_operator
from vending.values.clock import SystemClock
from vending.values.identifiers import ApprovalId, OperatorId

app: Final = typer.Typer(help="Approvals: asked by one, decided by another.", no_args_is_help=True)
IdArgument = Annotated[uuid.UUID, typer.Argument(help="Id of the approval.")]
NoteOption = Annotated[str | None, typer.Option("--note", help="One line for who asked.")]


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="approvals")


@app.command("list")
@needs(Permission.APPROVALS_READ)
def list_all(
    state: Annotated[
        ApprovalState, typer.Option("--state", help="Only this state.")
    ] = ApprovalState.REQUESTED,
    every: Annotated[bool, typer.Option("--all", help="Whatever their state.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LIST_COUNT_MAX)] = 50,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List approvals, the newest first; without options those that wait for a decision."""
    wanted = None if every else state
    with opened_database(data) as (_, database), database.read() as connection:
        found = list_approvals(connection, acting_operator(), state=wanted, limit=limit)
        rows: list[dict[str, object]] = [
            {
                "id": str(one.id),
                "use_case": one.act.use_case.value,
                "subject": one.act.subject,
                "state": one.state.value,
                "requested_by": _name(connection, one.requested_by),
                "expires": one.expires_at.isoformat(timespec="seconds"),
            }
            for one in found
        ]
    print_document(rows, as_json=as_json, title="approvals")


@app.command("show")
@needs(Permission.APPROVALS_READ)
def show(approval_id: IdArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show exactly what is asked for, and what became of it."""
    with opened_database(data) as (_, database), database.read() as connection:
        approval = find_approval(connection, acting_operator(), ApprovalId(approval_id))
        row = _row(connection, approval)
    if as_json:
        print_document({**row, "payload": approval.act.payload}, as_json=True)
        return
    print_document(row, as_json=False)
    print_note("exactly this, bound by the digest:", as_json=False)
    # Payloads hold nothing but printable text, whole numbers, lists and objects.
    text = json.dumps(approval.act.payload, ensure_ascii=False, indent=2, sort_keys=True)
    print_line(text, as_json=False)


@app.command("approve")
@needs(Permission.APPROVALS_READ)
def approve(
    approval_id: IdArgument,
    note: NoteOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve what another person asked for; see it first with `show`."""
    _decide(approval_id, Decision(approve=True, note=note), data, as_json=as_json)


@app.command("refuse")
@needs(Permission.APPROVALS_READ)
def refuse(
    approval_id: IdArgument,
    note: NoteOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse what another person asked for."""
    _decide(approval_id, Decision(approve=False, note=note), data, as_json=as_json)


@app.command("withdraw")
@needs(Permission.APPROVALS_READ)
def take_back(
    approval_id: IdArgument,
    note: NoteOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back what you asked for or approved, as long as it was not used."""
    with opened_database(data) as (_, database), database.unit_of_work() as uow:
        withdrawn = withdraw(
            uow.connection,
            acting_operator(),
            ApprovalId(approval_id),
            note=note,
            clock=SystemClock(),
        )
        row = _row(uow.connection, withdrawn)
        uow.commit()
    print_document(row, as_json=as_json)


def _decide(approval_id: uuid.UUID, decision: Decision, data: DataOption, *, as_json: bool) -> None:
    with opened_database(data) as (_, database), database.unit_of_work() as uow:
        decided = decide(
            uow.connection,
            acting_operator(),
            ApprovalId(approval_id),
            decision,
            clock=SystemClock(),
        )
        row = _row(uow.connection, decided)
        uow.commit()
    print_document(row, as_json=as_json)


def _row(connection: Connection, approval: Approval) -> dict[str, object]:
    return {
        "id": str(approval.id),
        "use_case": approval.act.use_case.value,
        "subject": approval.act.subject,
        "state": approval.state.value,
        "reason": approval.reason,
        "requested_by": _name(connection, approval.requested_by),
        "requested_at": approval.requested_at.isoformat(timespec="seconds"),
        "expires": approval.expires_at.isoformat(timespec="seconds"),
        "decided_by": _name(connection, approval.decided_by),
        "decided_at": approval.decided_at and approval.decided_at.isoformat(timespec="seconds"),
        "note": approval.note,
        "redeemed_by": _name(connection, approval.redeemed_by),
        "digest": approval.digest,
    }


def _name(connection: Connection, operator_id: OperatorId | None) -> str | None:
    return None if operator_id is None else load_operator(connection, operator_id).name

"""operators: who is there, what each may do; take on, lock, unlock, reset, give other roles."""

import uuid
from typing import Annotated, Final

import typer

from vending.approvals.role_changes import change_roles, propose_roles
from vending.cli.access import acting_operator, needs
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document, print_note
from vending.errors import ErrorKind, VendingError
from vending.operators.model import Invitation, NewOperator, Operator
from vending.operators.permissions import Permission, Role
from vending.operators.service.accounts import (
    create_operator,
    list_operators,
    load_operator_by_name,
    lock,
    reset_sign_in,
    unlock,
)
from vending.operators.service.sessions import sign_out_everywhere
from vending.persistence.engine import Database
from vending.values.clock import SystemClock
from vending.values.identifiers import ApprovalId

app: Final = typer.Typer(help="Operators: the utility's own people.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="Login name.")]


class ReasonMissingError(VendingError):
    """Whoever decides has to be told why."""

    kind = ErrorKind.INVALID
    code = "reason_missing"
    remedy = "Say why with --reason, or carry out what was approved with --approval."

    def __init__(self) -> None:
        super().__init__("an approval is asked for with a reason")


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="operators")


@app.command("add")
@needs(Permission.OPERATORS_WRITE)
def add(
    name: NameArgument,
    person: Annotated[
        str, typer.Option("--person", help="Whose account it is: staff number or name.")
    ],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take on an operator, without a role, and print the activation code, once."""
    with opened_database(data) as (_, database):
        invitation = create_operator(
            database, acting_operator(), NewOperator(name, person), clock=SystemClock()
        )
    print_document(invitation_row(invitation), as_json=as_json)
    print_note("The code is shown this once; hand it over in person.", as_json=as_json)


@app.command("list")
@needs(Permission.OPERATORS_READ)
def list_all(
    after: Annotated[
        str | None, typer.Option("--after", help="Last name of the page before.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List operators with state and roles, in the order of their names."""
    with opened_database(data) as (_, database), database.read() as connection:
        rows = [_row(operator) for operator in list_operators(connection, after=after)]
    print_document(rows, as_json=as_json, title="operators")


@app.command("lock")
@needs(Permission.OPERATORS_WRITE)
def lock_out(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Lock an account and end its sessions, now."""
    with opened_database(data) as (_, database):
        found = _find(database, name)
        locked = lock(database, acting_operator(), found.id, clock=SystemClock())
    print_document(_row(locked), as_json=as_json)


@app.command("unlock")
@needs(Permission.OPERATORS_WRITE)
def let_in(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Let a locked account sign in again."""
    with opened_database(data) as (_, database):
        found = _find(database, name)
        unlocked = unlock(database, acting_operator(), found.id, clock=SystemClock())
    print_document(_row(unlocked), as_json=as_json)


@app.command("reset")
@needs(Permission.OPERATORS_WRITE)
def reset(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Take away password, second factors, sessions and roles; print a new activation code, once."""
    with opened_database(data) as (_, database):
        found = _find(database, name)
        invitation = reset_sign_in(database, acting_operator(), found.id, clock=SystemClock())
    print_document(invitation_row(invitation), as_json=as_json)


@app.command("sign-out")
@needs(Permission.OPERATORS_WRITE)
def end_sessions(name: NameArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """End every session of an operator, now."""
    with opened_database(data) as (_, database):
        found = _find(database, name)
        count = sign_out_everywhere(database, acting_operator(), found.id, clock=SystemClock())
    print_document({"operator": found.name, "sessions_ended": count}, as_json=as_json)


@app.command("roles")
@needs(Permission.OPERATORS_WRITE)
def roles(
    name: NameArgument,
    role: Annotated[
        list[Role] | None, typer.Option("--role", help="A role; several times for several.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; whoever decides reads it.")
    ] = None,
    approval: Annotated[
        uuid.UUID | None, typer.Option("--approval", help="Carry out what was approved.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an operator exactly these roles; without --approval, ask for it.

    Raises:
        ReasonMissingError: There is neither a reason nor an approval.
    """
    wanted, clock = frozenset(role or ()), SystemClock()
    with opened_database(data) as (_, database):
        found = _find(database, name)
        if approval is not None:
            changed = change_roles(
                database,
                acting_operator(),
                found.id,
                wanted,
                approval_id=ApprovalId(approval),
                clock=clock,
            )
            print_document(_row(changed), as_json=as_json)
            return
        if reason is None:
            raise ReasonMissingError
        asked = propose_roles(
            database, acting_operator(), found.id, wanted, reason=reason, clock=clock
        )
    print_document({"approval": str(asked.id), "state": asked.state.value}, as_json=as_json)
    print_note("Another person approves it; then repeat it with --approval.", as_json=as_json)


def invitation_row(invitation: Invitation) -> dict[str, object]:
    """Return what is printed of an invitation, the code among it."""
    return {
        "operator": invitation.operator.name,
        "activation_code": invitation.code,
        "until": invitation.ends_at.isoformat(timespec="seconds"),
    }


def _find(database: Database, name: str) -> Operator:
    with database.read() as connection:
        return load_operator_by_name(connection, name)


def _row(operator: Operator) -> dict[str, object]:
    return {
        "name": operator.name,
        "person": operator.person,
        "state": operator.state.value,
        "roles": ", ".join(sorted(role.value for role in operator.roles)),
    }

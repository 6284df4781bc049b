"""Routes of operators: taken on, locked, signed out, invited anew; roles by approval."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.office_schemas import (
    EndedOut,
    InvitationOut,
    OperatorIn,
    OperatorOut,
    OperatorsOut,
    ProposalOut,
    RoleChangeIn,
    RoleProposalIn,
)
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE
from vending.approvals.role_changes import change_roles, propose_roles
from vending.operators.model import Invitation, NewOperator, Operator, SignedIn
from vending.operators.permissions import Permission
from vending.operators.service import accounts
from vending.operators.service.sessions import sign_out_everywhere
from vending.values.identifiers import ApprovalId, OperatorId

router: Final = new_router("office")
ReaderDep = Annotated[SignedIn, Depends(requires(Permission.OPERATORS_READ))]
WriterDep = Annotated[SignedIn, Depends(requires(Permission.OPERATORS_WRITE))]
OperatorPath = Annotated[UUID, Path(description="Id of the operator", examples=[ID_EXAMPLE])]
PAGE_MAX: Final = 200


@router.get(
    "/office/operators",
    responses={200: {"model": OperatorsOut}, **problems(401, 403, 422, 503)},
)
def get_operators(
    by: ReaderDep,
    container: ContainerDep,
    after: Annotated[
        str | None,
        Query(max_length=64, pattern=r"^[\x21-\x7e]*$", description="Last name of the page before",
              examples=["amina"]),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, examples=[50])] = 50,
) -> Response:  # fmt: skip
    """List operators in the order of their names."""
    del by
    with container.database.read() as connection:
        found = accounts.list_operators(connection, after=after, limit=limit)
    return encoded({"operators": [_operator(each) for each in found]})


@router.get(
    "/office/operators/{operator_id}",
    responses={200: {"model": OperatorOut}, **problems(401, 403, 404, 422, 503)},
)
def get_operator(operator_id: OperatorPath, by: ReaderDep, container: ContainerDep) -> Response:
    """Show one operator."""
    del by
    with container.database.read() as connection:
        found = accounts.load_operator(connection, OperatorId(operator_id))
    return encoded(_operator(found))


@router.post(
    "/office/operators",
    responses={201: {"model": InvitationOut}, **problems(400, 401, 403, 409, 413, 422, 503)},
    status_code=201,
)
def post_operator(body: OperatorIn, by: WriterDep, container: ContainerDep) -> Response:
    """Take an operator on, without a role; the activation code is shown once."""
    new = NewOperator(body.name, body.person)
    invited = accounts.create_operator(container.database, by, new, clock=container.clock)
    return encoded(_invitation(invited), status=201)


@router.post(
    "/office/operators/{operator_id}/lock",
    responses={200: {"model": OperatorOut}, **problems(401, 403, 404, 422, 503)},
)
def lock_operator(operator_id: OperatorPath, by: WriterDep, container: ContainerDep) -> Response:
    """Lock an account at once, and end its sessions."""
    database, clock = container.database, container.clock
    return encoded(_operator(accounts.lock(database, by, OperatorId(operator_id), clock=clock)))


@router.post(
    "/office/operators/{operator_id}/unlock",
    responses={200: {"model": OperatorOut}, **problems(401, 403, 404, 409, 422, 503)},
)
def unlock_operator(operator_id: OperatorPath, by: WriterDep, container: ContainerDep) -> Response:
    """Let a locked account sign in again, as it could before."""
    database, clock = container.database, container.clock
    return encoded(_operator(accounts.unlock(database, by, OperatorId(operator_id), clock=clock)))


@router.post(
    "/office/operators/{operator_id}/sign-out",
    responses={200: {"model": EndedOut}, **problems(401, 403, 422, 503)},
)
def sign_operator_out(
    operator_id: OperatorPath, by: WriterDep, container: ContainerDep
) -> Response:
    """End every session of an operator."""
    ended = sign_out_everywhere(
        container.database, by, OperatorId(operator_id), clock=container.clock
    )
    return encoded({"ended": ended})


@router.post(
    "/office/operators/{operator_id}/reset",
    responses={201: {"model": InvitationOut}, **problems(401, 403, 404, 409, 422, 503)},
    status_code=201,
)
def reset_operator(operator_id: OperatorPath, by: WriterDep, container: ContainerDep) -> Response:
    """Take password, second factors and roles away, and invite the holder anew."""
    invited = accounts.reset_sign_in(
        container.database, by, OperatorId(operator_id), clock=container.clock
    )
    return encoded(_invitation(invited), status=201)


@router.post(
    "/office/operators/{operator_id}/role-proposals",
    responses={201: {"model": ProposalOut}, **problems(400, 401, 403, 404, 409, 413, 422, 503)},
    status_code=201,
)
def post_role_proposal(
    operator_id: OperatorPath, body: RoleProposalIn, by: WriterDep, container: ContainerDep
) -> Response:
    """Ask that an operator have exactly these roles; another person approves."""
    asked = propose_roles(
        container.database,
        by,
        OperatorId(operator_id),
        frozenset(body.roles),
        reason=body.reason,
        clock=container.clock,
    )
    document = {"approval_id": str(asked.id), "expires_at": asked.expires_at.isoformat()}
    return encoded(document, status=201)


@router.post(
    "/office/operators/{operator_id}/roles",
    responses={200: {"model": OperatorOut}, **problems(400, 401, 403, 404, 409, 413, 422, 503)},
)
def post_roles(
    operator_id: OperatorPath, body: RoleChangeIn, by: WriterDep, container: ContainerDep
) -> Response:
    """Give an operator exactly the roles that another person approved."""
    changed = change_roles(
        container.database,
        by,
        OperatorId(operator_id),
        frozenset(body.roles),
        approval_id=ApprovalId(body.approval_id),
        clock=container.clock,
    )
    return encoded(_operator(changed))


def _operator(operator: Operator) -> dict[str, Any]:
    return {
        "id": str(operator.id),
        "name": operator.name,
        "person": operator.person,
        "state": operator.state.value,
        "roles": sorted(operator.roles),
        "created_at": operator.created_at.isoformat(),
    }


def _invitation(invitation: Invitation) -> dict[str, Any]:
    return {
        "operator": _operator(invitation.operator),
        "code": invitation.code,
        "ends_at": invitation.ends_at.isoformat(),
    }

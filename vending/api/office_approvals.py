"""Routes of approvals: what others ask for, exactly, and the decision on it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE, RecordId
from vending.approvals.model import Approval, ApprovalState, Decision
from vending.approvals.rules import TEXT_LENGTH_MAX
from vending.approvals.service import (
    LIST_COUNT_MAX,
    decide,
    find_approval,
    list_approvals,
    withdraw,
)
from vending.bootstrap import Container
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.operators.service.accounts import load_operator
from vending.values.identifiers import ApprovalId, OperatorId

router: Final = new_router("office")
DIGEST_EXAMPLE: Final = "6f1c7a3b" * 8
ReaderDep = Annotated[SignedIn, Depends(requires(Permission.APPROVALS_READ))]
"""Whoever decides reads first; which permission a decision takes depends on the use case."""
ApprovalPath = Annotated[UUID, Path(description="Id of the approval", examples=[ID_EXAMPLE])]
Note = Annotated[
    str | None,
    Field(max_length=TEXT_LENGTH_MAX, description="One line for who asked", examples=["seen"]),
]


Instant = Annotated[str, Field(examples=["2026-11-25T08:00:00+00:00"])]
InstantOrNone = Annotated[str | None, Field(examples=["2026-11-25T08:05:00+00:00"])]
Name = Annotated[str, Field(description="Login name", examples=["anna"])]
NameOrNone = Annotated[str | None, Field(description="Login name", examples=["ben"])]


class DecisionIn(BaseModel):
    """What the other person says."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    approve: Annotated[bool, Field(examples=[True])]
    note: Note = None


class WithdrawalIn(BaseModel):
    """The request or the consent is taken back."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    note: Note = None


class ApprovalOut(BaseModel):
    """An act that was asked for, and what became of it."""

    id: RecordId
    use_case: Annotated[str, Field(examples=["credit-line"])]
    subject: Annotated[str, Field(examples=["partner:acme"])]
    payload: Annotated[dict[str, Any], Field(examples=[{"floor_minor": -5000}])]
    digest: Annotated[
        str,
        Field(description="SHA-256 over use case, subject and payload", examples=[DIGEST_EXAMPLE]),
    ]
    reason: Annotated[str, Field(examples=["sells more since spring"])]
    state: Annotated[ApprovalState, Field(examples=["approved"])]
    requested_by: Name
    requested_at: Instant
    expires_at: Instant
    decided_by: NameOrNone
    decided_at: InstantOrNone
    note: Note
    redeemed_by: NameOrNone
    redeemed_at: InstantOrNone


class ApprovalsOut(BaseModel):
    """A page of approvals, the newest first."""

    approvals: list[ApprovalOut]


@router.get(
    "/office/approvals",
    responses={200: {"model": ApprovalsOut}, **problems(401, 403, 422, 503)},
)
def get_approvals(
    by: ReaderDep,
    container: ContainerDep,
    state: Annotated[
        ApprovalState | None, Query(description="Only this state", examples=["requested"])
    ] = None,
    before: Annotated[
        UUID | None, Query(description="Last id of the page before", examples=[ID_EXAMPLE])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LIST_COUNT_MAX, examples=[50])] = 50,
) -> Response:
    """List approvals, the newest first."""
    last = None if before is None else ApprovalId(before)
    with container.database.read() as connection:
        found = list_approvals(connection, by, state=state, before=last, limit=limit)
    return encoded({"approvals": _documents(container, found)})


@router.get(
    "/office/approvals/{approval_id}",
    responses={200: {"model": ApprovalOut}, **problems(401, 403, 404, 422, 503)},
)
def get_approval(approval_id: ApprovalPath, by: ReaderDep, container: ContainerDep) -> Response:
    """Show exactly what is asked for, and what became of it."""
    with container.database.read() as connection:
        found = find_approval(connection, by, ApprovalId(approval_id))
    return encoded(_documents(container, [found])[0])


@router.post(
    "/office/approvals/{approval_id}/decision",
    responses={200: {"model": ApprovalOut}, **problems(400, 401, 403, 404, 409, 413, 422, 503)},
)
def decide_approval(
    approval_id: ApprovalPath, body: DecisionIn, by: ReaderDep, container: ContainerDep
) -> Response:
    """Approve or refuse what another person asked for."""
    with container.database.unit_of_work() as uow:
        decided = decide(
            uow.connection,
            by,
            ApprovalId(approval_id),
            Decision(body.approve, body.note),
            clock=container.clock,
        )
        uow.commit()
    return encoded(_documents(container, [decided])[0])


@router.post(
    "/office/approvals/{approval_id}/withdrawal",
    responses={200: {"model": ApprovalOut}, **problems(400, 401, 403, 404, 409, 413, 422, 503)},
)
def withdraw_approval(
    approval_id: ApprovalPath, body: WithdrawalIn, by: ReaderDep, container: ContainerDep
) -> Response:
    """Take back what the caller asked for or approved, as long as it was not used."""
    with container.database.unit_of_work() as uow:
        withdrawn = withdraw(
            uow.connection, by, ApprovalId(approval_id), note=body.note, clock=container.clock
        )
        uow.commit()
    return encoded(_documents(container, [withdrawn])[0])


def _documents(container: Container, found: Sequence[Approval]) -> list[dict[str, object]]:
    ids = {
        operator_id
        for one in found
        for operator_id in (one.requested_by, one.decided_by, one.redeemed_by)
        if operator_id is not None
    }
    with container.database.read() as connection:
        names = {each: load_operator(connection, each).name for each in ids}
    return [_document(one, names) for one in found]


def _document(approval: Approval, names: Mapping[OperatorId, str]) -> dict[str, object]:
    decided_at, redeemed_at = approval.decided_at, approval.redeemed_at
    return {
        "id": str(approval.id),
        "use_case": approval.act.use_case.value,
        "subject": approval.act.subject,
        "payload": approval.act.payload,
        "digest": approval.digest,
        "reason": approval.reason,
        "state": approval.state.value,
        "requested_by": names[approval.requested_by],
        "requested_at": approval.requested_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
        "decided_by": approval.decided_by and names[approval.decided_by],
        "decided_at": decided_at and decided_at.isoformat(),
        "note": approval.note,
        "redeemed_by": approval.redeemed_by and names[approval.redeemed_by],
        "redeemed_at": redeemed_at and redeemed_at.isoformat(),
    }

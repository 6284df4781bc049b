"""Routes of policies: what one person may do alone; shown, and changed by two."""

from typing import Annotated, Final

from fastapi import Depends, Path, Query, Response
from pydantic import Field

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.office_forms import (
    ApprovalIn,
    AskedOut,
    Instant,
    Line,
    OfficeIn,
    OfficeOut,
    asked,
    id_of,
)
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import RecordId
from vending.approvals.policy_changes import change_policy, propose_policy
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.operators.service.accounts import load_operator
from vending.policies.model import MEANINGS, PolicyName, PolicyStanding
from vending.policies.service import HISTORY_COUNT_MAX, list_history, list_standings

router: Final = new_router("office")
ReaderDep = Annotated[SignedIn, Depends(requires(Permission.POLICIES_READ))]
WriterDep = Annotated[SignedIn, Depends(requires(Permission.POLICIES_WRITE))]
NamePath = Annotated[
    PolicyName, Path(description="Which policy", examples=[PolicyName.REPLACEMENT_LIMIT_WH])
]
VALUE_LENGTH_MAX: Final = 2_000
CURRENCIES_MAX: Final = 50
Value = Annotated[
    bool
    | int
    | Annotated[str, Field(max_length=VALUE_LENGTH_MAX)]
    | Annotated[dict[str, int], Field(max_length=CURRENCIES_MAX)]
    | None,
    Field(description="In the form of its policy", examples=[5000]),
]
VersionNumber = Annotated[int, Field(description="0: the default", examples=[1])]


class PolicyIn(OfficeIn):
    """The value that a policy is to have, and the approval of it or why it is asked for."""

    value: Value
    reason: Line
    approval_id: ApprovalIn = None


class PolicyOut(OfficeOut):
    """What holds of a policy."""

    policy: PolicyName
    value: Value
    version: VersionNumber
    meaning: Annotated[str, Field(examples=["The largest token that one person replaces"])]


class PoliciesOut(OfficeOut):
    """Every policy."""

    policies: list[PolicyOut]


class PolicyVersionOut(OfficeOut):
    """A value that two people gave a policy."""

    policy: PolicyName
    value: Value
    version: VersionNumber
    valid_from: Instant
    changed_by: Annotated[str, Field(description="Login name", examples=["anna"])]
    approval_id: RecordId


class PolicyVersionsOut(OfficeOut):
    """What two people have set, the newest first."""

    versions: list[PolicyVersionOut]


@router.get(
    "/office/policies", responses={200: {"model": PoliciesOut}, **problems(401, 403, 422, 503)}
)
def get_policies(by: ReaderDep, container: ContainerDep) -> Response:
    """Show what holds of each policy now."""
    del by
    with container.database.read() as connection:
        standings = list_standings(connection)
    return encoded({"policies": [_document(one) for one in standings]})


@router.get(
    "/office/policies/history",
    responses={200: {"model": PolicyVersionsOut}, **problems(401, 403, 422, 503)},
)
def get_policy_history(
    by: ReaderDep,
    container: ContainerDep,
    name: Annotated[
        PolicyName | None, Query(description="Only this policy", examples=["timezone"])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=HISTORY_COUNT_MAX, examples=[50])] = 50,
) -> Response:
    """List what two people have set, the newest first."""
    del by
    with container.database.read() as connection:
        versions = [
            {
                "policy": one.name.value,
                "value": one.value,
                "version": one.version,
                "valid_from": one.valid_from.isoformat(),
                "changed_by": load_operator(connection, one.changed_by).name,
                "approval_id": str(one.approval_id),
            }
            for one in list_history(connection, name, limit=limit)
        ]
    return encoded({"versions": versions})


@router.put(
    "/office/policies/{name}",
    responses={
        200: {"model": PolicyOut},
        202: {"model": AskedOut},
        **problems(400, 401, 403, 404, 409, 413, 422, 503),
    },
)
def put_policy(name: NamePath, body: PolicyIn, by: WriterDep, container: ContainerDep) -> Response:
    """Let a policy have another value from now on; without an approval, ask for it."""
    database, clock, approval_id = container.database, container.clock, id_of(body.approval_id)
    if approval_id is None:
        return asked(
            propose_policy(database, by, name, body.value, reason=body.reason, clock=clock)
        )
    made = change_policy(database, by, name, body.value, approval_id=approval_id, clock=clock)
    return encoded(_document(PolicyStanding(name=name, value=made.value, version=made.version)))


def _document(one: PolicyStanding) -> dict[str, object]:
    return {
        "policy": one.name.value,
        "value": one.value,
        "version": one.version,
        "meaning": MEANINGS[one.name],
    }

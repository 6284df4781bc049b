"""Routes of orders to meters: off inside the rule or with an approval, on at any time."""

from typing import Annotated, Final

from fastapi import Depends, Response
from pydantic import Field

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.office_forms import (
    ApprovalIn,
    AskedOut,
    Instant,
    Line,
    MeterPath,
    OfficeIn,
    OfficeOut,
    asked,
    id_of,
)
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import RecordId
from vending.bootstrap import disconnection_rule
from vending.commands.errors import DisconnectionHoursError
from vending.commands.model import Command, RelayOrder
from vending.commands.service import disconnect, propose_disconnection, reconnect
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission

router: Final = new_router("office")
WriterDep = Annotated[SignedIn, Depends(requires(Permission.COMMANDS_WRITE))]
_REFUSALS: Final = problems(400, 401, 403, 404, 409, 413, 422, 503)


class DisconnectionIn(OfficeIn):
    """Why a meter is cut off."""

    reason: Line
    approval_id: ApprovalIn = None


class ReconnectionIn(OfficeIn):
    """Why a meter is connected again."""

    reason: Line


class CommandOut(OfficeOut):
    """An order as it stands; the worker carries it out."""

    id: RecordId
    kind: Annotated[str, Field(examples=["disconnect"])]
    state: Annotated[str, Field(examples=["queued"])]
    expires_at: Instant


@router.post(
    "/office/meters/{meter}/disconnections",
    status_code=201,
    responses={201: {"model": CommandOut}, 202: {"model": AskedOut}, **_REFUSALS},
)
def create_disconnection(
    meter: MeterPath, body: DisconnectionIn, by: WriterDep, container: ContainerDep
) -> Response:
    """Order a relay open; outside the rule, ask for the approval first."""
    order, database, clock = RelayOrder(meter, body.reason), container.database, container.clock
    try:
        queued = disconnect(
            database,
            order,
            disconnection_rule(container.settings),
            by=by,
            clock=clock,
            approval_id=id_of(body.approval_id),
        )
    except DisconnectionHoursError:
        return asked(propose_disconnection(database, order, by=by, clock=clock))
    return encoded(_document(queued), status=201)


@router.post(
    "/office/meters/{meter}/reconnections",
    status_code=201,
    responses={201: {"model": CommandOut}, **_REFUSALS},
)
def create_reconnection(
    meter: MeterPath, body: ReconnectionIn, by: WriterDep, container: ContainerDep
) -> Response:
    """Order a relay closed."""
    order = RelayOrder(meter, body.reason)
    queued = reconnect(container.database, order, by=by, clock=container.clock)
    return encoded(_document(queued), status=201)


def _document(command: Command) -> dict[str, object]:
    return {
        "id": str(command.id),
        "kind": command.kind.value,
        "state": command.state.value,
        "expires_at": command.expires_at.isoformat(),
    }

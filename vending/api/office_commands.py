"""Routes of orders to meters: given, listed, and settled or tried again where a person decides."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response
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
from vending.api.schemas import ID_EXAMPLE, RecordId
from vending.campaigns.service.settling import retry_command, settle_command
from vending.commands.errors import DisconnectionHoursError
from vending.commands.model import Command, RelayOrder, Verdict
from vending.commands.service import (
    disconnect,
    list_for_meter,
    list_for_person,
    propose_disconnection,
    reconnect,
)
from vending.meters.model import Meter
from vending.meters.rules import parse_meter_number
from vending.meters.service import find_meters_by_id, load_meter
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.values.identifiers import CommandId

router: Final = new_router("office")
ReaderDep = Annotated[SignedIn, Depends(requires(Permission.COMMANDS_READ))]
WriterDep = Annotated[SignedIn, Depends(requires(Permission.COMMANDS_WRITE))]
CommandPath = Annotated[UUID, Path(description="Id of the command", examples=[ID_EXAMPLE])]
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


class CommandRowOut(CommandOut):
    """A command, its meter, and what became of it so far."""

    drn: Annotated[str, Field(examples=["01234567897"])]
    result: Annotated[
        str | None,
        Field(
            description="The word for the last change; none: nothing happened", examples=["sent"]
        ),
    ]
    attempts: Annotated[int, Field(examples=[8])]
    reason: Annotated[str, Field(examples=["sale"])]
    requested_by: Annotated[str, Field(examples=["sales"])]
    changed_at: Instant


class CommandsOut(OfficeOut):
    """Commands, the newest first."""

    commands: list[CommandRowOut]


class SettlementIn(OfficeIn):
    """What a person found out at the meter."""

    verdict: Annotated[Verdict, Field(strict=False, examples=["applied"])]


@router.get(
    "/office/commands",
    responses={200: {"model": CommandsOut}, **problems(401, 403, 404, 422, 503)},
)
def get_commands(
    by: ReaderDep,
    container: ContainerDep,
    meter: Annotated[
        str | None,
        Query(max_length=40, description="DRN or MeterPAN", examples=["01234567897"]),
    ] = None,
) -> Response:
    """List the newest commands of a meter; without one, those that wait for a person."""
    del by
    with container.database.read() as connection:
        if meter is None:
            found = list_for_person(connection)
        else:
            found = list_for_meter(connection, load_meter(connection, parse_meter_number(meter)).id)
        meters = find_meters_by_id(connection, {each.meter_id for each in found})
    return encoded({"commands": [_row(each, meters[each.meter_id]) for each in found]})


@router.post(
    "/office/commands/{command_id}/settlement",
    responses={200: {"model": CommandRowOut}, **_REFUSALS},
)
def create_settlement(
    command_id: CommandPath, body: SettlementIn, by: WriterDep, container: ContainerDep
) -> Response:
    """Finish a command that waits for a person by what the person found out."""
    with container.database.unit_of_work() as uow:
        settled = settle_command(
            uow.connection,
            CommandId(command_id),
            body.verdict,
            by=by.actor,
            clock=container.clock,
        )
        meters = find_meters_by_id(uow.connection, [settled.meter_id])
        uow.commit()
    return encoded(_row(settled, meters[settled.meter_id]))


@router.post(
    "/office/commands/{command_id}/retry",
    responses={200: {"model": CommandRowOut}, **problems(401, 403, 404, 409, 422, 503)},
)
def create_retry(command_id: CommandPath, by: WriterDep, container: ContainerDep) -> Response:
    """Give a command that waits for a person fresh tries: the same token, never a new one."""
    with container.database.unit_of_work() as uow:
        again = retry_command(
            uow.connection, CommandId(command_id), by=by.actor, clock=container.clock
        )
        meters = find_meters_by_id(uow.connection, [again.meter_id])
        uow.commit()
    return encoded(_row(again, meters[again.meter_id]))


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


def _row(command: Command, meter: Meter) -> dict[str, object]:
    return {
        **_document(command),
        "drn": meter.pan.iain,
        "result": command.result_code,
        "attempts": command.attempts,
        "reason": command.reason,
        "requested_by": command.requested_by,
        "changed_at": command.changed_at.isoformat(),
    }

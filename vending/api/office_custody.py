"""Routes of custody: what expires, what is stopped, how much a key may issue in a day."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE, RecordId
from vending.approvals.rules import TEXT_LENGTH_MAX
from vending.bootstrap import forecast_limits
from vending.custody.model import (
    Ceiling,
    IssueStop,
    KeyForecast,
    Severity,
    StopId,
    StopScope,
    Suggestion,
    UseClass,
    UsedToday,
)
from vending.custody.service.ceilings import (
    describe_ceiling,
    lower_ceiling,
    propose_ceiling,
    set_ceiling,
)
from vending.custody.service.forecast import forecast_keys
from vending.custody.service.limits import list_used_today
from vending.custody.service.switches import (
    list_stops,
    parse_register,
    parse_target,
    propose_release,
    release,
    stop,
)
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.values.identifiers import ApprovalId

router: Final = new_router("office")
ReaderDep = Annotated[SignedIn, Depends(requires(Permission.KEYS_READ))]
StopperDep = Annotated[SignedIn, Depends(requires(Permission.SWITCHES_STOP))]
ReleaserDep = Annotated[SignedIn, Depends(requires(Permission.SWITCHES_RELEASE))]
CeilingsDep = Annotated[SignedIn, Depends(requires(Permission.CEILINGS_WRITE))]
StopPath = Annotated[UUID, Path(description="Id of the stop", examples=[ID_EXAMPLE])]
Reason = Annotated[
    str,
    Field(min_length=1, max_length=TEXT_LENGTH_MAX, description="One line", examples=["theft"]),
]
Register = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{6}/[1-9]/(DITK|DDTK|DUTK|DCTK)$",
        description="SGC/KRN/TYPE of a key",
        examples=["201457/1/DUTK"],
    ),
]
Instant = Annotated[str, Field(examples=["2026-11-25T08:00:00+00:00"])]
InstantOrNone = Annotated[str | None, Field(examples=["2026-11-25T08:05:00+00:00"])]
Name = Annotated[str, Field(description="Login name", examples=["anna"])]
NameOrNone = Annotated[str | None, Field(description="Login name", examples=["ben"])]
WholeNumber = Annotated[int | None, Field(ge=0, examples=[500_000_000])]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StopIn(_In):
    """Stop issuing for this, at once."""

    scope: Annotated[StopScope, Field(strict=False, examples=["key"])]
    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            description="SGC/KRN/TYPE of a key, a supply group, or a partner's id",
            examples=["201457/1/DUTK"],
        ),
    ]
    outlet: Annotated[
        str | None,
        Field(
            max_length=64,
            description="Of the partner, with scope outlet",
            examples=["westgate-2"],
        ),
    ] = None
    reason: Reason


class ReleaseIn(_In):
    """Ask for a release, or release under an approval."""

    reason: Reason
    approval_id: Annotated[
        UUID | None,
        Field(strict=False, description="Null: ask for one", examples=[ID_EXAMPLE]),
    ] = None


class CeilingBody(_In):
    """Most of each measure in a day; null or absent: no ceiling."""

    energy_wh: WholeNumber = None
    money_minor: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], Annotated[int, Field(ge=0)]],
        Field(max_length=20, examples=[{"KES": 5_000_000}]),
    ] = {}
    token_count: WholeNumber = None

    def to_ceiling(self) -> Ceiling:
        """Return the ceiling."""
        return Ceiling(
            energy_wh=self.energy_wh,
            money_minor=self.money_minor,
            token_count=self.token_count,
        )


class CeilingIn(_In):
    """Another ceiling of a key."""

    key: Register
    use_class: Annotated[UseClass, Field(strict=False, examples=["credit"])]
    ceiling: CeilingBody
    lower: Annotated[
        bool, Field(description="It is not above the present one: takes no approval")
    ] = False
    reason: Reason
    approval_id: Annotated[
        UUID | None,
        Field(strict=False, description="Null: ask for one", examples=[ID_EXAMPLE]),
    ] = None


class KeyForecastOut(BaseModel):
    """When a key expires, how many meters hold it, and what to do."""

    key: Register
    check_value: Annotated[str | None, Field(examples=["C8ABE4"])]
    expires_at: InstantOrNone
    days_left: Annotated[int | None, Field(examples=[365])]
    retired: bool
    meters: Annotated[int, Field(examples=[1200])]
    severity: Annotated[Severity, Field(examples=["soon"])]
    suggestion: Annotated[Suggestion, Field(examples=["key-revision"])]
    target: Annotated[str | None, Field(examples=["201457/2/DUTK"])]


class ForecastOut(BaseModel):
    """Every key, the most pressing first."""

    keys: list[KeyForecastOut]


class StopOut(BaseModel):
    """One time that a switch was put on stop."""

    id: RecordId
    scope: Annotated[StopScope, Field(examples=["key"])]
    name: Annotated[str, Field(examples=["201457/1/DUTK"])]
    reason: Annotated[str, Field(examples=["theft"])]
    stopped_at: Instant
    stopped_by: Name
    released_at: InstantOrNone
    released_by: NameOrNone


class StopsOut(BaseModel):
    """What is stopped, the newest first."""

    stops: list[StopOut]


class ProposalOut(BaseModel):
    """What was done, or the approval that was asked for."""

    approval_id: Annotated[UUID | None, Field(examples=[ID_EXAMPLE])]
    done: bool


class CountOut(BaseModel):
    """What a key was used for today, or may be used for."""

    energy_wh: WholeNumber
    money_minor: Annotated[dict[str, int], Field(examples=[{"KES": 5_000_000}])]
    token_count: WholeNumber


class UsedOut(BaseModel):
    """How far a key has come under its ceiling today."""

    key: Register
    use_class: Annotated[UseClass, Field(examples=["credit"])]
    used: CountOut
    ceiling: CountOut
    own: Annotated[bool, Field(description="Set for this key; otherwise the default")]


class CeilingsOut(BaseModel):
    """Every key that was used today or has a ceiling of its own."""

    ceilings: list[UsedOut]


@router.get(
    "/office/keys/forecast",
    responses={200: {"model": ForecastOut}, **problems(401, 403, 503)},
)
def get_forecast(by: ReaderDep, container: ContainerDep) -> Response:
    """Tell what expires when, how many meters hold it, and what to do."""
    del by
    with container.database.read() as connection:
        told = forecast_keys(
            connection,
            container.store.list_keys(),
            forecast_limits(container.settings),
            now=container.clock.now(),
        )
    return encoded({"keys": [_forecast(one) for one in told]})


@router.get(
    "/office/switches",
    responses={200: {"model": StopsOut}, **problems(401, 403, 422, 503)},
)
def get_stops(
    by: ReaderDep,
    container: ContainerDep,
    every: Annotated[bool, Query(alias="all", description="Also those released")] = False,  # noqa: FBT002 # a query parameter
) -> Response:
    """List what is stopped, the newest first."""
    del by
    stops = list_stops(container.database, standing_only=not every)
    return encoded({"stops": [_stop(one) for one in stops]})


@router.post(
    "/office/switches",
    status_code=201,
    responses={201: {"model": StopOut}, **problems(400, 401, 403, 413, 422, 503)},
)
def post_stop(body: StopIn, by: StopperDep, container: ContainerDep) -> Response:
    """Stop issuing at once; it takes two people to release it."""
    target = parse_target(body.scope, body.name, outlet=body.outlet)
    stopped = stop(container.database, by, target, reason=body.reason, clock=container.clock)
    return encoded(_stop(stopped), status=201)


@router.post(
    "/office/switches/{stop_id}/release",
    responses={200: {"model": ProposalOut}, **problems(400, 401, 403, 404, 409, 413, 422, 503)},
)
def post_release(
    stop_id: StopPath, body: ReleaseIn, by: ReleaserDep, container: ContainerDep
) -> Response:
    """Ask for issuing to go on; with an approval, let it."""
    database, clock = container.database, container.clock
    if body.approval_id is None:
        asked = propose_release(database, by, StopId(stop_id), reason=body.reason, clock=clock)
        return encoded({"approval_id": str(asked.id), "done": False})
    release(database, by, StopId(stop_id), ApprovalId(body.approval_id), clock=clock)
    return encoded({"approval_id": str(body.approval_id), "done": True})


@router.get(
    "/office/ceilings",
    responses={200: {"model": CeilingsOut}, **problems(401, 403, 503)},
)
def get_ceilings(by: ReaderDep, container: ContainerDep) -> Response:
    """Tell what each key has issued today, and its ceilings."""
    del by
    with container.database.read() as connection:
        used = list_used_today(connection, now=container.clock.now())
    return encoded({"ceilings": [_used(one) for one in used]})


@router.post(
    "/office/ceilings",
    responses={200: {"model": ProposalOut}, **problems(400, 401, 403, 404, 409, 413, 422, 503)},
)
def post_ceiling(body: CeilingIn, by: CeilingsDep, container: ContainerDep) -> Response:
    """Lower a ceiling, ask for another one, or set it under an approval."""
    named, wanted = (parse_register(body.key), body.use_class), body.ceiling.to_ceiling()
    database, clock = container.database, container.clock
    if body.lower:
        lower_ceiling(database, by, named, wanted, clock)
        return encoded({"approval_id": None, "done": True})
    if body.approval_id is None:
        asked = propose_ceiling(database, by, named, wanted, clock, reason=body.reason)
        return encoded({"approval_id": str(asked.id), "done": False})
    approval_id = ApprovalId(body.approval_id)
    set_ceiling(database, by, named, wanted, clock, approval_id=approval_id)
    return encoded({"approval_id": str(approval_id), "done": True})


def _forecast(one: KeyForecast) -> dict[str, object]:
    return {
        "key": str(one.register),
        "check_value": one.check_value,
        "expires_at": None if one.expires_at is None else one.expires_at.isoformat(),
        "days_left": one.days_left,
        "retired": one.is_retired,
        "meters": one.meter_count,
        "severity": one.severity.value,
        "suggestion": one.suggestion.value,
        "target": None if one.target is None else str(one.target),
    }


def _stop(one: IssueStop) -> dict[str, object]:
    return {
        "id": str(one.id),
        "scope": one.target.scope.value,
        "name": one.target.name,
        "reason": one.reason,
        "stopped_at": one.stopped_at.isoformat(),
        "stopped_by": one.stopped_by,
        "released_at": None if one.released_at is None else one.released_at.isoformat(),
        "released_by": one.released_by,
    }


def _used(one: UsedToday) -> dict[str, object]:
    return {
        "key": one.register,
        "use_class": one.use_class.value,
        "used": {
            "energy_wh": one.count.energy_wh,
            "money_minor": dict(one.count.money_minor),
            "token_count": one.count.token_count,
        },
        "ceiling": describe_ceiling(one.ceiling),
        "own": one.is_own,
    }

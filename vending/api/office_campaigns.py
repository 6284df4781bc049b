"""Routes of key-change campaigns: plan, look, propose, run, follow up; digits only in `lists`."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE, MeterNumber, RecordId
from vending.campaigns.model import (
    CHASE_AFTER_DAYS,
    CHASE_AFTER_DAYS_MAX,
    NAME_LENGTH_MAX,
    NOTE_LENGTH_MAX,
    CampaignState,
    Channel,
    NewCampaign,
)
from vending.campaigns.rules import parse_filter, parse_target
from vending.campaigns.service.documents import (
    campaign_document,
    chase_document,
    dry_run_document,
    member_document,
    outlook_document,
    owner_document,
    report_document,
    story_document,
)
from vending.campaigns.service.evidence import note_entered, note_not_entered
from vending.campaigns.service.lists import ListFormat
from vending.campaigns.service.planning import (
    DryRun,
    draft_campaign,
    dry_run,
    propose_start,
    start_campaign,
)
from vending.campaigns.service.printing import print_sets
from vending.campaigns.service.reports import (
    find_token_key,
    list_campaigns,
    list_chase,
    report,
    tell_meter,
)
from vending.campaigns.service.running import cancel_campaign, pause_campaign, resume_campaign
from vending.meters.rules import parse_meter_number
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.sts import ungroup_digits
from vending.values.identifiers import ApprovalId, CampaignId

router: Final = new_router("office")
DRY_RUN_LINES_MAX: Final = 200
"""Meters told one by one; the numbers are over all of them."""

ReaderDep = Annotated[SignedIn, Depends(requires(Permission.CAMPAIGNS_READ))]
WriterDep = Annotated[SignedIn, Depends(requires(Permission.CAMPAIGNS_WRITE))]
ViewerDep = Annotated[SignedIn, Depends(requires(Permission.TOKENS_VIEW))]
CampaignPath = Annotated[UUID, Path(description="Id of the campaign", examples=[ID_EXAMPLE])]
MeterPath = Annotated[str, Path(max_length=40, examples=["01234567897"])]
Note = Annotated[str, Field(min_length=1, max_length=NOTE_LENGTH_MAX, examples=["on the phone"])]
Sgc = Annotated[str | None, Field(pattern=r"^[0-9]{6}$", examples=["201457"])]
Krn = Annotated[int | None, Field(ge=1, le=9, examples=[2])]
Kt = Annotated[Literal["DITK", "DDTK", "DUTK", "DCTK"] | None, Field(examples=["DUTK"])]
Ti = Annotated[str | None, Field(pattern=r"^[0-9]{2}$", examples=["01"])]
BaseYear = Annotated[Literal[1993, 2014, 2035] | None, Field(examples=[2014])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FilterIn(_Body):
    """Which meters: those that fit every field given."""

    sgc: Sgc = None
    krn: Krn = None
    kt: Kt = None
    ti: Ti = None
    base_date: BaseYear = None
    tariff: Annotated[str | None, Field(max_length=32, examples=["RES-1"])] = None
    location_prefix: Annotated[str | None, Field(max_length=200, examples=["Block A"])] = None
    meters: Annotated[list[MeterNumber] | None, Field(examples=[["01234567897"]])] = None


class TargetIn(_Body):
    """What the meters are to become; what is left out stays as each meter has it."""

    sgc: Sgc = None
    krn: Krn = None
    kt: Kt = None
    ti: Ti = None
    base_date: BaseYear = None


class CampaignIn(_Body):
    """A campaign to draft."""

    name: Annotated[
        str, Field(min_length=1, max_length=NAME_LENGTH_MAX, examples=["Revision 2, Block A"])
    ]
    reason: Annotated[
        str, Field(min_length=1, max_length=NOTE_LENGTH_MAX, examples=["revision 1 expires"])
    ]
    filter: FilterIn
    target: TargetIn
    channels: Annotated[
        list[Literal["driver", "print"]] | None, Field(examples=[["driver", "print"]])
    ] = None
    chase_after_days: Annotated[
        int, Field(ge=1, le=CHASE_AFTER_DAYS_MAX, examples=[CHASE_AFTER_DAYS])
    ] = CHASE_AFTER_DAYS


class ReasonIn(_Body):
    """Why."""

    reason: Annotated[str, Field(min_length=1, max_length=NOTE_LENGTH_MAX, examples=["as planned"])]


class StartIn(_Body):
    """With whose consent."""

    approval_id: Annotated[UUID, Field(strict=False, examples=[ID_EXAMPLE])]


class ResumeIn(_Body):
    """How to go on."""

    retry_failed: Annotated[
        bool, Field(description="Plan again what the module refused", examples=[False])
    ] = False


class NoteIn(_Body):
    """Who said so, and how."""

    note: Note


class ListIn(_Body):
    """Which sets to print, and how."""

    place: Annotated[
        str, Field(max_length=200, description="Locations that begin so", examples=["Route 3"])
    ] = ""
    format: Annotated[Literal["text", "csv", "pdf"], Field(examples=["pdf"])] = "pdf"
    language: Annotated[Literal["en", "zh-CN"], Field(examples=["en"])] = "en"


class TokenIn(_Body):
    """A token whose key is asked for."""

    meter: MeterNumber
    digits: Annotated[str, Field(max_length=40, examples=["7063 0503 4700 2872 6114"])]


class Open(BaseModel):
    """A document of the office; fields are added, none is taken away."""

    model_config = ConfigDict(extra="allow")


class CampaignOut(Open):
    """A campaign."""

    id: RecordId
    name: Annotated[str, Field(examples=["Revision 2"])]
    state: CampaignState


class CampaignsOut(BaseModel):
    """The newest campaigns."""

    campaigns: list[CampaignOut]


class DryRunOut(Open):
    """What would happen now: numbers over all meters, and the first ones each."""

    meters: Annotated[int, Field(examples=[200])]
    would_change: Annotated[int, Field(examples=[190])]
    would_not: dict[str, int]
    rows: Annotated[list[dict[str, Any]], Field(examples=[[{"drn": "01234567897"}]])]


class ProposalOut(BaseModel):
    """The approval that was asked for."""

    approval_id: RecordId
    payload: Annotated[dict[str, Any], Field(examples=[{"meters": 200}])]


class ReportOut(CampaignOut):
    """A campaign in numbers."""

    steps: dict[str, int]
    reasons: dict[str, int]
    entered_known_by: dict[str, int]


class GroupOut(BaseModel):
    """Meters of one place."""

    place: Annotated[str, Field(examples=["Route 3"])]
    meters: Annotated[list[dict[str, Any]], Field(examples=[[{"drn": "01234567897"}]])]


class ChaseOut(BaseModel):
    """The meters to ask after."""

    groups: list[GroupOut]


_READ: Final = (401, 403, 404, 422, 503)
_WRITE: Final = (400, 401, 403, 404, 409, 413, 422, 503)


@router.get(
    "/office/campaigns",
    responses={200: {"model": CampaignsOut}, **problems(401, 403, 422, 503)},
)
def get_campaigns(
    by: ReaderDep,
    container: ContainerDep,
    state: Annotated[CampaignState | None, Query(examples=["running"])] = None,
) -> Response:
    """List the newest campaigns."""
    del by
    with container.database.read() as connection:
        found = list_campaigns(connection, state=state)
    return encoded({"campaigns": [campaign_document(each) for each in found]})


@router.post(
    "/office/campaigns",
    status_code=201,
    responses={201: {"model": CampaignOut}, **problems(400, 401, 403, 413, 422, 503)},
)
def create_campaign(body: CampaignIn, by: WriterDep, container: ContainerDep) -> Response:
    """Draft a campaign; nothing is issued."""
    wanted = body.filter.model_dump(exclude_none=True)
    if "meters" in wanted:
        wanted["meters"] = [parse_meter_number(each).digits for each in wanted["meters"]]
    new = NewCampaign(
        name=body.name,
        reason=body.reason,
        wanted=parse_filter(wanted),
        target=parse_target(body.target.model_dump(exclude_none=True)),
        channels=frozenset(map(Channel, body.channels if body.channels is not None else Channel)),
        chase_after_days=body.chase_after_days,
    )
    campaign = draft_campaign(container.campaign_office, new, by=by)
    return encoded(campaign_document(campaign), status=201)


@router.get(
    "/office/campaigns/{campaign_id}",
    responses={200: {"model": ReportOut}, **problems(*_READ)},
)
def get_campaign(campaign_id: CampaignPath, by: ReaderDep, container: ContainerDep) -> Response:
    """Show a campaign in numbers."""
    del by
    return encoded(report_document(report(container.campaign_office, CampaignId(campaign_id))))


@router.get(
    "/office/campaigns/{campaign_id}/dry-run",
    responses={200: {"model": DryRunOut}, **problems(*_READ)},
)
def get_dry_run(campaign_id: CampaignPath, by: ReaderDep, container: ContainerDep) -> Response:
    """Tell what would happen to each meter, or why nothing would."""
    del by
    found = DryRun()
    rows: list[dict[str, object]] = []
    for outlook in dry_run(container.campaign_office, CampaignId(campaign_id)):
        found.add(outlook)
        if len(rows) < DRY_RUN_LINES_MAX:
            rows.append(outlook_document(outlook))
    return encoded({**dry_run_document(found), "rows": rows})


@router.post(
    "/office/campaigns/{campaign_id}/proposal",
    status_code=201,
    responses={201: {"model": ProposalOut}, **problems(*_WRITE)},
)
def create_proposal(
    campaign_id: CampaignPath, body: ReasonIn, by: WriterDep, container: ContainerDep
) -> Response:
    """Ask another person to let the campaign start over the meters that fit now."""
    asked = propose_start(
        container.campaign_office, CampaignId(campaign_id), reason=body.reason, by=by
    )
    document = {"approval_id": str(asked.id), "payload": dict(asked.act.payload)}
    return encoded(document, status=201)


@router.post(
    "/office/campaigns/{campaign_id}/start",
    responses={200: {"model": CampaignOut}, **problems(*_WRITE)},
)
def create_start(
    campaign_id: CampaignPath, body: StartIn, by: WriterDep, container: ContainerDep
) -> Response:
    """Start the campaign that another person approved."""
    started = start_campaign(
        container.campaign_office,
        CampaignId(campaign_id),
        approval_id=ApprovalId(body.approval_id),
        by=by,
    )
    return encoded(campaign_document(started))


@router.post(
    "/office/campaigns/{campaign_id}/pause",
    responses={200: {"model": CampaignOut}, **problems(*_WRITE)},
)
def create_pause(campaign_id: CampaignPath, by: WriterDep, container: ContainerDep) -> Response:
    """Issue and deliver nothing more until resumed."""
    paused = pause_campaign(container.campaign_office, CampaignId(campaign_id), by=by)
    return encoded(campaign_document(paused))


@router.post(
    "/office/campaigns/{campaign_id}/resumption",
    responses={200: {"model": CampaignOut}, **problems(*_WRITE)},
)
def create_resumption(
    campaign_id: CampaignPath, body: ResumeIn, by: WriterDep, container: ContainerDep
) -> Response:
    """Go on with a paused campaign."""
    resumed = resume_campaign(
        container.campaign_office,
        CampaignId(campaign_id),
        retry_failed=body.retry_failed,
        by=by,
    )
    return encoded(campaign_document(resumed))


@router.post(
    "/office/campaigns/{campaign_id}/cancellation",
    responses={200: {"model": CampaignOut}, **problems(*_WRITE)},
)
def create_cancellation(
    campaign_id: CampaignPath, body: ReasonIn, by: WriterDep, container: ContainerDep
) -> Response:
    """End a campaign; what may have reached a meter is chased on."""
    cancelled = cancel_campaign(
        container.campaign_office, CampaignId(campaign_id), reason=body.reason, by=by
    )
    return encoded(campaign_document(cancelled))


@router.get(
    "/office/campaigns/{campaign_id}/chase",
    responses={200: {"model": ChaseOut}, **problems(*_READ)},
)
def get_chase(
    campaign_id: CampaignPath,
    by: ReaderDep,
    container: ContainerDep,
    days: Annotated[
        int | None,
        Query(ge=0, le=CHASE_AFTER_DAYS_MAX, description="Out for so long", examples=[14]),
    ] = None,
) -> Response:
    """List the meters to ask after, by place."""
    del by
    groups = list_chase(container.campaign_office, CampaignId(campaign_id), days=days)
    documents = [
        {"place": group.place, "meters": [chase_document(entry) for entry in group.entries]}
        for group in groups
    ]
    return encoded({"groups": documents})


@router.get(
    "/office/campaigns/{campaign_id}/meters/{meter}",
    responses={200: {"model": Open}, **problems(*_READ)},
)
def get_meter_story(
    campaign_id: CampaignPath, meter: MeterPath, by: ReaderDep, container: ContainerDep
) -> Response:
    """Show a meter's steps in a campaign."""
    del by
    pan = parse_meter_number(meter)
    with container.database.read() as connection:
        story = tell_meter(connection, CampaignId(campaign_id), pan)
    return encoded(story_document(pan.iain, story))


@router.post(
    "/office/campaigns/{campaign_id}/meters/{meter}/entered",
    responses={200: {"model": Open}, **problems(*_WRITE)},
)
def create_entered(
    campaign_id: CampaignPath,
    meter: MeterPath,
    body: NoteIn,
    by: WriterDep,
    container: ContainerDep,
) -> Response:
    """Note that somebody says the meter took its set."""
    pan = parse_meter_number(meter)
    office = container.campaign_office
    moved = note_entered(office, CampaignId(campaign_id), pan, note=body.note, by=by)
    return encoded(member_document(pan.iain, moved))


@router.post(
    "/office/campaigns/{campaign_id}/meters/{meter}/not-entered",
    responses={200: {"model": Open}, **problems(*_WRITE)},
)
def create_not_entered(
    campaign_id: CampaignPath,
    meter: MeterPath,
    body: NoteIn,
    by: WriterDep,
    container: ContainerDep,
) -> Response:
    """Note that the meter holds its old key; its set is withdrawn."""
    pan = parse_meter_number(meter)
    office = container.campaign_office
    moved = note_not_entered(office, CampaignId(campaign_id), pan, note=body.note, by=by)
    return encoded(member_document(pan.iain, moved))


@router.post(
    "/office/campaigns/{campaign_id}/lists",
    responses={
        200: {"content": {"application/pdf": {}, "text/csv": {}, "text/plain": {}}},
        **problems(*_WRITE),
    },
)
def create_list(
    campaign_id: CampaignPath, body: ListIn, by: WriterDep, container: ContainerDep
) -> Response:
    """Print the sets of an area for field staff; they count as delivered from then on."""
    printed = print_sets(
        container.campaign_office,
        CampaignId(campaign_id),
        place_prefix=body.place,
        list_format=ListFormat(body.format),
        language=body.language,
        by=by,
    )
    headers = {
        "Content-Disposition": "attachment",
        "X-Meter-Count": str(printed.count),
        "X-Whole-List": "true" if printed.is_whole else "false",
    }
    return Response(printed.content, 200, headers, printed.media_type)


@router.post(
    "/office/token-keys",
    responses={200: {"model": Open}, **problems(400, 401, 403, 404, 413, 422, 503)},
)
def create_token_key(body: TokenIn, by: ViewerDep, container: ContainerDep) -> Response:
    """Tell which of a meter's keys reads a token."""
    pan = parse_meter_number(body.meter)
    owner = find_token_key(container.campaign_office, pan, ungroup_digits(body.digits), by=by)
    return encoded(owner_document(pan.iain, owner))

"""campaigns: change the key, tariff index, supply group or base date of many meters."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Final, TypeVar

import typer

from vending.campaigns.model import (
    CHASE_AFTER_DAYS,
    CampaignState,
    CampaignTarget,
    Channel,
    NewCampaign,
)
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
from vending.campaigns.service.lists import Language, ListFormat
from vending.campaigns.service.planning import (
    DryRun,
    draft_campaign,
    propose_start,
    start_campaign,
)
from vending.campaigns.service.planning import dry_run as run_dry
from vending.campaigns.service.printing import print_sets
from vending.campaigns.service.reports import (
    find_token_key,
    list_campaigns,
    list_chase,
    report,
    tell_meter,
)
from vending.campaigns.service.running import cancel_campaign, pause_campaign, resume_campaign
from vending.cli.access import acting_operator, needs
from vending.cli.arguments import ArgumentInvalidError
from vending.cli.context import DataOption, opened_container, opened_database
from vending.cli.output import JsonOption, print_document, print_note
from vending.meters.model import MeterFilter
from vending.meters.rules import parse_meter_number
from vending.operators.permissions import Permission
from vending.sts import SGC, TI, BaseDate, KeyType, MeterPAN, STSError, ungroup_digits
from vending.values.identifiers import ApprovalId, CampaignId

app: Final = typer.Typer(help="Key-change campaigns over many meters.", no_args_is_help=True)
IdArgument = Annotated[uuid.UUID, typer.Argument(help="Id of the campaign.")]
MeterArgument = Annotated[str, typer.Argument(help="DRN or MeterPAN.")]
NoteOption = Annotated[str, typer.Option("--note", help="Who said so, and how; it is kept.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]
DRY_RUN_LINES_MAX: Final = 50
FILE_SIZE_MAX: Final = 1 << 20
METERS_OPTION: Final = "--meters"
OUT_OPTION: Final = "--out"

Given = TypeVar("Given")
Parsed = TypeVar("Parsed")


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="campaigns")


@app.command("plan")
@needs(Permission.CAMPAIGNS_WRITE)
def plan(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    reason: ReasonOption,
    sgc: Annotated[str | None, typer.Option(help="Meters of this supply group.")] = None,
    krn: Annotated[int | None, typer.Option(help="Meters of this key revision.")] = None,
    kt: Annotated[str | None, typer.Option(help="Meters of this key type, such as DUTK.")] = None,
    ti: Annotated[str | None, typer.Option(help="Meters of this tariff index.")] = None,
    base_date: Annotated[int | None, typer.Option(help="Meters of this base date.")] = None,
    tariff: Annotated[str | None, typer.Option(help="Meters of this tariff.")] = None,
    place: Annotated[str, typer.Option(help="Meters whose location begins so.")] = "",
    meters: Annotated[
        Path | None, typer.Option(help="A file with one DRN or MeterPAN a line.")
    ] = None,
    to_sgc: Annotated[str | None, typer.Option(help="The supply group they go to.")] = None,
    to_krn: Annotated[int | None, typer.Option(help="The key revision they go to.")] = None,
    to_kt: Annotated[str | None, typer.Option(help="The key type they go to.")] = None,
    to_ti: Annotated[str | None, typer.Option(help="The tariff index they go to.")] = None,
    to_base_date: Annotated[
        int | None, typer.Option(help="The base date of the key they go to, to be sure.")
    ] = None,
    channel: Annotated[
        list[Channel] | None, typer.Option(help="How sets go out, beside sales; default: all.")
    ] = None,
    chase_after: Annotated[
        int, typer.Option(help="Days until a set that is out is asked after.")
    ] = CHASE_AFTER_DAYS,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draft a campaign: which meters, and what they are to become; nothing is issued."""
    new = NewCampaign(
        name=name,
        reason=reason,
        wanted=MeterFilter(
            sgc=_parse("--sgc", sgc, SGC),
            krn=krn,
            kt=_parse("--kt", kt, _key_type),
            ti=_parse("--ti", ti, TI),
            base_date=_parse("--base-date", base_date, BaseDate),
            tariff_code=tariff,
            location_prefix=place,
            pans=_read_meters(meters) if meters is not None else (),
        ),
        target=CampaignTarget(
            sgc=_parse("--to-sgc", to_sgc, SGC),
            krn=to_krn,
            kt=_parse("--to-kt", to_kt, _key_type),
            ti=_parse("--to-ti", to_ti, TI),
            base_date=_parse("--to-base-date", to_base_date, BaseDate),
        ),
        channels=frozenset(channel or Channel),
        chase_after_days=chase_after,
    )
    with opened_container(data) as container:
        campaign = draft_campaign(container.campaign_office, new, by=acting_operator())
    print_document(campaign_document(campaign), as_json=as_json)
    print_note("See what it would do: vending campaigns dry-run ID", as_json=as_json)


@app.command("list")
@needs(Permission.CAMPAIGNS_READ)
def list_all(
    state: Annotated[CampaignState | None, typer.Option(help="Only these.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List campaigns, the newest first."""
    with opened_database(data) as (_, database), database.read() as connection:
        found = list_campaigns(connection, state=state)
    shown = ("id", "name", "state", "meters", "created_by", "started_at")
    rows = [{name: campaign_document(each)[name] for name in shown} for each in found]
    print_document(rows, as_json=as_json, title="campaigns")


@app.command("dry-run")
@needs(Permission.CAMPAIGNS_READ)
def dry_run(
    campaign_id: IdArgument,
    every: Annotated[
        bool, typer.Option("--all", help="Tell every meter, not the first 50.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what would happen to each meter, or why nothing would; nothing is issued."""
    found = DryRun()
    rows: list[dict[str, object]] = []
    with opened_container(data) as container:
        for outlook in run_dry(container.campaign_office, CampaignId(campaign_id)):
            found.add(outlook)
            if every or len(rows) < DRY_RUN_LINES_MAX:
                rows.append(outlook_document(outlook))
    if as_json:
        print_document({**dry_run_document(found), "rows": rows}, as_json=True)
        return
    print_document(rows, as_json=False, title="what would happen")
    print_document(dry_run_document(found), as_json=False)


@app.command("propose")
@needs(Permission.CAMPAIGNS_WRITE)
def propose(
    campaign_id: IdArgument,
    reason: ReasonOption,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask another person to let the campaign start over the meters that fit now."""
    with opened_container(data) as container:
        asked = propose_start(
            container.campaign_office,
            CampaignId(campaign_id),
            reason=reason,
            by=acting_operator(),
        )
    print_document({"approval": str(asked.id), **asked.act.payload}, as_json=as_json)


@app.command("start")
@needs(Permission.CAMPAIGNS_WRITE)
def start(
    campaign_id: IdArgument,
    approval: Annotated[
        uuid.UUID | None, typer.Option(help="Id of the approval; without it one is asked for.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, when an approval is asked for.")] = "campaign",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start an approved campaign; the worker makes and delivers the sets."""
    if approval is None:
        propose(campaign_id=campaign_id, reason=reason, data=data, as_json=as_json)
        return
    with opened_container(data) as container:
        started = start_campaign(
            container.campaign_office,
            CampaignId(campaign_id),
            approval_id=ApprovalId(approval),
            by=acting_operator(),
        )
    print_document(campaign_document(started), as_json=as_json)


@app.command("pause")
@needs(Permission.CAMPAIGNS_WRITE)
def pause(campaign_id: IdArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Issue and deliver nothing more until resumed; sales go on handing out sets that are out."""
    with opened_container(data) as container:
        paused = pause_campaign(
            container.campaign_office, CampaignId(campaign_id), by=acting_operator()
        )
    print_document(campaign_document(paused), as_json=as_json)


@app.command("resume")
@needs(Permission.CAMPAIGNS_WRITE)
def resume(
    campaign_id: IdArgument,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Plan again what the security module refused.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a paused campaign."""
    with opened_container(data) as container:
        resumed = resume_campaign(
            container.campaign_office,
            CampaignId(campaign_id),
            retry_failed=retry_failed,
            by=acting_operator(),
        )
    print_document(campaign_document(resumed), as_json=as_json)


@app.command("cancel")
@needs(Permission.CAMPAIGNS_WRITE)
def cancel(
    campaign_id: IdArgument,
    reason: ReasonOption,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a campaign: sets that never left are void, those that may have are chased on."""
    with opened_container(data) as container:
        cancelled = cancel_campaign(
            container.campaign_office,
            CampaignId(campaign_id),
            reason=reason,
            by=acting_operator(),
        )
    print_document(campaign_document(cancelled), as_json=as_json)


@app.command("status")
@needs(Permission.CAMPAIGNS_READ)
def status(
    campaign_id: IdArgument,
    meter: Annotated[str | None, typer.Option(help="One meter's steps in it.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a campaign in numbers, or one meter's steps in it."""
    if meter is None:
        show_report(campaign_id=campaign_id, data=data, as_json=as_json)
        return
    pan = parse_meter_number(meter)
    with opened_database(data) as (_, database), database.read() as connection:
        story = tell_meter(connection, CampaignId(campaign_id), pan)
    print_document(story_document(pan.iain, story), as_json=as_json)


@app.command("report")
@needs(Permission.CAMPAIGNS_READ)
def show_report(
    campaign_id: IdArgument, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Show counts by step, reasons, how entered meters are known, times and rate."""
    with opened_container(data) as container:
        found = report(container.campaign_office, CampaignId(campaign_id))
    print_document(report_document(found), as_json=as_json)


@app.command("chase")
@needs(Permission.CAMPAIGNS_READ)
def chase(
    campaign_id: IdArgument,
    days: Annotated[
        int | None, typer.Option(min=0, help="Out for this long; default: as planned.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the meters to ask after, by place: refused, in doubt, or out for too long."""
    with opened_container(data) as container:
        groups = list_chase(container.campaign_office, CampaignId(campaign_id), days=days)
    rows = [chase_document(entry) for group in groups for entry in group.entries]
    print_document(rows, as_json=as_json, title="to ask after")


@app.command("print")
@needs(Permission.CAMPAIGNS_WRITE)
def print_list(
    campaign_id: IdArgument,
    out: Annotated[Path, typer.Option("--out", help="File to write; only its owner may read it.")],
    place: Annotated[str, typer.Option(help="Locations that begin so.")] = "",
    list_format: Annotated[ListFormat, typer.Option("--format")] = ListFormat.PDF,
    chinese: Annotated[bool, typer.Option("--chinese", help="In Chinese.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the sets of an area as a list for field staff; they count as delivered from then on."""
    language: Language = "zh-CN" if chinese else "en"
    # Opened first: a set must not count as delivered when there is nowhere to write it to.
    with _new_private_file(out) as file, opened_container(data) as container:
        printed = print_sets(
            container.campaign_office,
            CampaignId(campaign_id),
            place_prefix=place,
            list_format=list_format,
            language=language,
            by=acting_operator(),
        )
        file.write(printed.content)
    print_document(
        {"file": str(out), "meters": printed.count, "whole": printed.is_whole}, as_json=as_json
    )


@app.command("note-entered")
@needs(Permission.CAMPAIGNS_WRITE)
def note_as_entered(
    campaign_id: IdArgument,
    meter: MeterArgument,
    note: NoteOption,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note that somebody says the meter took its set; sales go under the new key from now on."""
    pan = parse_meter_number(meter)
    with opened_container(data) as container:
        moved = note_entered(
            container.campaign_office,
            CampaignId(campaign_id),
            pan,
            note=note,
            by=acting_operator(),
        )
    print_document(member_document(pan.iain, moved), as_json=as_json)


@app.command("note-not-entered")
@needs(Permission.CAMPAIGNS_WRITE)
def note_as_not_entered(
    campaign_id: IdArgument,
    meter: MeterArgument,
    note: NoteOption,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note that the meter holds its old key: its set is withdrawn, sales go under the old key."""
    pan = parse_meter_number(meter)
    with opened_container(data) as container:
        moved = note_not_entered(
            container.campaign_office,
            CampaignId(campaign_id),
            pan,
            note=note,
            by=acting_operator(),
        )
    print_document(member_document(pan.iain, moved), as_json=as_json)


@app.command("verify")
@needs(Permission.TOKENS_VIEW)
def verify(
    meter: MeterArgument,
    token: Annotated[str, typer.Argument(help="The 20 digits, with or without blanks.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell which of a meter's keys reads a token: the one registered, or one of a set."""
    pan = parse_meter_number(meter)
    with opened_container(data) as container:
        owner = find_token_key(
            container.campaign_office, pan, ungroup_digits(token), by=acting_operator()
        )
    print_document(owner_document(pan.iain, owner), as_json=as_json)


def _key_type(text: str) -> KeyType:
    return KeyType[text.upper()]


def _parse(option: str, given: Given | None, parse: Callable[[Given], Parsed]) -> Parsed | None:
    if given is None:
        return None
    try:
        return parse(given)
    except (KeyError, ValueError, STSError) as error:
        wanted = "see --help for what it takes"
        raise ArgumentInvalidError(option, str(given), wanted=wanted) from error


def _read_meters(path: Path) -> tuple[MeterPAN, ...]:
    try:
        with path.open("r", encoding="utf-8") as file:
            text = file.read(FILE_SIZE_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentInvalidError(
            METERS_OPTION, str(path), wanted="a readable text file"
        ) from error
    if len(text) > FILE_SIZE_MAX:
        raise ArgumentInvalidError(METERS_OPTION, str(path), wanted="a file of at most 1 MB")
    numbers = (line.strip() for line in text.splitlines())
    return tuple(dict.fromkeys(parse_meter_number(each) for each in numbers if each))


@contextmanager
def _new_private_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that only its owner may read; it is removed when the body fails.

    Raises:
        ArgumentInvalidError: It is there already, or its folder cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        wanted = "a file that is not there yet, in a folder that can be written"
        raise ArgumentInvalidError(OUT_OPTION, str(path), wanted=wanted) from error
    with os.fdopen(descriptor, "wb") as file:
        try:
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise

"""Prints key-change sets for field staff: the whole set of a meter together, by place.

A printed set counts as delivered: from then on nobody can say that it is not in the meter. Each
printing is recorded; the digits go to the list and nowhere else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from vending.campaigns import repository
from vending.campaigns.errors import NothingToPrintError
from vending.campaigns.model import OUTSTANDING_STEPS, Evidence, MeterStep
from vending.campaigns.service.lists import MEDIA_TYPES, Language, ListFormat, PrintLine, render
from vending.campaigns.service.office import (
    CampaignOffice,
    Move,
    load_campaign,
    open_sections,
    subject_of,
    take_steps,
)
from vending.meters.service import find_meters_by_id
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.audit import AuditEvent, record
from vending.values.identifiers import CampaignId, MeterId

PRINT_COUNT_MAX: Final = 2_000
"""Meters of one list: a route that one person walks, and a document that opens."""
PAGE_SIZE: Final = 500


@dataclass(frozen=True, slots=True)
class PrintedList:
    """A list as bytes, how many meters are on it, and whether those are all."""

    content: bytes = field(repr=False)
    media_type: str
    count: int
    is_whole: bool


def print_sets(
    office: CampaignOffice,
    campaign_id: CampaignId,
    *,
    place_prefix: str = "",
    list_format: ListFormat,
    language: Language,
    by: SignedIn,
) -> PrintedList:
    """Return the sets that are out at places that begin so, and keep that they were printed.

    Printed again, the same sets come again: the digits of a set never change.

    Raises:
        PermissionDeniedError: The operator may not run campaigns.
        CampaignNotFoundError: There is no campaign of this id.
        NothingToPrintError: No set is out there.
        SealBrokenError: A stored set was altered or moved.
    """
    by.require(Permission.CAMPAIGNS_WRITE)
    with office.database.read() as connection:
        campaign = load_campaign(connection, campaign_id)
    lines: list[PrintLine] = []
    is_whole = True
    for page in _pages(office, campaign_id):
        with office.database.unit_of_work() as uow:
            found = _load_lines(uow.connection, office, campaign_id, page, place_prefix)
            taken = dict(list(found.items())[: PRINT_COUNT_MAX - len(lines)])
            _note_printed(uow.connection, office, campaign_id, list(taken), by)
            uow.commit()
        lines += taken.values()
        if len(taken) < len(found):
            is_whole = False
            break
    if not lines:
        raise NothingToPrintError(campaign_id)
    content = render(
        sorted(lines, key=lambda line: (line.place, line.drn)),
        list_format=list_format,
        language=language,
        campaign=campaign.name,
        printed_at=office.clock.now().strftime("%Y-%m-%d %H:%M UTC"),
    )
    return PrintedList(content, MEDIA_TYPES[list_format], len(lines), is_whole)


def _pages(office: CampaignOffice, campaign_id: CampaignId) -> Iterator[list[MeterId]]:
    after: MeterId | None = None
    while True:
        with office.database.read() as connection:
            page = repository.list_meters_of(
                connection, campaign_id, steps=OUTSTANDING_STEPS, after=after, limit=PAGE_SIZE
            )
        if not page:
            return
        after = page[-1].meter_id
        yield [each.meter_id for each in page]


def _load_lines(
    connection: Connection,
    office: CampaignOffice,
    campaign_id: CampaignId,
    ids: Sequence[MeterId],
    place_prefix: str,
) -> dict[MeterId, PrintLine]:
    meters = find_meters_by_id(connection, ids)
    there = [one for one in ids if meters[one].location.text.startswith(place_prefix)]
    sets = repository.load_sets_of(connection, campaign_id, there)
    return {
        one: PrintLine(
            meters[one].location.text,
            meters[one].pan.iain,
            open_sections(sets[one], office.sealer).sections,
        )
        for one in there
        if one in sets
    }


def _note_printed(
    connection: Connection,
    office: CampaignOffice,
    campaign_id: CampaignId,
    ids: Sequence[MeterId],
    by: SignedIn,
) -> None:
    """Keep that the sets were printed; one that was issued only is delivered now."""
    if not ids:
        return
    members = repository.lock_meters_of(connection, campaign_id, ids)
    moves = [
        (
            member,
            Move(
                target=MeterStep.DELIVERED if member.step is MeterStep.ISSUED else member.step,
                evidence=Evidence.PRINTED,
            ),
        )
        for member in members.values()
    ]
    now = office.clock.now()
    take_steps(connection, moves, actor=by.actor, clock=office.clock, now=now)
    event = AuditEvent(by.actor, "campaign.printed", subject_of(campaign_id), {"meters": len(ids)})
    record(connection, [event], office.clock)

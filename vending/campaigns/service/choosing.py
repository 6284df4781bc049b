"""Chooses the meters of a draft page by page, so that no sale ever waits for the whole register.

    read    a page of what fits, and of what is planned already, in the order of ids
    write   a claimed draft locked: what is missing planned, what fits no more withdrawn

Whoever starts or ends a draft claims it first: the claim is its `changed_at`, which only rises.
One who finds another claim stops, so that the planned meters are always the work of one, and the
digest over its pages is the digest over them. A start that was cut short leaves planned meters in
a draft: nothing is issued for them, and the next start goes over the same pages and writes only
what is missing.

A meter counts as it was read with its page. One that is registered or changed afterwards is as one
that is registered or changed after the start: the former is not in the campaign, the latter is
looked at again before its set is made.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from vending.campaigns import repository
from vending.campaigns.errors import CampaignOvertakenError, CampaignStateError
from vending.campaigns.model import (
    Campaign,
    CampaignMeter,
    CampaignState,
    Chosen,
    Evidence,
    MeterStep,
)
from vending.campaigns.service.office import (
    CampaignOffice,
    Move,
    load_campaign,
    lock_campaign,
    take_steps,
)
from vending.meters.model import MeterFilter, MeterHolding
from vending.meters.service import list_holdings
from vending.operators.model import SignedIn
from vending.persistence.engine import Database
from vending.values.identifiers import CampaignId, MeterId

CHOICE_PAGE_SIZE: Final = 500
"""Meters planned in one transaction: some 20 ms, after which others have their turn."""
READ_PAGE_SIZE: Final = 5_000
"""Meters read at once where nothing is written: readers are in nobody's way."""
_TICK: Final = timedelta(microseconds=1)
_LEFT: Final = Move(target=MeterStep.WITHDRAWN, evidence=Evidence.RULE, code="left_filter")
_BACK: Final = Move(target=MeterStep.PLANNED, evidence=Evidence.RULE, code="fits_again")


def choose(database: Database, wanted: MeterFilter) -> Chosen:
    """Return how many meters fit now, with the digest over what each holds; nothing is written."""
    counter = _Counter()
    after: MeterId | None = None
    while True:
        with database.read() as connection:
            page = list_holdings(connection, wanted, after=after, limit=READ_PAGE_SIZE)
        counter.add(page)
        if len(page) < READ_PAGE_SIZE:
            return counter.chosen
        after = page[-1].id


def lock_draft(connection: Connection, campaign_id: CampaignId) -> Campaign:
    """Return a draft, locked.

    Raises:
        CampaignNotFoundError: There is no campaign of this id.
        CampaignStateError: It is no draft.
    """
    campaign = lock_campaign(connection, campaign_id)
    if campaign.state is not CampaignState.DRAFT:
        raise CampaignStateError(
            campaign_id, state=campaign.state.value, target=CampaignState.RUNNING.value
        )
    return campaign


def claim_draft(office: CampaignOffice, campaign_id: CampaignId) -> Campaign:
    """Take a draft over from whoever is choosing its meters; return it with the claim.

    Raises:
        CampaignNotFoundError: There is no campaign of this id.
        CampaignStateError: It is no draft.
    """
    with office.database.unit_of_work() as uow:
        draft = lock_draft(uow.connection, campaign_id)
        # Raised, never equal: two claims are told apart even if the clock stands still.
        claim = max(office.clock.now(), draft.changed_at + _TICK)
        repository.move_campaign(uow.connection, campaign_id, {"changed_at": claim})
        claimed = load_campaign(uow.connection, campaign_id)
        uow.commit()
    return claimed


def lock_claimed(connection: Connection, claimed: Campaign) -> Campaign:
    """Return a draft, locked, if the claim on it still holds.

    Raises:
        CampaignOvertakenError: Somebody else claimed it, or it is a draft no more.
    """
    campaign = lock_campaign(connection, claimed.id)
    if (campaign.state, campaign.changed_at) != (CampaignState.DRAFT, claimed.changed_at):
        raise CampaignOvertakenError(claimed.id)
    return campaign


def plan_meters(
    office: CampaignOffice, claimed: Campaign, *, by: SignedIn, page_size: int
) -> Chosen:
    """Let the planned meters of a claimed draft be those that fit; return them counted.

    Raises:
        CampaignOvertakenError: Somebody else claimed the draft, or it is one no more.
    """
    counter = _Counter()
    for fitting, members in _pages(office.database, claimed, page_size):
        counter.add(fitting)
        _store(office, claimed, fitting, members, by)
    return counter.chosen


def _pages(
    database: Database, campaign: Campaign, size: int
) -> Iterator[tuple[list[MeterHolding], list[CampaignMeter]]]:
    """Yield the meters that fit beside those chosen before, over the same stretch of ids."""
    after: MeterId | None = None
    while True:
        with database.read() as connection:
            fitting = list_holdings(connection, campaign.wanted, after=after, limit=size)
            members = repository.list_meters_of(
                connection,
                campaign.id,
                steps=(MeterStep.PLANNED, MeterStep.WITHDRAWN),
                after=after,
                limit=size,
            )
        # A full page may go on behind its last row: the stretch ends where the first one does.
        ends = [page[-1] for page in (fitting, members) if len(page) == size]
        after = min((_id_of(row) for row in ends), default=None)
        if after is None:
            yield fitting, members
            return
        yield (
            [one for one in fitting if one.id <= after],
            [one for one in members if one.meter_id <= after],
        )


def _id_of(row: MeterHolding | CampaignMeter) -> MeterId:
    return row.id if isinstance(row, MeterHolding) else row.meter_id


def _store(
    office: CampaignOffice,
    claimed: Campaign,
    fitting: Sequence[MeterHolding],
    members: Sequence[CampaignMeter],
    by: SignedIn,
) -> None:
    fits = {one.id for one in fitting}
    is_in = {one.meter_id for one in members}
    missing = [one.id for one in fitting if one.id not in is_in]
    moves = [
        (one, _BACK if one.meter_id in fits else _LEFT)
        for one in members
        if (one.step is MeterStep.WITHDRAWN) == (one.meter_id in fits)
    ]
    if not missing and not moves:
        return
    with office.database.unit_of_work() as uow:
        lock_claimed(uow.connection, claimed)
        now = office.clock.now()
        repository.insert_meters(uow.connection, claimed.id, missing, now=now)
        take_steps(uow.connection, moves, actor=by.actor, clock=office.clock, now=now)
        uow.commit()


class _Counter:
    """Counts meters and digests what each holds, in the order of their ids."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._count = 0

    def add(self, page: Sequence[MeterHolding]) -> None:
        self._digest.update(b"".join(holding.fingerprint() for holding in page))
        self._count += len(page)

    @property
    def chosen(self) -> Chosen:
        return Chosen(self._count, self._digest.hexdigest())

"""Pause, resume, cancel a campaign, and end it when no meter waits any more."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.campaigns import repository
from vending.campaigns.errors import CampaignStateError
from vending.campaigns.model import (
    CAMPAIGN_TARGETS,
    Campaign,
    CampaignMeter,
    CampaignState,
    Channel,
    Evidence,
    MeterStep,
)
from vending.campaigns.service.choosing import claim_draft, lock_claimed
from vending.campaigns.service.deliveries import queue_sets
from vending.campaigns.service.office import (
    CampaignOffice,
    Move,
    load_campaign,
    lock_campaign,
    subject_of,
    take_steps,
)
from vending.commands.service import withdraw_sets
from vending.meters.service import find_meters_by_id
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.values.actor import Actor
from vending.values.identifiers import CampaignId, MeterId

PAGE_SIZE: Final = 500
ENDER: Final = Actor.system("campaigns")


def pause_campaign(office: CampaignOffice, campaign_id: CampaignId, *, by: SignedIn) -> Campaign:
    """Issue nothing more and take nothing more to a meter, until the campaign is resumed.

    Sets that are out stay valid, and sales go on handing them out.

    Raises:
        PermissionDeniedError: The operator may not.
        CampaignNotFoundError: There is no campaign of this id.
        CampaignStateError: It does not run.
    """
    by.require(Permission.CAMPAIGNS_WRITE)
    paused = _move(office, campaign_id, CampaignState.PAUSED, by)
    for page in _pages(office, campaign_id, [MeterStep.ISSUED, MeterStep.DELIVERED]):
        with office.database.unit_of_work() as uow:
            _hold_back(uow.connection, campaign_id, page, by, office.clock.now())
            uow.commit()
    return paused


def resume_campaign(
    office: CampaignOffice, campaign_id: CampaignId, *, retry_failed: bool = False, by: SignedIn
) -> Campaign:
    """Go on with a paused campaign; deliveries that were held back are queued again.

    With `retry_failed`, meters whose set the security module refused are planned again.

    Raises:
        PermissionDeniedError: The operator may not.
        CampaignNotFoundError: There is no campaign of this id.
        CampaignStateError: It is not paused.
    """
    by.require(Permission.CAMPAIGNS_WRITE)
    resumed = _move(office, campaign_id, CampaignState.RUNNING, by, origin=CampaignState.PAUSED)
    if retry_failed:
        for page in _pages(office, campaign_id, [MeterStep.FAILED]):
            _step_all(office, campaign_id, page, _again, by)
    if Channel.DRIVER in resumed.channels:
        for page in _pages(office, campaign_id, [MeterStep.ISSUED, MeterStep.DELIVERED]):
            _queue_again(office, campaign_id, page)
    return resumed


def cancel_campaign(
    office: CampaignOffice, campaign_id: CampaignId, *, reason: str, by: SignedIn
) -> Campaign:
    """End a campaign before its time.

    Meters without a set, and sets that have not left us, are withdrawn. A set that may have
    reached a meter cannot be called back: it stays out, is sold with, and is chased. A draft whose
    start was cut short, or goes on now, ends with none of its meters planned.

    Raises:
        PermissionDeniedError: The operator may not.
        CampaignNotFoundError: There is no campaign of this id.
        CampaignStateError: It has ended.
        CampaignOvertakenError: It is a draft that somebody started meanwhile.
    """
    by.require(Permission.CAMPAIGNS_WRITE)
    # Withdrawn first and ended last: a crash in between leaves a campaign to be cancelled again.
    with office.database.read() as connection:
        campaign = load_campaign(connection, campaign_id)
    _require_may_become(campaign, CampaignState.CANCELLED)
    if campaign.state is CampaignState.DRAFT:
        return _cancel_draft(office, campaign_id, reason, by)
    if campaign.state is CampaignState.RUNNING:
        pause_campaign(office, campaign_id, by=by)
    for page in _pages(office, campaign_id, [MeterStep.PLANNED]):
        _step_all(office, campaign_id, page, _withdraw, by)
    for page in _pages(office, campaign_id, [MeterStep.ISSUED]):
        _withdraw_unsent(office, campaign_id, page, by)
    return _move(office, campaign_id, CampaignState.CANCELLED, by, {"reason": reason})


def _cancel_draft(
    office: CampaignOffice, campaign_id: CampaignId, reason: str, by: SignedIn
) -> Campaign:
    """End a draft; a start that is choosing its meters finds the claim gone and stops."""
    claimed = claim_draft(office, campaign_id)
    for page in _pages(office, campaign_id, [MeterStep.PLANNED]):
        _step_all(office, campaign_id, page, _withdraw, by)
    with office.database.unit_of_work() as uow:
        draft = lock_claimed(uow.connection, claimed)
        details: dict[str, Json] = {"reason": reason}
        _store_state(uow.connection, office, draft, CampaignState.CANCELLED, by.actor, details)
        cancelled = load_campaign(uow.connection, campaign_id)
        uow.commit()
    return cancelled


def end_if_settled(office: CampaignOffice, campaign_id: CampaignId) -> bool:
    """Finish a running campaign whose meters wait for nothing; return whether it was."""
    with office.database.read() as connection:
        if repository.has_unsettled(connection, campaign_id):
            return False
    with office.database.unit_of_work() as uow:
        campaign = lock_campaign(uow.connection, campaign_id)
        is_over = campaign.state is CampaignState.RUNNING and not repository.has_unsettled(
            uow.connection, campaign_id
        )
        if is_over:
            _store_state(uow.connection, office, campaign, CampaignState.FINISHED, ENDER, {})
            uow.commit()
    return is_over


def _move(
    office: CampaignOffice,
    campaign_id: CampaignId,
    target: CampaignState,
    by: SignedIn,
    details: dict[str, Json] | None = None,
    *,
    origin: CampaignState | None = None,
) -> Campaign:
    with office.database.unit_of_work() as uow:
        campaign = lock_campaign(uow.connection, campaign_id)
        _require_may_become(campaign, target)
        if origin is not None and campaign.state is not origin:  # only `start` starts a draft
            raise CampaignStateError(campaign.id, state=campaign.state.value, target=target.value)
        _store_state(uow.connection, office, campaign, target, by.actor, details or {})
        moved = load_campaign(uow.connection, campaign_id)
        uow.commit()
    return moved


def _require_may_become(campaign: Campaign, target: CampaignState) -> None:
    if target not in CAMPAIGN_TARGETS[campaign.state]:
        raise CampaignStateError(campaign.id, state=campaign.state.value, target=target.value)


def _store_state(
    connection: Connection,
    office: CampaignOffice,
    campaign: Campaign,
    target: CampaignState,
    actor: Actor,
    details: dict[str, Json],
) -> None:
    now = office.clock.now()
    values: dict[str, object] = {"state": target.value, "changed_at": now}
    if not CAMPAIGN_TARGETS[target]:
        values["ended_at"] = now
    repository.move_campaign(connection, campaign.id, values)
    event = AuditEvent(actor, f"campaign.{target}", subject_of(campaign.id), details)
    record(connection, [event], office.clock)


# --- the meters of a campaign, page by page -------------------------------------------------------
def _pages(
    office: CampaignOffice, campaign_id: CampaignId, steps: Sequence[MeterStep]
) -> Iterator[list[MeterId]]:
    after: MeterId | None = None
    while True:
        with office.database.read() as connection:
            page = repository.list_meters_of(
                connection, campaign_id, steps=steps, after=after, limit=PAGE_SIZE
            )
        if not page:
            return
        after = page[-1].meter_id
        yield [each.meter_id for each in page]


def _step_all(
    office: CampaignOffice,
    campaign_id: CampaignId,
    ids: Sequence[MeterId],
    decide: Callable[[CampaignMeter], Move | None],
    by: SignedIn,
) -> None:
    with office.database.unit_of_work() as uow:
        members = repository.lock_meters_of(uow.connection, campaign_id, ids)
        moves = [(one, move) for one in members.values() if (move := decide(one)) is not None]
        now = office.clock.now()
        take_steps(uow.connection, moves, actor=by.actor, clock=office.clock, now=now)
        uow.commit()


def _again(member: CampaignMeter) -> Move | None:
    if member.step is not MeterStep.FAILED:
        return None
    return Move(target=MeterStep.PLANNED, evidence=Evidence.RETRIED)


def _withdraw(member: CampaignMeter) -> Move | None:
    if member.step not in {MeterStep.PLANNED, MeterStep.ISSUED}:
        return None
    return Move(target=MeterStep.WITHDRAWN, evidence=Evidence.CANCELLED)


def _hold_back(
    connection: Connection,
    campaign_id: CampaignId,
    ids: Sequence[MeterId],
    by: SignedIn,
    now: datetime,
) -> set[MeterId]:
    """Take queued deliveries out of the queue; return the meters that may have been reached."""
    sets = repository.list_set_ids(connection, campaign_id, ids)
    left = withdraw_sets(connection, list(sets), actor=by.name, now=now)
    return {each.meter_id for each in left}


def _withdraw_unsent(
    office: CampaignOffice, campaign_id: CampaignId, ids: Sequence[MeterId], by: SignedIn
) -> None:
    with office.database.unit_of_work() as uow:
        now = office.clock.now()
        reached = _hold_back(uow.connection, campaign_id, ids, by, now)
        members = repository.lock_meters_of(uow.connection, campaign_id, ids)
        moves = [
            (one, move)
            for one in members.values()
            if one.meter_id not in reached and (move := _withdraw(one)) is not None
        ]
        take_steps(uow.connection, moves, actor=by.actor, clock=office.clock, now=now)
        uow.commit()


def _queue_again(office: CampaignOffice, campaign_id: CampaignId, ids: Sequence[MeterId]) -> None:
    with office.database.unit_of_work() as uow:
        meters = find_meters_by_id(uow.connection, ids)
        linked = [one for one in ids if meters[one].link is not None]
        sealed = repository.load_sets_of(uow.connection, campaign_id, linked)
        queue_sets(uow.connection, [one for one, _ in sealed.values()], clock=office.clock)
        uow.commit()

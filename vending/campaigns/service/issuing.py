"""Issues the sets of a running campaign, batch by batch, each made once.

    read             planned meters, what each holds, what may be done
    no transaction   the security module makes the sets; what it is told decides their digits
    write            the meters locked, and only if nothing has changed since: sets, steps, commands

A crash leaves planned meters planned, and the next batch makes the same digits. Two workers that
make the same set store it once: the second finds the meter no longer planned.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from sqlalchemy import Connection

from vending.campaigns import repository
from vending.campaigns.model import (
    Campaign,
    CampaignMeter,
    CampaignState,
    Channel,
    Evidence,
    KeyChangeSet,
    MeterStep,
    Obstacle,
    Outlook,
)
from vending.campaigns.repository import SealedSet
from vending.campaigns.rules import holds, look_at, register_of, register_of_key
from vending.campaigns.service.deliveries import queue_sets
from vending.campaigns.service.office import (
    CampaignOffice,
    Move,
    load_campaign,
    seal_sections,
    subject_of,
    take_steps,
)
from vending.campaigns.service.planning import describer
from vending.campaigns.service.running import end_if_settled
from vending.custody.errors import CeilingReachedError, IssuingStoppedError
from vending.custody.model import Stops, Use, UseClass
from vending.custody.service.limits import charge, load_stops, note_reached
from vending.errors import ErrorKind, VendingError
from vending.keystore.model import KeyReference
from vending.keystore.port import KeyChange, KeyChangeRequest
from vending.meters.model import Meter, MeterKey
from vending.meters.service import find_meters_by_id, lock_holdings, select_on_keys
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.sts.key_change import SECTION_COUNTS
from vending.sts.keys import KeyAttributes
from vending.values.actor import Actor
from vending.values.identifiers import CampaignId, KeyChangeSetId, MeterId, new_uuid7

ISSUE_BATCH_MAX: Final = 500
"""Meters in one batch: its transaction stays short enough for the sales between."""
RUNNING_COUNT_MAX: Final = 50
"""Campaigns that run at once; a utility has one or two."""
ISSUER: Final = Actor.system("campaigns")


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one batch."""

    issued: int = 0
    skipped: int = 0
    failed: int = 0
    held: int = 0
    """Stay planned: a switch or a ceiling stands in the way, or the module gave no answer."""

    @property
    def progress(self) -> int:
        """Return how many meters are no longer planned."""
        return self.issued + self.skipped + self.failed

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.issued + other.issued,
            self.skipped + other.skipped,
            self.failed + other.failed,
            self.held + other.held,
        )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch as it was read and made, to be stored if nothing has changed since."""

    ids: Sequence[MeterId]
    made: Mapping[MeterId, SealedSet]
    hindered: Mapping[MeterId, Obstacle]
    refused: Mapping[MeterId, VendingError]
    linked: Collection[MeterId]


def issue_due(office: CampaignOffice, *, limit: int = ISSUE_BATCH_MAX) -> int:
    """Issue one batch for each running campaign, and end those that wait for nothing.

    Return how many meters moved on. The worker's job.

    Raises:
        ModuleError: The security module cannot tell of its keys.
    """
    with office.database.read() as connection:
        running = repository.list_campaigns(
            connection, state=CampaignState.RUNNING, limit=RUNNING_COUNT_MAX
        )
    progress = 0
    for campaign in reversed(running):  # the oldest first
        progress += issue_batch(office, campaign.id, limit=limit).progress
        end_if_settled(office, campaign.id)
    return progress


def issue_batch(
    office: CampaignOffice, campaign_id: CampaignId, *, limit: int = ISSUE_BATCH_MAX
) -> BatchResult:
    """Issue the sets of up to `limit` planned meters; a batch may be repeated or cut short.

    Raises:
        CampaignNotFoundError: There is no campaign of this id.
        ModuleError: The security module cannot tell of its keys.
    """
    total, held = BatchResult(), set[KeyReference]()
    while total.progress < limit:
        result, newly_held = _issue_page(office, campaign_id, held, limit=limit - total.progress)
        total += result
        if newly_held <= held:
            break
        held |= newly_held  # those meters wait; the ones behind them on other keys do not
    return total


def _issue_page(
    office: CampaignOffice,
    campaign_id: CampaignId,
    held: Collection[KeyReference],
    *,
    limit: int,
) -> tuple[BatchResult, set[KeyReference]]:
    """Issue sets of meters on keys that are not held; return the keys found to be held as well."""
    now = office.clock.now()
    with office.database.read() as connection:
        campaign = load_campaign(connection, campaign_id)
        if campaign.state is not CampaignState.RUNNING:
            return BatchResult(), set()
        passed_over = select_on_keys(held) if held else None
        ids = repository.list_planned(connection, campaign_id, limit=limit, but=passed_over)
        if not ids:
            return BatchResult(), set()
        meters = find_meters_by_id(connection, ids)
        out = repository.find_out(connection, ids)
    prepared = _prepare(office, campaign, [meters[one] for one in ids], out, now)
    return _store(office, campaign, prepared, now)


def _prepare(
    office: CampaignOffice,
    campaign: Campaign,
    meters: Sequence[Meter],
    out: Collection[MeterId],
    now: datetime,
) -> _Prepared:
    """Make the sets of the meters that nothing hinders; no transaction is open."""
    describe = describer(office.security_module)
    looks = {
        meter.id: look_at(
            meter, campaign.target, describe, now=now, is_other_set_out=meter.id in out
        )
        for meter in meters
    }
    ready = [(meter, looks[meter.id]) for meter in meters if looks[meter.id].obstacle is None]
    outcomes = office.security_module.change_key_many(
        [_change_of(meter, look, now) for meter, look in ready]
    )
    made: dict[MeterId, SealedSet] = {}
    refused: dict[MeterId, VendingError] = {}
    for (meter, look), outcome in zip(ready, outcomes, strict=True):
        if isinstance(outcome, VendingError):
            refused[meter.id] = outcome
            continue
        key = describe(look.new)
        assert key is not None, "the module made a set of it"
        new_set = _set_of(office, campaign, meter, look, key.attributes, now)
        made[meter.id] = seal_sections(new_set, outcome, office.sealer)
    return _Prepared(
        ids=[meter.id for meter in meters],
        made=made,
        hindered={one: look.obstacle for one, look in looks.items() if look.obstacle is not None},
        refused=refused,
        linked={one for one, look in looks.items() if look.is_linked},
    )


def _change_of(meter: Meter, look: Outlook, now: datetime) -> KeyChange:
    request = KeyChangeRequest(
        pan=meter.pan, ti=meter.ti, new_ti=look.new_ti, ea=meter.ea, issued_at=now
    )
    return register_of(meter), look.new, request


def _set_of(
    office: CampaignOffice,
    campaign: Campaign,
    meter: Meter,
    look: Outlook,
    new: KeyAttributes,
    now: datetime,
) -> KeyChangeSet:
    return KeyChangeSet(
        id=KeyChangeSetId(new_uuid7(office.clock)),
        campaign_id=campaign.id,
        meter_id=meter.id,
        pan=meter.pan,
        ea=meter.ea,
        old=look.old,
        new=MeterKey(sgc=new.sgc, krn=new.krn, kt=new.kt, ti=look.new_ti, base_date=new.base_date),
        new_dkga=new.dkga,
        section_count=SECTION_COUNTS[meter.ea],
        issued_at=now,
    )


def _store(
    office: CampaignOffice, campaign: Campaign, prepared: _Prepared, now: datetime
) -> tuple[BatchResult, set[KeyReference]]:
    """Store what was made, for those meters of which nothing has changed since they were read.

    Return also the old keys whose sets a switch or a ceiling holds back.
    """
    with office.database.unit_of_work() as uow:
        connection = uow.connection
        held = repository.hold_campaign(connection, campaign.id)
        if held is None or held.state is not CampaignState.RUNNING:
            return BatchResult(), set()
        fresh = _lock_unchanged(connection, campaign.id, prepared)
        asked = [one for one in prepared.made if one in fresh]
        allowed, over = _charge(connection, office, asked, prepared, now)
        repository.insert_sets(connection, [prepared.made[one] for one in allowed])
        repository.mark_issued(connection, campaign.id, allowed, now=now)
        failed = _failures(fresh, prepared)
        skipped = [
            (
                fresh[one],
                Move(target=MeterStep.SKIPPED, evidence=Evidence.RULE, code=obstacle.value),
            )
            for one, obstacle in prepared.hindered.items()
            if one in fresh
        ]
        take_steps(connection, [*skipped, *failed], actor=ISSUER, clock=office.clock, now=now)
        if Channel.DRIVER in campaign.channels:
            sets = [prepared.made[one][0] for one in allowed if one in prepared.linked]
            queue_sets(connection, sets, clock=office.clock)
        result = BatchResult(
            issued=len(allowed),
            skipped=len(skipped),
            failed=len(failed),
            held=len(prepared.ids) - len(allowed) - len(skipped) - len(failed),
        )
        _record(connection, office, campaign.id, result)
        uow.commit()
    note_reached(office.database, over, office.clock, now=now)
    held_back = set(asked) - set(allowed)
    return result, {register_of_key(prepared.made[one][0].old) for one in held_back}


def _lock_unchanged(
    connection: Connection, campaign_id: CampaignId, prepared: _Prepared
) -> dict[MeterId, CampaignMeter]:
    """Return the planned meters of which nothing stands against what was prepared.

    One whose set was made must still hold what it held, and have no other set out.
    """
    holdings = lock_holdings(connection, prepared.ids)
    members = repository.lock_meters_of(connection, campaign_id, prepared.ids)
    out = repository.find_out(connection, prepared.ids)
    return {
        one: member
        for one, member in members.items()
        if member.step is MeterStep.PLANNED
        and (
            one not in prepared.made
            or (one not in out and holds(holdings[one], prepared.made[one][0].old))
        )
    }


def _charge(
    connection: Connection,
    office: CampaignOffice,
    ids: Sequence[MeterId],
    prepared: _Prepared,
    now: datetime,
) -> tuple[list[MeterId], list[CeilingReachedError]]:
    """Return whose sets may be issued, and what was too much for today's ceilings."""
    stops = load_stops(connection)
    is_open: dict[KeyReference, bool] = {}
    asked: dict[KeyReference, list[MeterId]] = {}
    for one in ids:
        made = prepared.made[one][0]
        old, new = register_of_key(made.old), register_of_key(made.new)
        for register in (old, new):
            if register not in is_open:
                is_open[register] = _is_open(stops, register)
        if is_open[old] and is_open[new]:
            asked.setdefault(old, []).append(one)
    allowed: list[MeterId] = []
    over: list[CeilingReachedError] = []
    for register, members in asked.items():
        counts = [prepared.made[one][0].section_count for one in members]
        refusals = _charge_register(connection, office, register, counts, now)
        allowed += [one for one, refusal in zip(members, refusals, strict=True) if refusal is None]
        over += [refusal for refusal in refusals if refusal is not None]
    return allowed, over


def _charge_register(
    connection: Connection,
    office: CampaignOffice,
    register: KeyReference,
    counts: Sequence[int],
    now: datetime,
) -> list[CeilingReachedError | None]:
    """Count sets of so many sections each: all at once, and where that is too much one by one."""

    def use(token_count: int) -> Use:
        return Use(register=register, use_class=UseClass.MANAGEMENT, token_count=token_count)

    (too_much,) = charge(connection, [use(sum(counts))], office.clock, now=now)
    if too_much is None:
        return [None] * len(counts)
    return charge(connection, [use(count) for count in counts], office.clock, now=now)


def _is_open(stops: Stops, register: KeyReference) -> bool:
    try:
        stops.require_open(register)
    except IssuingStoppedError:
        return False
    return True


def _failures(
    fresh: Mapping[MeterId, CampaignMeter], prepared: _Prepared
) -> list[tuple[CampaignMeter, Move]]:
    """Return the meters whose set the module refused for good; the others are tried again."""
    return [
        (fresh[one], Move(target=MeterStep.FAILED, evidence=Evidence.MODULE, code=refusal.code))
        for one, refusal in prepared.refused.items()
        if one in fresh and not (refusal.retryable or refusal.kind is ErrorKind.UNAVAILABLE)
    ]


def _record(
    connection: Connection, office: CampaignOffice, campaign_id: CampaignId, result: BatchResult
) -> None:
    if not result.progress:
        return
    details: dict[str, Json] = {
        "issued": result.issued,
        "skipped": result.skipped,
        "failed": result.failed,
    }
    event = AuditEvent(ISSUER, "campaign.issued", subject_of(campaign_id), details)
    record(connection, [event], office.clock)

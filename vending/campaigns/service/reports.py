"""What a campaign has come to: counts, the chase list, one meter's steps, and whose key a token is.

Reads only. Nothing here shows digits but `vending.campaigns.service.printing`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from vending.campaigns import repository
from vending.campaigns.errors import (
    CampaignMeterNotFoundError,
    TokenUnreadableError,
)
from vending.campaigns.model import (
    OUTSTANDING_STEPS,
    Campaign,
    CampaignMeter,
    CampaignState,
    Evidence,
    MeterStep,
    StepRecord,
)
from vending.campaigns.rules import register_of_key
from vending.campaigns.service.office import CampaignOffice, load_campaign
from vending.keystore.errors import KeyNotFoundError
from vending.keystore.port import VerifiedToken, VerifyRequest
from vending.meters.model import Meter, MeterKey
from vending.meters.service import find_meters_by_id, load_meter
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.audit import AuditEvent, record
from vending.sts.pan import MeterPAN
from vending.sts.results import Rejection
from vending.values.identifiers import CampaignId, MeterId

LIST_COUNT_MAX: Final = 200
PAGE_SIZE: Final = 500


@dataclass(frozen=True, slots=True)
class Report:
    """A campaign in numbers."""

    campaign: Campaign
    steps: dict[MeterStep, int]
    """Meters at each step; all of them sum to the meters chosen."""
    reasons: dict[tuple[MeterStep, str], int]
    """Why meters were skipped, failed or are chased."""
    evidence: dict[Evidence, int]
    """On what word meters count as entered; `customer-said` is the weak one."""
    issued_from: datetime | None
    issued_to: datetime | None
    issued_count: int

    @property
    def issue_rate_per_s(self) -> int | None:
        """Return how many sets were made in a second; None: too few to tell."""
        if self.issued_from is None or self.issued_to is None:
            return None
        seconds = (self.issued_to - self.issued_from) // timedelta(seconds=1)
        return self.issued_count // seconds if seconds else None


@dataclass(frozen=True, slots=True)
class ChaseEntry:
    """A meter that somebody should ask after."""

    meter: Meter
    member: CampaignMeter
    days: int
    """Whole days since the last step."""


@dataclass(slots=True)
class ChaseGroup:
    """The meters of one place that are to be asked after."""

    place: str
    entries: list[ChaseEntry] = field(default_factory=list)


def list_campaigns(
    connection: Connection, *, state: CampaignState | None = None, limit: int = LIST_COUNT_MAX
) -> list[Campaign]:
    """Return the newest campaigns, the newest first."""
    return repository.list_campaigns(connection, state=state, limit=limit)


def report(office: CampaignOffice, campaign_id: CampaignId) -> Report:
    """Return what a campaign has come to.

    Raises:
        CampaignNotFoundError: There is no campaign of this id.
    """
    with office.database.read() as connection:
        campaign = load_campaign(connection, campaign_id)
        counted = repository.count_steps(connection, campaign_id)
        times = repository.find_set_times(connection, campaign_id)
    found = Report(
        campaign=campaign,
        steps={},
        reasons={},
        evidence={},
        issued_from=None if times is None else times[0],
        issued_to=None if times is None else times[1],
        issued_count=0 if times is None else times[2],
    )
    for (step, code, evidence), count in counted.items():
        found.steps[step] = found.steps.get(step, 0) + count
        if step in _REASONED and code is not None:
            found.reasons[step, code] = found.reasons.get((step, code), 0) + count
        if step is MeterStep.ENTERED and evidence is not None:
            found.evidence[evidence] = found.evidence.get(evidence, 0) + count
    return found


_REASONED: Final = frozenset({MeterStep.SKIPPED, MeterStep.FAILED, MeterStep.NEEDS_CHASE})


def list_chase(
    office: CampaignOffice, campaign_id: CampaignId, *, days: int | None = None
) -> list[ChaseGroup]:
    """Return the meters to be asked after, by place: refused or doubtful, or out for too long.

    `days` is how long a set may be out; None: as the campaign says.

    Raises:
        CampaignNotFoundError: There is no campaign of this id.
    """
    now = office.clock.now()
    with office.database.read() as connection:
        campaign = load_campaign(connection, campaign_id)
    limit = timedelta(days=campaign.chase_after_days if days is None else days)
    groups: dict[str, ChaseGroup] = {}
    for meters, members in _pages(office, campaign_id, OUTSTANDING_STEPS):
        for member in members:
            age = now - member.changed_at
            if member.step is MeterStep.NEEDS_CHASE or age >= limit:
                meter = meters[member.meter_id]
                group = groups.setdefault(meter.location.text, ChaseGroup(meter.location.text))
                group.entries.append(ChaseEntry(meter, member, age.days))
    return [groups[place] for place in sorted(groups)]


def _pages(
    office: CampaignOffice, campaign_id: CampaignId, steps: Sequence[MeterStep]
) -> Iterator[tuple[dict[MeterId, Meter], list[CampaignMeter]]]:
    after: MeterId | None = None
    while True:
        with office.database.read() as connection:
            page = repository.list_meters_of(
                connection, campaign_id, steps=steps, after=after, limit=PAGE_SIZE
            )
            meters = find_meters_by_id(connection, [each.meter_id for each in page])
        if not page:
            return
        after = page[-1].meter_id
        yield meters, page


@dataclass(frozen=True, slots=True)
class MeterStory:
    """Where a meter stands in a campaign, and how it came there."""

    member: CampaignMeter
    issued_at: datetime | None
    steps: list[StepRecord]


def tell_meter(connection: Connection, campaign_id: CampaignId, pan: MeterPAN) -> MeterStory:
    """Return a meter's steps in a campaign.

    Raises:
        CampaignNotFoundError: There is no campaign of this id.
        CampaignMeterNotFoundError: The meter has no part in it.
        MeterNotFoundError: The register has none of this number.
    """
    load_campaign(connection, campaign_id)
    meter = load_meter(connection, pan)
    member = repository.find_meter(connection, campaign_id, meter.id)
    if member is None:
        raise CampaignMeterNotFoundError(pan.iain)
    made = repository.load_sets_of(connection, campaign_id, [meter.id]).get(meter.id)
    steps = repository.list_steps(connection, campaign_id, meter.id)
    return MeterStory(member, None if made is None else made[0].issued_at, steps)


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """Which of a meter's keys reads a token."""

    key: MeterKey
    is_registered: bool
    """The key is the one that the register has for the meter."""
    token: VerifiedToken


def find_token_key(
    office: CampaignOffice, pan: MeterPAN, digits: str, *, by: SignedIn
) -> TokenOwner:
    """Return which of a meter's keys reads a token: its registered one, or one of a set.

    For a clerk whose customer's meter refuses a token. Each look is recorded.

    Raises:
        PermissionDeniedError: The operator may not look at tokens.
        MeterNotFoundError: The register has none of this number.
        TokenUnreadableError: None of the meter's keys reads it.
        ModuleError: The security module gave no answer.
    """
    by.require(Permission.TOKENS_VIEW)
    with office.database.unit_of_work() as uow:
        meter = load_meter(uow.connection, pan)
        made = repository.list_sets_for_meters(uow.connection, [meter.id])
        event = AuditEvent(by.actor, "token.verified", f"meter:{pan.digits}")
        record(uow.connection, [event], office.clock)
        uow.commit()
    keys = dict.fromkeys([meter.key, *(key for each, _ in made for key in (each.new, each.old))])
    for key in keys:
        request = VerifyRequest(pan=pan, ti=key.ti, ea=meter.ea, digits=digits)
        try:
            token = office.security_module.verify(register_of_key(key), request)
        except KeyNotFoundError:
            continue
        if not isinstance(token, Rejection):
            return TokenOwner(key, key == meter.key, token)
    raise TokenUnreadableError(pan.iain)

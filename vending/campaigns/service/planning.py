"""Draft a campaign, see what it would do, have it approved and start it.

Filter and target are fixed with the draft. The approval binds how many meters there were and a
digest over what each held. The start chooses the meters page by page (`choosing`), and one short
transaction redeems the approval for exactly those: a register that has changed since asks for a
new approval.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Final

from sqlalchemy import Connection

from vending.approvals.model import Act, Approval, UseCase
from vending.approvals.service import redeem, request_approval
from vending.campaigns import repository
from vending.campaigns.errors import CampaignEmptyError, RegisterMovedError
from vending.campaigns.model import (
    Campaign,
    CampaignState,
    Chosen,
    NewCampaign,
    Obstacle,
    Outlook,
)
from vending.campaigns.rules import Describe, filter_document, look_at, target_document
from vending.campaigns.service.choosing import (
    CHOICE_PAGE_SIZE,
    choose,
    claim_draft,
    lock_claimed,
    lock_draft,
    plan_meters,
)
from vending.campaigns.service.office import CampaignOffice, load_campaign, subject_of
from vending.keystore.errors import KeyNotFoundError
from vending.keystore.model import KeyDescription, KeyReference
from vending.keystore.port import SecurityModule
from vending.meters.service import list_fitting
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.audit import AuditEvent, record
from vending.values.identifiers import ApprovalId, CampaignId, MeterId, new_uuid7

PAGE_SIZE: Final = 1_000


@dataclass(slots=True)
class DryRun:
    """What a campaign would do now, in numbers; nothing was issued."""

    count: int = 0
    changing: int = 0
    linked: int = 0
    """Of those that change: the worker can reach the meter."""
    obstacles: dict[Obstacle, int] = field(default_factory=dict)

    def add(self, outlook: Outlook) -> None:
        """Count one meter."""
        self.count += 1
        if outlook.obstacle is None:
            self.changing += 1
            self.linked += outlook.is_linked
        else:
            self.obstacles[outlook.obstacle] = self.obstacles.get(outlook.obstacle, 0) + 1


def draft_campaign(office: CampaignOffice, new: NewCampaign, *, by: SignedIn) -> Campaign:
    """Store a campaign as a draft and return it.

    Raises:
        PermissionDeniedError: The operator may not plan campaigns.
    """
    by.require(Permission.CAMPAIGNS_WRITE)
    now = office.clock.now()
    values = {each.name: getattr(new, each.name) for each in fields(NewCampaign)}
    campaign = Campaign(
        id=CampaignId(new_uuid7(office.clock)),
        state=CampaignState.DRAFT,
        meter_count=None,
        digest=None,
        approval_id=None,
        created_by=by.name,
        created_at=now,
        started_at=None,
        ended_at=None,
        changed_at=now,
        **values,
    )
    with office.database.unit_of_work() as uow:
        repository.insert_campaign(uow.connection, campaign)
        event = AuditEvent(by.actor, "campaign.drafted", subject_of(campaign.id))
        record(uow.connection, [event], office.clock)
        uow.commit()
    return campaign


def dry_run(office: CampaignOffice, campaign_id: CampaignId) -> Iterator[Outlook]:
    """Yield what would happen to each meter that fits the filter now, or why nothing would.

    Issues nothing. Reads page by page: a register of a million meters never is in memory.

    Raises:
        CampaignNotFoundError: There is no campaign of this id.
    """
    now = office.clock.now()
    describe = describer(office.security_module)
    with office.database.read() as connection:
        campaign = load_campaign(connection, campaign_id)
    after: MeterId | None = None
    while True:
        with office.database.read() as connection:
            page = list_fitting(connection, campaign.wanted, after=after, limit=PAGE_SIZE)
            out = repository.find_out(connection, [meter.id for meter in page]) if page else set()
        if not page:
            return
        for meter in page:
            yield look_at(
                meter, campaign.target, describe, now=now, is_other_set_out=meter.id in out
            )
        after = page[-1].id


def describer(module: SecurityModule) -> Describe:
    """Return a look at keys that asks the module once for each."""
    held: dict[KeyReference, KeyDescription | None] = {}

    def describe(register: KeyReference) -> KeyDescription | None:
        if register not in held:
            try:
                held[register] = module.describe(register)
            except KeyNotFoundError:
                held[register] = None
        return held[register]

    return describe


def propose_start(
    office: CampaignOffice, campaign_id: CampaignId, *, reason: str, by: SignedIn
) -> Approval:
    """Ask another person to let a draft start over the meters that fit its filter now.

    Raises:
        PermissionDeniedError: The operator may not ask for this.
        CampaignNotFoundError: There is no campaign of this id.
        CampaignStateError: It is no draft.
        CampaignEmptyError: No meter fits.
        ApprovalContentError: The reason cannot be shown.
    """
    # Read with no lock held, for sales go on: the start compares once more what each meter holds.
    with office.database.read() as connection:
        wanted = load_campaign(connection, campaign_id).wanted
    chosen = choose(office.database, wanted)
    with office.database.unit_of_work() as uow:
        act = _act_of(lock_draft(uow.connection, campaign_id), chosen)
        approval = request_approval(uow.connection, by, act, reason=reason, clock=office.clock)
        uow.commit()
    return approval


def start_campaign(
    office: CampaignOffice,
    campaign_id: CampaignId,
    *,
    approval_id: ApprovalId,
    by: SignedIn,
    page_size: int = CHOICE_PAGE_SIZE,
) -> Campaign:
    """Choose the meters and let the worker issue their sets, as another person approved.

    Sales go on meanwhile: no transaction takes more than a page of meters. Cut short anywhere it
    leaves a draft of which some meters are planned, and is simply called again.

    Raises:
        PermissionDeniedError: The operator may not start campaigns.
        CampaignNotFoundError: There is no campaign of this id.
        CampaignStateError: It is no draft.
        CampaignEmptyError: No meter fits.
        RegisterMovedError: Meters came, went or changed while they were chosen.
        CampaignOvertakenError: Another start took over, or the draft was cancelled meanwhile.
        SecondFactorStaleError: The second factor was given too long ago.
        ApprovalNotFoundError: There is no approval of this id.
        ApprovalMismatchError: The meters are not, or do not hold, what was approved.
        ApprovalUsedError: It was used before.
        ApprovalStateError: It is not approved.
        ApprovalExpiredError: Its time is over.
        ApprovalStandingError: Who asked or who approved was locked since or lost the role.
        ApprovalOwnError: Both accounts turned out to be one person's.
    """
    by.require(Permission.CAMPAIGNS_WRITE)
    with office.database.read() as connection:
        wanted = load_campaign(connection, campaign_id).wanted
    chosen = choose(office.database, wanted)
    with office.database.unit_of_work() as uow:  # rolled back: nothing is planned unapproved
        draft = lock_draft(uow.connection, campaign_id)
        redeem(uow.connection, by, approval_id, _act_of(draft, chosen), clock=office.clock)
    claimed = claim_draft(office, campaign_id)
    planned = plan_meters(office, claimed, by=by, page_size=page_size)
    if planned != chosen:
        raise RegisterMovedError(campaign_id)
    with office.database.unit_of_work() as uow:
        started = _switch_on(uow.connection, office, claimed, planned, approval_id, by)
        uow.commit()
    return started


def _switch_on(
    connection: Connection,
    office: CampaignOffice,
    claimed: Campaign,
    planned: Chosen,
    approval_id: ApprovalId,
    by: SignedIn,
) -> Campaign:
    """Redeem the approval for what was planned, and let the campaign run."""
    campaign = lock_claimed(connection, claimed)
    redeem(connection, by, approval_id, _act_of(campaign, planned), clock=office.clock)
    now = office.clock.now()
    values = {
        "state": CampaignState.RUNNING.value,
        "meter_count": planned.count,
        "digest": planned.digest,
        "approval_id": approval_id,
        "started_at": now,
        "changed_at": now,
    }
    repository.move_campaign(connection, campaign.id, values)
    event = AuditEvent(
        by.actor,
        "campaign.started",
        subject_of(campaign.id),
        {"meters": planned.count, "digest": planned.digest, "approval": str(approval_id)},
    )
    record(connection, [event], office.clock)
    return load_campaign(connection, campaign.id)


def _act_of(campaign: Campaign, chosen: Chosen) -> Act:
    if chosen.count == 0:
        raise CampaignEmptyError(campaign.id)
    return Act(
        UseCase.CAMPAIGN,
        subject_of(campaign.id),
        {
            "name": campaign.name,
            "filter": filter_document(campaign.wanted),
            "target": target_document(campaign.target),
            "channels": sorted(channel.value for channel in campaign.channels),
            "meters": chosen.count,
            "digest": chosen.digest,
        },
    )

"""A start chooses its meters page by page: sales go on, and it may be cut short anywhere."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import event

from tests.support.campaigns import Fleet
from tests.support.people import approve
from tests.support.vending_keys import DUTK_2014
from vending.approvals.errors import ApprovalMismatchError
from vending.approvals.model import ApprovalState
from vending.approvals.service import find_approval
from vending.campaigns.errors import (
    CampaignOvertakenError,
    CampaignStateError,
    RegisterMovedError,
)
from vending.campaigns.model import Campaign, CampaignState, MeterStep
from vending.campaigns.service.choosing import choose, claim_draft, plan_meters
from vending.campaigns.service.issuing import issue_batch
from vending.campaigns.service.office import CampaignOffice
from vending.campaigns.service.planning import propose_start, start_campaign
from vending.campaigns.service.reports import report
from vending.campaigns.service.running import cancel_campaign
from vending.meters.model import MeterFilter, MeterState
from vending.meters.service import change_state, change_tariff
from vending.persistence.engine import Database, DatabaseLimits, create_database
from vending.persistence.unit_of_work import UnitOfWork
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.values.identifiers import ApprovalId
from vending.values.money import Currency

METER_COUNT = 11
PAGE = 3


@pytest.fixture
def fleet(database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Fleet:
    return Fleet(database, fixed_clock, tmp_path, METER_COUNT)


class CutShortError(Exception):
    """The process ended here."""


@dataclass(frozen=True, slots=True, eq=False)
class Watched(Database):
    """A database that tells before each write transaction begins."""

    before_write: Callable[[], object] = field(kw_only=True)

    def unit_of_work(self) -> UnitOfWork:
        self.before_write()
        return super(Watched, self).unit_of_work()


def watched(fleet: Fleet, before_write: Callable[[], object]) -> CampaignOffice:
    seen = fleet.database
    database = Watched(seen.engine, seen.dialect, seen.writer_lock, before_write=before_write)
    return replace(fleet.office, database=database)


def cut_short_after(count: int) -> Callable[[], None]:
    """Let so many write transactions begin, and end the process at the next."""
    begun = 0

    def count_one() -> None:
        nonlocal begun
        begun += 1
        if begun > count:
            raise CutShortError

    return count_one


def approved(fleet: Fleet, campaign: Campaign) -> ApprovalId:
    asked = propose_start(fleet.office, campaign.id, reason="as planned", by=fleet.engineer)
    approve(fleet.database, fleet.clock, asked.id, fleet.custodian)
    return asked.id


def start(
    fleet: Fleet, campaign: Campaign, approval_id: ApprovalId, office: CampaignOffice | None = None
) -> Campaign:
    return start_campaign(
        office or fleet.office,
        campaign.id,
        approval_id=approval_id,
        by=fleet.engineer,
        page_size=PAGE,
    )


def half_planned(fleet: Fleet) -> tuple[Campaign, ApprovalId]:
    """A draft whose start was cut short after its second page."""
    campaign = fleet.draft()
    approval_id = approved(fleet, campaign)
    before_pages = 2  # the approval looked at, the draft claimed
    office = watched(fleet, cut_short_after(before_pages + 2))
    with pytest.raises(CutShortError):
        start(fleet, campaign, approval_id, office)
    assert fleet.steps(campaign.id) == {MeterStep.PLANNED: 2 * PAGE}
    return campaign, approval_id


def state_of(fleet: Fleet, campaign: Campaign) -> CampaignState:
    return report(fleet.office, campaign.id).campaign.state


def move_to_other_tariff(fleet: Fleet, place: int, code: str) -> None:
    change_tariff(
        fleet.database,
        fleet.shop.meters[place].pan,
        tariff_code=code,
        currency=Currency("KES"),
        by=SYSTEM,
        clock=fleet.clock,
    )


# --- sales go on ----------------------------------------------------------------------------------
def test_other_writers_get_in_before_every_page_and_never_wait(fleet: Fleet) -> None:
    """The other writer has no patience at all: it would fail if a start held the database."""
    campaign = fleet.draft()
    approval_id = approved(fleet, campaign)
    limits = DatabaseLimits(lock_timeout_ms=1)
    url = fleet.database.engine.url.render_as_string(hide_password=False)
    other = create_database(url, limits=limits)
    states = iter([MeterState.BLOCKED, MeterState.COMMISSIONED] * METER_COUNT)
    written = 0

    def write() -> None:
        nonlocal written
        pan = fleet.shop.meters[0].pan
        change_state(other, pan, next(states), by=SYSTEM, reason="-", clock=fleet.clock)
        written += 1

    try:
        start(fleet, campaign, approval_id, watched(fleet, write))
    finally:
        other.close()
    pages = -(-METER_COUNT // PAGE)
    assert written == 2 + pages + 1
    assert fleet.steps(campaign.id) == {MeterStep.PLANNED: METER_COUNT}


def test_no_transaction_of_a_start_takes_more_than_a_page(fleet: Fleet) -> None:
    campaign = fleet.draft()
    approval_id = approved(fleet, campaign)
    transactions: list[list[str]] = []

    def begin() -> None:
        transactions.append([])

    office = watched(fleet, begin)

    def note(*of_cursor: object) -> None:
        statement = str(of_cursor[2])
        if transactions and not statement.startswith("PRAGMA"):
            transactions[-1].append(statement)

    event.listen(fleet.database.engine, "before_cursor_execute", note)
    try:
        start(fleet, campaign, approval_id, office)
    finally:
        event.remove(fleet.database.engine, "before_cursor_execute", note)
    inserts = [
        sum("INSERT INTO campaign_meters" in statement for statement in statements)
        for statements in transactions
    ]
    pages = -(-METER_COUNT // PAGE)
    assert inserts == [0, 0, *[1] * pages, 0], "one statement a page, and none when it is switched"
    in_last = "\n".join(transactions[-1])
    assert "campaign_meters" not in in_last
    assert "FROM meters" not in in_last


# --- cut short ------------------------------------------------------------------------------------
def test_start_that_was_cut_short_goes_on_where_it_ended(fleet: Fleet) -> None:
    campaign, approval_id = half_planned(fleet)
    begun = 0

    def count_one() -> None:
        nonlocal begun
        begun += 1

    started = start(fleet, campaign, approval_id, watched(fleet, count_one))
    assert started.state is CampaignState.RUNNING
    assert started.meter_count == METER_COUNT
    assert started.digest == choose(fleet.database, MeterFilter()).digest
    assert fleet.steps(campaign.id) == {MeterStep.PLANNED: METER_COUNT}
    assert begun == 2 + 2 + 1, "the two pages that were planned are not written again"


def test_half_planned_draft_is_a_draft_and_issues_nothing(fleet: Fleet) -> None:
    campaign, approval_id = half_planned(fleet)
    assert state_of(fleet, campaign) is CampaignState.DRAFT
    assert issue_batch(fleet.office, campaign.id).issued == 0
    with fleet.database.read() as connection:
        approval = find_approval(connection, fleet.custodian, approval_id)
    assert approval.state is ApprovalState.APPROVED, "it is used with the switch and not before"


def test_cancelled_half_planned_draft_has_no_planned_meter(fleet: Fleet) -> None:
    campaign, approval_id = half_planned(fleet)
    cancel_campaign(fleet.office, campaign.id, reason="not now", by=fleet.engineer)
    assert fleet.steps(campaign.id) == {MeterStep.WITHDRAWN: 2 * PAGE}
    with pytest.raises(CampaignStateError):
        start(fleet, campaign, approval_id)
    other = fleet.run()
    assert fleet.steps(other.id) == {MeterStep.ISSUED: METER_COUNT}, "they are free for another"


# --- the register moves meanwhile -----------------------------------------------------------------
def test_nothing_is_planned_for_what_was_not_approved(fleet: Fleet) -> None:
    campaign = fleet.draft()
    approval_id = approved(fleet, campaign)
    fleet.shop.add_meter(DUTK_2014)
    with pytest.raises(ApprovalMismatchError):
        start(fleet, campaign, approval_id)
    assert fleet.steps(campaign.id) == {}


def test_meter_registered_after_a_crash_takes_a_new_approval(fleet: Fleet) -> None:
    campaign, approval_id = half_planned(fleet)
    fleet.shop.add_meter(DUTK_2014)
    with pytest.raises(ApprovalMismatchError):
        start(fleet, campaign, approval_id)
    started = start(fleet, campaign, approved(fleet, campaign))
    assert started.meter_count == METER_COUNT + 1
    assert fleet.steps(campaign.id) == {MeterStep.PLANNED: METER_COUNT + 1}


def test_meter_that_left_the_filter_after_a_crash_is_not_started_with(fleet: Fleet) -> None:
    wanted = MeterFilter(tariff_code=fleet.meter().tariff_code)
    campaign = fleet.draft(wanted=wanted)
    plan_meters(
        fleet.office, claim_draft(fleet.office, campaign.id), by=fleet.engineer, page_size=PAGE
    )
    for place in (0, 4, METER_COUNT - 1):
        move_to_other_tariff(fleet, place, "OTHER")
    started = start(fleet, campaign, approved(fleet, campaign))
    assert started.meter_count == METER_COUNT - 3
    told = {MeterStep.PLANNED: METER_COUNT - 3, MeterStep.WITHDRAWN: 3}
    assert fleet.steps(campaign.id) == told


def test_meter_that_came_back_before_the_start_is_started_with(fleet: Fleet) -> None:
    code = fleet.meter().tariff_code
    campaign = fleet.draft(wanted=MeterFilter(tariff_code=code))

    def plan() -> None:
        claimed = claim_draft(fleet.office, campaign.id)
        plan_meters(fleet.office, claimed, by=fleet.engineer, page_size=PAGE)

    plan()
    move_to_other_tariff(fleet, 4, "OTHER")
    plan()
    assert fleet.steps(campaign.id)[MeterStep.WITHDRAWN] == 1
    move_to_other_tariff(fleet, 4, code)
    start(fleet, campaign, approved(fleet, campaign))
    assert fleet.steps(campaign.id) == {MeterStep.PLANNED: METER_COUNT}


def test_meter_registered_while_meters_are_chosen_starts_nothing(fleet: Fleet) -> None:
    campaign = fleet.draft()
    approval_id = approved(fleet, campaign)
    begun = 0

    def register_one() -> None:
        nonlocal begun
        begun += 1
        if begun == 3:  # before the first page is written
            fleet.shop.add_meter(DUTK_2014)

    with pytest.raises(RegisterMovedError):
        start(fleet, campaign, approval_id, watched(fleet, register_one))
    assert state_of(fleet, campaign) is CampaignState.DRAFT


# --- two at once ----------------------------------------------------------------------------------
def test_start_that_was_overtaken_stops_at_its_next_page(fleet: Fleet) -> None:
    campaign = fleet.draft()
    approval_id = approved(fleet, campaign)
    begun = 0

    def overtake() -> None:
        nonlocal begun
        begun += 1
        if begun == 4:
            claim_draft(fleet.office, campaign.id)

    with pytest.raises(CampaignOvertakenError):
        start(fleet, campaign, approval_id, watched(fleet, overtake))
    assert state_of(fleet, campaign) is CampaignState.DRAFT
    start(fleet, campaign, approval_id)
    assert fleet.steps(campaign.id) == {MeterStep.PLANNED: METER_COUNT}


@pytest.mark.parametrize("at", range(3, 8))
def test_draft_cancelled_during_its_start_plans_nothing_more(fleet: Fleet, at: int) -> None:
    campaign = fleet.draft()
    approval_id = approved(fleet, campaign)
    begun = 0

    def cancel() -> None:
        nonlocal begun
        begun += 1
        if begun == at:
            cancel_campaign(fleet.office, campaign.id, reason="no", by=fleet.engineer)

    with pytest.raises(CampaignOvertakenError):
        start(fleet, campaign, approval_id, watched(fleet, cancel))
    assert state_of(fleet, campaign) is CampaignState.CANCELLED
    assert MeterStep.PLANNED not in fleet.steps(campaign.id)


def test_cancel_that_was_overtaken_by_a_start_says_so(fleet: Fleet) -> None:
    campaign, approval_id = half_planned(fleet)
    begun = 0

    def start_after_claim() -> None:
        nonlocal begun
        begun += 1
        if begun == 2:
            start(fleet, campaign, approval_id)

    with pytest.raises(CampaignOvertakenError):
        cancel_campaign(
            watched(fleet, start_after_claim), campaign.id, reason="no", by=fleet.engineer
        )
    assert state_of(fleet, campaign) is CampaignState.RUNNING

"""A draft says what it would do, and starts over exactly what another person approved."""

import pytest

from tests.support.campaigns import NEXT_REVISION, Fleet
from tests.support.people import approve, sign_in_as
from tests.support.vending_keys import DDTK_2014, DUTK_1993, EXPIRED, RETIRED
from vending.approvals.errors import ApprovalMismatchError, ApprovalOwnError, ApprovalUsedError
from vending.campaigns.errors import (
    CampaignEmptyError,
    CampaignNotFoundError,
    CampaignStateError,
)
from vending.campaigns.model import (
    CampaignState,
    CampaignTarget,
    Obstacle,
)
from vending.campaigns.service.planning import (
    draft_campaign,
    dry_run,
    propose_start,
    start_campaign,
)
from vending.campaigns.service.reports import report
from vending.errors import VendingError
from vending.meters.model import MeterFilter, MeterState
from vending.meters.service import change_state
from vending.operators.errors import PermissionDeniedError
from vending.operators.permissions import Role
from vending.sts import SGC, TI, BaseDate, KeyType
from vending.values.actor import SYSTEM
from vending.values.identifiers import CampaignId, new_uuid7


def obstacles(fleet: Fleet, target: CampaignTarget, wanted: MeterFilter | None = None) -> list[str]:
    campaign = fleet.draft(target, wanted)
    return [
        "would change" if one.obstacle is None else one.obstacle.value
        for one in dry_run(fleet.office, campaign.id)
    ]


def test_dry_run_tells_each_meter_and_issues_nothing(fleet: Fleet) -> None:
    assert obstacles(fleet, CampaignTarget(krn=2)) == ["would change"] * 4
    with fleet.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM key_change_sets").scalar() == 0


@pytest.mark.parametrize(
    ("target", "obstacle"),
    [
        (CampaignTarget(krn=1), Obstacle.ALREADY_THERE),
        (CampaignTarget(krn=7), Obstacle.NEW_KEY_MISSING),
        (CampaignTarget(sgc=EXPIRED.attributes.sgc), Obstacle.NEW_KEY_EXPIRED),
        (CampaignTarget(sgc=RETIRED.attributes.sgc), Obstacle.NEW_KEY_RETIRED),
        (CampaignTarget(krn=2, base_date=BaseDate.Y2035), Obstacle.BASE_DATE_MISMATCH),
        (CampaignTarget(kt=KeyType.DCTK), Obstacle.DERIVATION_MISMATCH),
    ],
)
def test_dry_run_names_why_a_meter_would_not_change(
    fleet: Fleet, target: CampaignTarget, obstacle: Obstacle
) -> None:
    assert set(obstacles(fleet, target)) == {obstacle.value}


def test_dry_run_leaves_meters_out_that_nobody_uses(fleet: Fleet) -> None:
    change_state(
        fleet.database,
        fleet.shop.meters[1].pan,
        MeterState.FAULTY,
        by=SYSTEM,
        reason="dark display",
        clock=fleet.clock,
    )
    assert obstacles(fleet, CampaignTarget(krn=2)).count("meter_state") == 1


def test_filter_takes_what_fits_every_field(fleet: Fleet) -> None:
    other = fleet.shop.add_meter(DUTK_1993)
    wanted = MeterFilter(sgc=SGC("123456"), krn=1, kt=KeyType.DUTK, ti=TI("01"))
    campaign = fleet.draft(CampaignTarget(krn=2), wanted)
    assert [one.pan for one in dry_run(fleet.office, campaign.id)] == [fleet.shop.meters[other].pan]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (MeterFilter(location_prefix="Block"), 4),
        (MeterFilter(location_prefix="block"), 0),
        (MeterFilter(location_prefix="%"), 0),
        (MeterFilter(tariff_code="RES-1"), 4),
        (MeterFilter(tariff_code="RES-2"), 0),
        (MeterFilter(base_date=BaseDate.Y2014), 4),
        (MeterFilter(base_date=BaseDate.Y1993), 0),
    ],
)
def test_filter_by_place_tariff_and_base_date(
    fleet: Fleet, wanted: MeterFilter, count: int
) -> None:
    assert len(obstacles(fleet, CampaignTarget(krn=2), wanted)) == count


def test_explicit_list_is_a_filter_too(fleet: Fleet) -> None:
    pans = tuple(meter.pan for meter in fleet.shop.meters[:2])
    campaign = fleet.run(wanted=MeterFilter(pans=pans))
    assert campaign.meter_count == 2


def test_approval_binds_filter_target_count_and_what_each_meter_holds(fleet: Fleet) -> None:
    campaign = fleet.draft()
    asked = propose_start(fleet.office, campaign.id, reason="-", by=fleet.engineer)
    payload = asked.act.payload
    assert (payload["meters"], payload["target"]) == (4, {"krn": 2})
    assert len(str(payload["digest"])) == 64


def test_register_that_changed_since_takes_a_new_approval(fleet: Fleet) -> None:
    campaign = fleet.draft()
    asked = propose_start(fleet.office, campaign.id, reason="-", by=fleet.engineer)
    approve(fleet.database, fleet.clock, asked.id, fleet.custodian)
    fleet.shop.add_meter(DUTK_1993)
    with pytest.raises(ApprovalMismatchError):
        start_campaign(fleet.office, campaign.id, approval_id=asked.id, by=fleet.engineer)
    assert report(fleet.office, campaign.id).campaign.state is CampaignState.DRAFT
    assert fleet.steps(campaign.id) == {}


def test_approval_of_one_campaign_starts_no_other(fleet: Fleet) -> None:
    approved, other = fleet.draft(), fleet.draft()
    asked = propose_start(fleet.office, approved.id, reason="-", by=fleet.engineer)
    approve(fleet.database, fleet.clock, asked.id, fleet.custodian)
    with pytest.raises(ApprovalMismatchError):
        start_campaign(fleet.office, other.id, approval_id=asked.id, by=fleet.engineer)


def test_one_person_alone_starts_nothing(fleet: Fleet) -> None:
    campaign = fleet.draft()
    asked = propose_start(fleet.office, campaign.id, reason="-", by=fleet.engineer)
    with pytest.raises(ApprovalOwnError):
        approve(fleet.database, fleet.clock, asked.id, fleet.engineer)
    with pytest.raises(VendingError):
        start_campaign(fleet.office, campaign.id, approval_id=asked.id, by=fleet.engineer)


def test_approval_is_used_once(fleet: Fleet) -> None:
    campaign = fleet.draft()
    asked = propose_start(fleet.office, campaign.id, reason="-", by=fleet.engineer)
    approve(fleet.database, fleet.clock, asked.id, fleet.custodian)
    start_campaign(fleet.office, campaign.id, approval_id=asked.id, by=fleet.engineer)
    with pytest.raises((CampaignStateError, ApprovalUsedError)):
        start_campaign(fleet.office, campaign.id, approval_id=asked.id, by=fleet.engineer)


def test_campaign_over_no_meter_cannot_be_proposed(fleet: Fleet) -> None:
    campaign = fleet.draft(wanted=MeterFilter(sgc=SGC("777777")))
    with pytest.raises(CampaignEmptyError):
        propose_start(fleet.office, campaign.id, reason="-", by=fleet.engineer)


def test_campaign_that_is_not_there_is_told(fleet: Fleet) -> None:
    nobody = CampaignId(new_uuid7(fleet.clock))
    with pytest.raises(CampaignNotFoundError):
        propose_start(fleet.office, nobody, reason="-", by=fleet.engineer)
    with pytest.raises(CampaignNotFoundError):
        report(fleet.office, nobody)


def test_draft_takes_the_permission(fleet: Fleet) -> None:
    cashier = sign_in_as(fleet.database, fleet.clock, Role.CASHIER)
    campaign = fleet.draft()
    with pytest.raises(PermissionDeniedError):
        draft_campaign(fleet.office, campaign, by=cashier)


def test_meter_on_a_default_key_changes_to_its_unique_one(fleet: Fleet) -> None:
    place = fleet.shop.add_meter(DDTK_2014)
    pan = fleet.shop.meters[place].pan
    target = CampaignTarget(krn=NEXT_REVISION.attributes.krn, kt=KeyType.DUTK)
    assert obstacles(fleet, target, MeterFilter(pans=(pan,))) == ["would change"]

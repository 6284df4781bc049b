"""What a campaign may be, and the tables of its states."""

import pytest

from vending.campaigns.errors import CampaignInvalidError
from vending.campaigns.model import (
    CAMPAIGN_TARGETS,
    OUTSTANDING_STEPS,
    SETTLED_STEPS,
    STEP_TARGETS,
    CampaignState,
    CampaignTarget,
    MeterStep,
    NewCampaign,
    draw_campaign_states,
    draw_meter_steps,
)
from vending.keystore.model import KeyReference
from vending.meters.errors import MeterInvalidError
from vending.meters.model import FILTER_PAN_COUNT_MAX, MeterFilter
from vending.sts import SGC, TI, BaseDate, KeyType, MeterPAN


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"base_date": BaseDate.Y2014},
        {"krn": 0},
        {"krn": 10},
        {"kt": KeyType.DITK},
    ],
)
def test_target_that_changes_nothing_or_too_much_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CampaignInvalidError):
        CampaignTarget(**wrong)  # type: ignore[arg-type] # what a caller may get wrong


def test_what_a_target_leaves_out_stays_as_the_meter_has_it() -> None:
    held = KeyReference(SGC("201457"), 1, KeyType.DUTK)
    assert CampaignTarget(ti=TI("02")).register_of(held) == held
    assert CampaignTarget(krn=2).register_of(held) == KeyReference(held.sgc, 2, held.kt)


@pytest.mark.parametrize(
    ("name", "reason", "days"),
    [("", "r", 14), (" ", "r", 14), ("n" * 81, "r", 14), ("n\n", "r", 14), ("n", "", 14),
     ("n", "r" * 201, 14), ("n", "r", 0), ("n", "r", 367)],
)  # fmt: skip
def test_campaign_is_named_reasoned_and_bounded(name: str, reason: str, days: int) -> None:
    with pytest.raises(CampaignInvalidError):
        NewCampaign(
            name=name,
            reason=reason,
            wanted=MeterFilter(),
            target=CampaignTarget(krn=2),
            chase_after_days=days,
        )


def test_explicit_list_is_bounded() -> None:
    pan = MeterPAN("600727000000000009")
    with pytest.raises(MeterInvalidError):
        MeterFilter(pans=(pan,) * (FILTER_PAN_COUNT_MAX + 1))


def test_ended_campaigns_and_entered_meters_stay_so() -> None:
    assert CAMPAIGN_TARGETS[CampaignState.FINISHED] == frozenset()
    assert CAMPAIGN_TARGETS[CampaignState.CANCELLED] == frozenset()
    assert STEP_TARGETS[MeterStep.ENTERED] == frozenset()
    assert STEP_TARGETS[MeterStep.SKIPPED] == frozenset()


def test_a_meter_is_planned_out_or_settled() -> None:
    assert {MeterStep.PLANNED, *OUTSTANDING_STEPS, *SETTLED_STEPS} == set(MeterStep)
    assert not set(OUTSTANDING_STEPS) & SETTLED_STEPS


def test_every_set_that_is_out_can_still_be_entered_or_withdrawn() -> None:
    for step in OUTSTANDING_STEPS:
        assert {MeterStep.ENTERED, MeterStep.WITHDRAWN} <= STEP_TARGETS[step]


def test_diagrams_have_no_hyphen_and_end_where_the_tables_do() -> None:
    assert "needs_chase --> entered" in draw_meter_steps()
    assert "cancelled --> [*]" in draw_campaign_states()

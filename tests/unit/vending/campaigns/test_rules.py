"""Filters and targets as they are written down, approved and read again."""

import pytest

from vending.campaigns.errors import CampaignInvalidError
from vending.campaigns.model import CampaignTarget, MeterStep
from vending.campaigns.rules import (
    filter_document,
    may_become,
    parse_filter,
    parse_target,
    target_document,
)
from vending.meters.model import MeterFilter
from vending.sts import SGC, TI, BaseDate, KeyType, MeterPAN

WANTED = MeterFilter(
    sgc=SGC("201457"),
    krn=1,
    kt=KeyType.DUTK,
    ti=TI("01"),
    base_date=BaseDate.Y1993,
    tariff_code="RES-1",
    location_prefix="Block A",
    pans=(MeterPAN("600727000000000009"),),
)
TARGET = CampaignTarget(
    sgc=SGC("201458"), krn=2, kt=KeyType.DUTK, ti=TI("02"), base_date=BaseDate.Y2014
)


def test_filter_is_read_as_it_was_written() -> None:
    assert parse_filter(filter_document(WANTED)) == WANTED
    assert parse_filter(filter_document(MeterFilter())) == MeterFilter()
    assert filter_document(MeterFilter()) == {}


def test_target_is_read_as_it_was_written() -> None:
    assert parse_target(target_document(TARGET)) == TARGET
    assert target_document(CampaignTarget(krn=2)) == {"krn": 2}


@pytest.mark.parametrize(
    "wrong",
    [
        {"krn": "2"},
        {"krn": True},
        {"sgc": "20145"},
        {"kt": "DXTK"},
        {"ti": "1"},
        {"base_date": 2000},
        {"krn": 2, "colour": "red"},
    ],
)
def test_document_that_says_something_else_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CampaignInvalidError):
        parse_target(wrong)


@pytest.mark.parametrize("wrong", [{"meters": "600727000000000009"}, {"meters": ["1"]}])
def test_list_of_meters_is_a_list_of_meters(wrong: dict[str, object]) -> None:
    with pytest.raises(CampaignInvalidError):
        parse_filter(wrong)


def test_table_decides_what_follows() -> None:
    assert may_become(MeterStep.ISSUED, MeterStep.ENTERED)
    assert not may_become(MeterStep.ENTERED, MeterStep.WITHDRAWN)

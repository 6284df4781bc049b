"""What expires when: by key and supply group, with what to do about it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.support.shop import Shop
from tests.support.vending_keys import (
    DUTK_1993,
    DUTK_2014,
    EXPIRED,
    RETIRED,
    register_of,
)
from vending.custody.model import ForecastLimits, Severity, Suggestion
from vending.custody.rules import expiry_of, forecast
from vending.custody.service.forecast import forecast_keys, nearest_expiry
from vending.keystore.model import KeyDescription, KeyReference
from vending.meters.model import MeterState
from vending.meters.service import change_state
from vending.sts import BaseDate
from vending.values.actor import SYSTEM

LIMITS = ForecastLimits(soon=timedelta(days=365), urgent=timedelta(days=90))


def key_of(shop: Shop, *, krn: int = 1, ken: int = 255, base: int = 2014) -> KeyDescription:
    shown = shop.store.describe(register_of(DUTK_2014))
    attributes = replace(shown.attributes, krn=krn, ken=ken, base_date=BaseDate(base))
    return replace(shown, register=KeyReference.of(attributes), attributes=attributes)


def test_forecast_counts_the_meters_of_each_key(shop: Shop) -> None:
    shop.add_meter(EXPIRED)
    shop.add_meter(RETIRED)
    with shop.database.read() as connection:
        told = forecast_keys(connection, shop.store.list_keys(), LIMITS, now=shop.clock.now())
    by_key = {one.register: one for one in told}
    assert [one.severity for one in told[:2]] == [Severity.STANDING, Severity.STANDING]
    assert by_key[register_of(DUTK_2014)].meter_count == 4
    assert by_key[register_of(DUTK_2014)].severity is Severity.OK
    assert by_key[register_of(DUTK_1993)].severity is Severity.UNUSED
    expired = by_key[register_of(EXPIRED)]
    assert (expired.suggestion, expired.target) == (Suggestion.OBTAIN_KEY, None)
    assert expired.days_left is not None
    assert expired.days_left < 0
    assert by_key[register_of(RETIRED)].is_retired


def test_removed_meters_hold_no_key(shop: Shop) -> None:
    for meter in shop.meters:
        change_state(
            shop.database, meter.pan, MeterState.REMOVED, reason="gone", by=SYSTEM, clock=shop.clock
        )
    with shop.database.read() as connection:
        told = forecast_keys(connection, shop.store.list_keys(), LIMITS, now=shop.clock.now())
    assert {one.severity for one in told} == {Severity.UNUSED}
    assert nearest_expiry(told) is None


@pytest.mark.parametrize(
    ("before", "severity"),
    [
        (timedelta(days=365, seconds=1), Severity.OK),
        (timedelta(days=365), Severity.SOON),
        (timedelta(days=90, seconds=1), Severity.SOON),
        (timedelta(days=90), Severity.URGENT),
        (timedelta(0), Severity.STANDING),
    ],
)
def test_severity_rises_as_the_day_comes(shop: Shop, before: timedelta, severity: Severity) -> None:
    key = key_of(shop)
    now: datetime = expiry_of(key) - before
    (told,) = forecast([key], {key.register: 1}, LIMITS, now=now)
    assert told.severity is severity
    assert told.days_left == before.days


def test_key_that_outlives_it_is_suggested(shop: Shop) -> None:
    present, later = key_of(shop, ken=60), key_of(shop, krn=2)
    now = expiry_of(present) - timedelta(days=10)
    told = forecast([present, later], {present.register: 5}, LIMITS, now=now)
    assert (told[0].suggestion, told[0].target) == (Suggestion.KEY_REVISION, later.register)
    assert nearest_expiry(told) == expiry_of(present)


def test_later_base_date_is_a_rollover(shop: Shop) -> None:
    present, later = key_of(shop), key_of(shop, krn=2, base=2035)
    now = expiry_of(present) - timedelta(days=10)
    told = forecast([present, later], {present.register: 5}, LIMITS, now=now)
    assert told[0].suggestion is Suggestion.BASE_DATE


def test_meters_on_a_key_that_is_missing_stand(shop: Shop) -> None:
    missing = key_of(shop, krn=7).register
    other = key_of(shop)
    told = forecast([other], {missing: 3}, LIMITS, now=shop.clock.now())
    assert (told[0].register, told[0].severity) == (missing, Severity.STANDING)
    assert (told[0].target, told[0].expires_at) == (other.register, None)

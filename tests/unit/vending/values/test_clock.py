from datetime import UTC, datetime, timedelta, timezone

import pytest

from vending.values.clock import FixedClock, SystemClock

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_clock_of_the_machine_is_in_utc_and_moves_on() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    first = clock.monotonic_s()
    assert clock.monotonic_s() >= first > 0


def test_fixed_clock_stands_still() -> None:
    clock = FixedClock(NOON)
    assert (clock.now(), clock.monotonic_s()) == (NOON, 0)
    assert clock.now() == NOON


def test_time_that_passes_moves_both_readings() -> None:
    clock = FixedClock(NOON)
    clock.advance(timedelta(seconds=90))
    assert (clock.now(), clock.monotonic_s()) == (NOON + timedelta(seconds=90), 90)


def test_clock_that_is_set_moves_the_wall_clock_alone() -> None:
    clock = FixedClock(NOON)
    clock.jump_to(NOON - timedelta(days=1))
    assert (clock.now(), clock.monotonic_s()) == (NOON - timedelta(days=1), 0)


@pytest.mark.parametrize("zone", [None, timezone(timedelta(hours=3))])
def test_instant_is_in_utc(zone: timezone | None) -> None:
    with pytest.raises(AssertionError, match="in UTC"):
        FixedClock(NOON.replace(tzinfo=zone))

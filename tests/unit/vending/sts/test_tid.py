from datetime import UTC, datetime, timedelta, timezone

import pytest

from vending.sts.errors import (
    BeforeBaseDateError,
    FieldRangeError,
    TIDAheadError,
    TIDExhaustedError,
)
from vending.sts.tid import (
    LARGEST_TID,
    BaseDate,
    TokenIdentifier,
    compute_expiry,
    is_key_expired,
    is_key_expired_at,
    is_reserved,
    next_tid,
)

MINUTE = timedelta(minutes=1)
DAY = datetime(2020, 2, 29, tzinfo=UTC)
LAST_2014 = datetime(2045, 11, 24, 20, 15, tzinfo=UTC)


def at(minutes: int) -> TokenIdentifier:
    return TokenIdentifier.at(DAY + minutes * MINUTE, BaseDate.Y2014)


def test_base_dates_start_with_their_year() -> None:
    assert BaseDate.Y1993.instant == datetime(1993, 1, 1, tzinfo=UTC)
    assert [base_date.bdt for base_date in BaseDate] == ["93", "14", "35"]


def test_base_date_of_another_year_is_refused() -> None:
    with pytest.raises(FieldRangeError, match="base date 2000 is not within 1993, 2014, 2035"):
        BaseDate(2000)


def test_tid_of_the_worked_example() -> None:
    issued = datetime(2014, 3, 1, 13, 0, tzinfo=UTC)
    assert TokenIdentifier.at(issued, BaseDate.Y2014).minutes == 0x014EEC


def test_token_issued_at_00_01_takes_the_tid_of_00_02() -> None:
    midnight = at(0).minutes
    assert midnight % 1440 == 0
    assert [at(minute).minutes - midnight for minute in range(4)] == [0, 2, 2, 3]


def test_seconds_are_cut_and_zones_are_converted() -> None:
    zone = timezone(timedelta(hours=3))
    issued = datetime(2014, 3, 1, 16, 0, 59, tzinfo=zone)
    assert TokenIdentifier.at(issued, BaseDate.Y2014).minutes == 85740


def test_time_without_zone_is_a_programming_error() -> None:
    with pytest.raises(AssertionError):
        TokenIdentifier.at(datetime(2014, 3, 1), BaseDate.Y2014)  # noqa: DTZ001  # that is the test


def test_instant_gives_the_minute_back() -> None:
    assert TokenIdentifier(85740).instant(BaseDate.Y2014) == datetime(2014, 3, 1, 13, 0, tzinfo=UTC)
    assert int(TokenIdentifier(85740)) == 85740


def test_time_before_the_base_date_is_refused() -> None:
    with pytest.raises(BeforeBaseDateError, match="before the base date of 2014"):
        TokenIdentifier.at(BaseDate.Y2014.instant - timedelta(seconds=1), BaseDate.Y2014)


@pytest.mark.parametrize(
    ("base_date", "last"),
    [
        (BaseDate.Y1993, datetime(2024, 11, 24, 20, 15, tzinfo=UTC)),
        (BaseDate.Y2014, LAST_2014),
    ],
)
def test_24_bits_last_to_a_known_minute(base_date: BaseDate, last: datetime) -> None:
    assert TokenIdentifier.at(last, base_date).minutes == LARGEST_TID
    assert TokenIdentifier.at(last + timedelta(seconds=59), base_date).minutes == LARGEST_TID
    with pytest.raises(TIDExhaustedError):
        TokenIdentifier.at(last + MINUTE, base_date)


@pytest.mark.parametrize("minutes", [-1, LARGEST_TID + 1])
def test_tid_outside_24_bits_is_refused(minutes: int) -> None:
    with pytest.raises(FieldRangeError):
        TokenIdentifier(minutes)


def test_reserved_tid_is_a_legal_value_since_no_meter_rejects_it() -> None:
    assert is_reserved(TokenIdentifier(1441).minutes)
    assert not is_reserved(1440)
    assert not is_reserved(1442)


@pytest.mark.parametrize(
    ("minute", "last", "expected"),
    [
        (600, None, 600),
        (600, 599, 600),
        (600, 600, 601),
        (600, 640, 641),
        (600, 659, 660),
        (0, None, 0),
        (0, 0, 2),
        (1, None, 2),
        (1, 2, 3),
        (2, 1, 2),
    ],
)
def test_next_tid_is_now_or_the_one_after_the_last(
    minute: int, last: int | None, expected: int
) -> None:
    midnight = at(0).minutes
    tid = next_tid(
        DAY + minute * MINUTE, BaseDate.Y2014, last=None if last is None else midnight + last
    )
    assert tid.minutes == midnight + expected


def test_next_tid_does_not_run_more_than_an_hour_ahead_of_the_clock() -> None:
    now = at(600).minutes
    assert next_tid(DAY + 600 * MINUTE, BaseDate.Y2014, last=now + 59).minutes == now + 60
    with pytest.raises(TIDAheadError, match="61 minutes ahead of the clock; the limit is 60"):
        next_tid(DAY + 600 * MINUTE, BaseDate.Y2014, last=now + 60)


def test_next_tid_takes_another_limit() -> None:
    now = at(600).minutes
    with pytest.raises(TIDAheadError):
        next_tid(DAY + 600 * MINUTE, BaseDate.Y2014, last=now, ahead_limit_min=0)


def test_reserved_minute_counts_as_ahead() -> None:
    before_midnight = DAY - MINUTE
    last = TokenIdentifier.at(DAY, BaseDate.Y2014).minutes
    with pytest.raises(TIDAheadError, match="3 minutes ahead"):
        next_tid(before_midnight, BaseDate.Y2014, last=last, ahead_limit_min=2)


def test_next_tid_runs_out_with_the_24_bits() -> None:
    with pytest.raises(TIDExhaustedError):
        next_tid(LAST_2014, BaseDate.Y2014, last=LARGEST_TID)


@pytest.mark.parametrize(
    ("minutes", "ken", "expired"),
    [
        (0xFFFF, 0, False),
        (0x10000, 0, True),
        (0x7FFFFF, 0x7F, False),
        (0x800000, 0x7F, True),
        (LARGEST_TID, 255, False),
        (LARGEST_TID, 254, True),
    ],
)
def test_key_expires_when_the_high_8_bits_exceed_the_ken(
    minutes: int, ken: int, *, expired: bool
) -> None:
    assert is_key_expired(TokenIdentifier(minutes), ken) is expired


def test_every_key_has_expired_past_the_last_minute_of_its_base_date() -> None:
    assert not is_key_expired_at(LAST_2014, BaseDate.Y2014, 255)
    assert is_key_expired_at(LAST_2014 + MINUTE, BaseDate.Y2014, 255)


def test_key_given_ahead_of_its_base_date_has_not_expired() -> None:
    assert not is_key_expired_at(DAY, BaseDate.Y2035, 0)


def test_compute_expiry_is_the_first_expired_instant() -> None:
    expiry = compute_expiry(BaseDate.Y2014, 3)
    assert is_key_expired_at(expiry, BaseDate.Y2014, 3)
    assert not is_key_expired_at(expiry - timedelta(seconds=1), BaseDate.Y2014, 3)
    assert compute_expiry(BaseDate.Y2014, 255) == LAST_2014 + MINUTE

"""The token identifier: minutes since a base date, in 24 bits (IEC 62055-41, TID).

A TID dates a token and serves once for each meter. One minute of every day is reserved, the 24
bits last about 31.9 years, and their high 8 bits are what a key's expiry number is compared
with.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, Self

from vending.sts.errors import (
    BeforeBaseDateError,
    FieldRangeError,
    TIDAheadError,
    TIDExhaustedError,
)

LARGEST_TID: Final = (1 << 24) - 1
KEN_SHIFT: Final = 16
"""A KEN counts in units of 2^16 minutes, about 45.5 days."""

AHEAD_LIMIT_MIN: Final = 60
"""How far a TID may run ahead of the clock (ours): one hour of a token a minute."""

_MINUTE: Final = timedelta(minutes=1)
_MINUTES_PER_DAY: Final = 1440
_RESERVED_MINUTE: Final = 1


class BaseDate(IntEnum):
    """The year from whose first instant, UTC, a key's TIDs are counted."""

    Y1993 = 1993
    Y2014 = 2014
    Y2035 = 2035

    @property
    def instant(self) -> datetime:
        """Return 1 January of the year, 00:00 UTC."""
        return datetime(self.value, 1, 1, tzinfo=UTC)

    @property
    def bdt(self) -> str:
        """Return the two digits by which DKGA04 knows it: `93`, `14` or `35`."""
        return f"{self.value % 100:02}"

    @classmethod
    def _missing_(cls, value: object) -> Self:
        raise FieldRangeError(field="base date", given=str(value), allowed="1993, 2014, 2035")


def is_reserved(minutes: int) -> bool:
    """Say whether a minute count falls on 00:01 of a day, which no issuer uses."""
    return minutes % _MINUTES_PER_DAY == _RESERVED_MINUTE


def _skip_reserved(minutes: int) -> int:
    return minutes + 1 if is_reserved(minutes) else minutes


def _minutes_since(base_date: BaseDate, instant: datetime) -> int:
    """Return whole minutes from the base date, below zero before it."""
    assert instant.tzinfo is not None, "a time of issue carries its time zone"
    return (instant - base_date.instant) // _MINUTE


@dataclass(frozen=True, slots=True, order=True)
class TokenIdentifier:
    """Minutes since a base date, 24 bits.

    A reserved minute is a legal value, because a meter does not reject it; `at` and `next_tid`
    never give one out.
    """

    minutes: int

    def __post_init__(self) -> None:
        if not 0 <= self.minutes <= LARGEST_TID:
            raise FieldRangeError(field="TID", given=self.minutes, allowed=f"0 to {LARGEST_TID}")

    @classmethod
    def at(cls, instant: datetime, base_date: BaseDate) -> Self:
        """Return the TID of a token issued at an instant; at 00:01 that is the TID of 00:02.

        Raises:
            BeforeBaseDateError: The instant lies before the base date.
            TIDExhaustedError: The instant lies past the last minute of the base date.
        """
        minutes = _minutes_since(base_date, instant)
        if minutes < 0:
            raise BeforeBaseDateError(instant=instant.isoformat(), base_year=base_date)
        minutes = _skip_reserved(minutes)
        if minutes > LARGEST_TID:
            raise TIDExhaustedError(minutes=minutes, base_year=base_date)
        return cls(minutes)

    def instant(self, base_date: BaseDate) -> datetime:
        """Return the minute it stands for, in UTC."""
        return base_date.instant + self.minutes * _MINUTE

    def __int__(self) -> int:
        return self.minutes


def next_tid(
    now: datetime,
    base_date: BaseDate,
    *,
    last: int | None,
    ahead_limit_min: int = AHEAD_LIMIT_MIN,
) -> TokenIdentifier:
    """Return the TID of a meter's next token.

    That is now's, or the one after `last`, the meter's last TID under this base date (`None`:
    it has had no token), whichever is later.

    Raises:
        BeforeBaseDateError: Now lies before the base date.
        TIDExhaustedError: The 24 bits have run out.
        TIDAheadError: The TID would be more than `ahead_limit_min` ahead of the clock.
    """
    present = TokenIdentifier.at(now, base_date)
    if last is None or last < present.minutes:
        return present
    minutes = _skip_reserved(last + 1)
    ahead_min = minutes - _minutes_since(base_date, now)
    if ahead_min > ahead_limit_min:
        raise TIDAheadError(ahead_min=ahead_min, limit_min=ahead_limit_min)
    if minutes > LARGEST_TID:
        raise TIDExhaustedError(minutes=minutes, base_year=base_date)
    return TokenIdentifier(minutes)


def is_key_expired(tid: TokenIdentifier, ken: int) -> bool:
    """Say whether a key of this expiry number has expired for a token of this TID.

    It has when the high 8 bits of the TID are greater than the KEN; equal is valid.
    """
    return tid.minutes >> KEN_SHIFT > ken


def is_key_expired_at(instant: datetime, base_date: BaseDate, ken: int) -> bool:
    """Say whether a key of this expiry number has expired at an instant.

    Past the last minute of the base date every key has, KEN 255 included. Before the base date
    none has (ours): a meter may be given its next key ahead of time.
    """
    return _minutes_since(base_date, instant) >> KEN_SHIFT > ken


def compute_expiry(base_date: BaseDate, ken: int) -> datetime:
    """Return the first instant at which a key of this expiry number has expired, in UTC."""
    return base_date.instant + (ken + 1 << KEN_SHIFT) * _MINUTE

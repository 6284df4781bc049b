"""The policies there are, what holds where nobody has set one, and the rules they make up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from vending.values.identifiers import ApprovalId, OperatorId


class PolicyName(StrEnum):
    """One rule that two people set; `docs/reference/policies.md` lists them."""

    TIMEZONE = "timezone"
    REFUND_LIMIT_MINOR = "refund-limit-minor"
    REPLACEMENT_LIMIT_WH = "replacement-limit-wh"
    FREE_UNITS_MONTH_WH = "free-units-month-wh"
    DISCONNECTION_HOURS = "disconnection-hours"
    DISCONNECTION_WEEKDAYS = "disconnection-weekdays"
    DISCONNECTION_HOLIDAYS = "disconnection-holidays"
    DISTINCT_DEVICES = "distinct-devices"
    SESSION_IDLE_MIN = "session-idle-min"
    SESSION_LIFETIME_H = "session-lifetime-h"
    SESSION_FRESH_MIN = "session-fresh-min"
    RETENTION_MONTHS = "retention-months"
    CEILING_CREDIT_WH = "ceiling-credit-wh"
    CEILING_CREDIT_MINOR = "ceiling-credit-minor"
    CEILING_CREDIT_TOKENS = "ceiling-credit-tokens"
    CEILING_FREE_WH = "ceiling-free-wh"
    CEILING_FREE_TOKENS = "ceiling-free-tokens"
    CEILING_MANAGEMENT_TOKENS = "ceiling-management-tokens"


_N = PolicyName
DEFAULTS: Final[Mapping[PolicyName, object]] = MappingProxyType(
    {
        _N.TIMEZONE: "UTC",
        _N.REFUND_LIMIT_MINOR: {},
        _N.REPLACEMENT_LIMIT_WH: 0,
        _N.FREE_UNITS_MONTH_WH: 100_000,
        _N.DISCONNECTION_HOURS: None,
        _N.DISCONNECTION_WEEKDAYS: "mon,tue,wed,thu,fri,sat,sun",
        _N.DISCONNECTION_HOLIDAYS: None,
        _N.DISTINCT_DEVICES: False,
        _N.SESSION_IDLE_MIN: 15,
        _N.SESSION_LIFETIME_H: 12,
        _N.SESSION_FRESH_MIN: 10,
        _N.RETENTION_MONTHS: None,
        _N.CEILING_CREDIT_WH: None,
        _N.CEILING_CREDIT_MINOR: {},
        _N.CEILING_CREDIT_TOKENS: None,
        _N.CEILING_FREE_WH: None,
        _N.CEILING_FREE_TOKENS: None,
        _N.CEILING_MANAGEMENT_TOKENS: None,
    }
)
"""What holds where two people have set nothing: nobody gives back, replaces or cuts off alone."""

MEANINGS: Final[Mapping[PolicyName, str]] = MappingProxyType(
    {
        _N.TIMEZONE: "Where days and months of these rules begin, IANA name",
        _N.REFUND_LIMIT_MINOR: "What one person gives back of one sale, minor units by currency",
        _N.REPLACEMENT_LIMIT_WH: "The largest token that one person replaces",
        _N.FREE_UNITS_MONTH_WH: "The most a meter gets for nothing in a calendar month",
        _N.DISCONNECTION_HOURS: "When one person orders a disconnection; null: never",
        _N.DISCONNECTION_WEEKDAYS: "On which days of the week, within the hours",
        _N.DISCONNECTION_HOLIDAYS: "On which dates not, all the same",
        _N.DISTINCT_DEVICES: "Approve only from another device than it was asked for on",
        _N.SESSION_IDLE_MIN: "A session ends after so long unused; counts from the next sign-in",
        _N.SESSION_LIFETIME_H: "A session ends after so long; counts from the next sign-in",
        _N.SESSION_FRESH_MIN: "How long a second factor counts as given just now",
        _N.RETENTION_MONTHS: "Personal data without a meter is erased so long after; null: never",
        _N.CEILING_CREDIT_WH: "A key sells so much in a day, where it has no own ceiling",
        _N.CEILING_CREDIT_MINOR: "A key sells for so much in a day, minor units by currency",
        _N.CEILING_CREDIT_TOKENS: "A key makes so many credit tokens in a day",
        _N.CEILING_FREE_WH: "A key gives so much without payment in a day",
        _N.CEILING_FREE_TOKENS: "A key makes so many tokens without payment in a day",
        _N.CEILING_MANAGEMENT_TOKENS: "A key makes so many management and key-change tokens a day",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectionRule:
    """When a household may be cut off without a second person: hours, weekdays, no holidays.

    All of it in the utility's time zone; `until` is exclusive.
    """

    timezone: str
    start: time = time.min
    until: time | None = None
    """None: to the end of the day."""
    weekdays: frozenset[int] = frozenset(range(7))
    """Monday is 0."""
    holidays: frozenset[date] = frozenset()

    def allows(self, instant: datetime) -> bool:
        """Return whether a relay may be opened at the instant."""
        local = instant.astimezone(ZoneInfo(self.timezone))
        if local.weekday() not in self.weekdays or local.date() in self.holidays:
            return False
        return local.time() >= self.start and (self.until is None or local.time() < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRule:
    """How long a session holds, and its second factor."""

    idle: timedelta
    lifetime: timedelta
    freshness: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCeiling:
    """How much a key without a ceiling of its own issues in a day; None or absent: any amount."""

    energy_wh: int | None = None
    money_minor: Mapping[str, int] = field(default_factory=dict)
    """By currency code."""
    token_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """Every policy as it holds at the moment of reading."""

    timezone: str
    refund_limit_minor: Mapping[str, int]
    """By currency code; a currency that is absent has none, so every refund takes two."""
    replacement_limit_wh: int
    free_units_month_wh: int
    disconnection: DisconnectionRule
    distinct_devices: bool
    session: SessionRule
    retention_months: int | None
    ceiling_credit: DayCeiling
    ceiling_free: DayCeiling
    ceiling_management: DayCeiling


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """One value that two people gave a policy; never edited, holds until the next one."""

    name: PolicyName
    version: int
    """From 1; 0 stands for the default, of which there is no row."""
    value: object
    valid_from: datetime
    changed_by: OperatorId
    approval_id: ApprovalId


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStanding:
    """What holds of one policy, and since which change of it."""

    name: PolicyName
    value: object
    version: int
    """0: the default."""

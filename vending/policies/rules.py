"""From the values that were set to the rules that hold; a value of another form is refused."""

import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vending.policies.errors import PolicyInvalidError
from vending.policies.model import (
    DEFAULTS,
    DayCeiling,
    DisconnectionRule,
    Policies,
    PolicyName,
    SessionRule,
)
from vending.values.money import Currency, UnknownCurrencyError

_N = PolicyName
NUMBER_MAX: Final = 10**15
"""More than any utility sells; a sum of a day stays within 64 bits."""
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOLIDAYS_MAX: Final = 100
_HOURS: Final = re.compile(
    r"(?P<start>([01][0-9]|2[0-3]):[0-5][0-9])-(?P<until>([01][0-9]|2[0-3]):[0-5][0-9]|24:00)"
)
_DAY_END: Final = "24:00"


def assemble(values: Mapping[PolicyName, object]) -> Policies:
    """Return the rules that the values make up; a policy that is left out has its default.

    Raises:
        PolicyInvalidError: A value is not of the form that its policy takes.
    """
    given = _Values({**DEFAULTS, **values})
    return Policies(
        timezone=given.timezone(_N.TIMEZONE),
        refund_limit_minor=given.amounts(_N.REFUND_LIMIT_MINOR),
        replacement_limit_wh=given.whole(_N.REPLACEMENT_LIMIT_WH, 0, NUMBER_MAX),
        free_units_month_wh=given.whole(_N.FREE_UNITS_MONTH_WH, 0, NUMBER_MAX),
        disconnection=given.disconnection(),
        distinct_devices=given.flag(_N.DISTINCT_DEVICES),
        session=SessionRule(
            idle=timedelta(minutes=given.whole(_N.SESSION_IDLE_MIN, 1, 240)),
            lifetime=timedelta(hours=given.whole(_N.SESSION_LIFETIME_H, 1, 24)),
            freshness=timedelta(minutes=given.whole(_N.SESSION_FRESH_MIN, 1, 60)),
        ),
        retention_months=given.whole_or_none(_N.RETENTION_MONTHS, 1, 1200),
        ceiling_credit=DayCeiling(
            energy_wh=given.whole_or_none(_N.CEILING_CREDIT_WH, 0, NUMBER_MAX),
            money_minor=given.amounts(_N.CEILING_CREDIT_MINOR),
            token_count=given.whole_or_none(_N.CEILING_CREDIT_TOKENS, 0, NUMBER_MAX),
        ),
        ceiling_free=DayCeiling(
            energy_wh=given.whole_or_none(_N.CEILING_FREE_WH, 0, NUMBER_MAX),
            token_count=given.whole_or_none(_N.CEILING_FREE_TOKENS, 0, NUMBER_MAX),
        ),
        ceiling_management=DayCeiling(
            token_count=given.whole_or_none(_N.CEILING_MANAGEMENT_TOKENS, 0, NUMBER_MAX)
        ),
    )


def check_value(name: PolicyName, value: object) -> None:
    """Go on only with a value that the policy takes.

    Raises:
        PolicyInvalidError: It does not.
    """
    assemble({name: value})


class _Values:
    """Values by policy, each read in its form or refused."""

    def __init__(self, values: Mapping[PolicyName, object]) -> None:
        self._values = values

    def whole(self, name: PolicyName, least: int, most: int) -> int:
        number = self.whole_or_none(name, least, most)
        if number is None:
            raise PolicyInvalidError(name, wanted=f"a whole number from {least} to {most}")
        return number

    def whole_or_none(self, name: PolicyName, least: int, most: int) -> int | None:
        value = self._values[name]
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise PolicyInvalidError(name, wanted=f"a whole number from {least} to {most}")
        return value

    def flag(self, name: PolicyName) -> bool:
        value = self._values[name]
        if not isinstance(value, bool):
            raise PolicyInvalidError(name, wanted="true or false")
        return value

    def amounts(self, name: PolicyName) -> dict[str, int]:
        value = self._values[name]
        wanted = 'whole minor units by currency, such as {"KES": 50000}'
        if not isinstance(value, Mapping):
            raise PolicyInvalidError(name, wanted=wanted)
        amounts: dict[str, int] = {}
        for code, minor in value.items():
            is_whole = isinstance(minor, int) and not isinstance(minor, bool)
            if not isinstance(code, str) or not is_whole or not 0 <= minor <= NUMBER_MAX:
                raise PolicyInvalidError(name, wanted=wanted)
            try:
                amounts[Currency(code).code] = minor
            except UnknownCurrencyError as error:
                raise PolicyInvalidError(name, wanted=wanted) from error
        return amounts

    def timezone(self, name: PolicyName) -> str:
        value = self._values[name]
        wanted = "an IANA time zone, such as Africa/Nairobi"
        if not isinstance(value, str):
            raise PolicyInvalidError(name, wanted=wanted)
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise PolicyInvalidError(name, wanted=wanted) from error
        return value

    def disconnection(self) -> DisconnectionRule:
        """Return the rule; without hours it allows nothing."""
        timezone = self.timezone(_N.TIMEZONE)
        weekdays = self._weekdays(_N.DISCONNECTION_WEEKDAYS)
        holidays = self._days(_N.DISCONNECTION_HOLIDAYS)
        hours = self._hours(_N.DISCONNECTION_HOURS)
        if hours is None:
            return DisconnectionRule(timezone=timezone, weekdays=frozenset(), holidays=holidays)
        start, until = hours
        return DisconnectionRule(
            timezone=timezone, start=start, until=until, weekdays=weekdays, holidays=holidays
        )

    def _hours(self, name: PolicyName) -> tuple[time, time | None] | None:
        value = self._values[name]
        if value is None:
            return None
        found = _HOURS.fullmatch(value) if isinstance(value, str) else None
        wanted = "hours such as 08:00-16:00, the second after the first, up to 24:00; or null"
        if found is None or found["start"] >= found["until"]:
            raise PolicyInvalidError(name, wanted=wanted)
        until = None if found["until"] == _DAY_END else time.fromisoformat(found["until"])
        return time.fromisoformat(found["start"]), until

    def _weekdays(self, name: PolicyName) -> frozenset[int]:
        value = self._values[name]
        days = value.split(",") if isinstance(value, str) else [""]
        if len(set(days)) != len(days) or not set(days) <= set(WEEKDAYS):
            wanted = "days of the week by commas, such as mon,tue,wed,thu,fri"
            raise PolicyInvalidError(name, wanted=wanted)
        return frozenset(WEEKDAYS.index(day) for day in days)

    def _days(self, name: PolicyName) -> frozenset[date]:
        value = self._values[name]
        if value is None:
            return frozenset()
        wanted = f"up to {HOLIDAYS_MAX} dates by commas, such as 2026-12-25,2026-12-26; or null"
        texts = value.split(",") if isinstance(value, str) else []
        if not 1 <= len(texts) <= HOLIDAYS_MAX:
            raise PolicyInvalidError(name, wanted=wanted)
        try:
            return frozenset(date.fromisoformat(text) for text in texts)
        except ValueError as error:
            raise PolicyInvalidError(name, wanted=wanted) from error

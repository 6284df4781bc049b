"""Pure decisions of custody: what fits under a ceiling, which is lower, what expires when."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from vending.custody.model import (
    ALARM_PERCENT,
    Ceiling,
    Count,
    ForecastLimits,
    KeyForecast,
    Measure,
    Severity,
    Suggestion,
    Use,
)
from vending.keystore.model import KeyDescription, KeyReference
from vending.sts import compute_expiry


def add_use(count: Count, use: Use) -> Count:
    """Return the count with one use more."""
    money = dict(count.money_minor)
    if use.money is not None:
        code = use.money.currency.code
        money[code] = money.get(code, 0) + use.money.minor
    return Count(
        energy_wh=count.energy_wh + use.energy_wh,
        money_minor=money,
        token_count=count.token_count + use.token_count,
    )


def subtract_use(count: Count, use: Use) -> Count:
    """Return the count with one use less, never below zero."""
    money = dict(count.money_minor)
    if use.money is not None:
        code = use.money.currency.code
        money[code] = max(0, money.get(code, 0) - use.money.minor)
    return Count(
        energy_wh=max(0, count.energy_wh - use.energy_wh),
        money_minor=money,
        token_count=max(0, count.token_count - use.token_count),
    )


def first_exceeded(count: Count, ceiling: Ceiling) -> Measure | None:
    """Return the first measure in which the count lies above its ceiling; None: in none."""
    return next((measure for measure, used, most in _pairs(count, ceiling) if used > most), None)


def near(count: Count, ceiling: Ceiling) -> set[Measure]:
    """Return the measures in which the count has come to 80 % of its ceiling."""
    return {
        measure
        for measure, used, most in _pairs(count, ceiling)
        if used > 0 and used * 100 >= most * ALARM_PERCENT
    }


def used_percent(count: Count, ceiling: Ceiling) -> dict[Measure, int]:
    """Return the share of each ceiling that is used, in whole percent, rounded down.

    Of several currencies, the one nearest its ceiling; a ceiling of zero counts as used up.
    """
    shares: dict[Measure, int] = {}
    for measure, used, most in _pairs(count, ceiling):
        share = used * 100 // most if most else 100
        shares[measure] = max(share, shares.get(measure, 0))
    return shares


def is_lowered(before: Ceiling, after: Ceiling) -> bool:
    """Return whether every ceiling stays or goes down: nothing is allowed that was not before."""
    currencies = before.money_minor.keys() | after.money_minor.keys()
    return (
        _is_at_most(after.energy_wh, before.energy_wh)
        and _is_at_most(after.token_count, before.token_count)
        and all(
            _is_at_most(after.money_minor.get(code), before.money_minor.get(code))
            for code in currencies
        )
    )


def _is_at_most(after: int | None, before: int | None) -> bool:
    if before is None:
        return True
    return after is not None and after <= before


def _pairs(count: Count, ceiling: Ceiling) -> Iterator[tuple[Measure, int, int]]:
    """Return each measure that has a ceiling: what is used, and the most that may be."""
    if ceiling.energy_wh is not None:
        yield Measure.ENERGY, count.energy_wh, ceiling.energy_wh
    for code, most in sorted(ceiling.money_minor.items()):
        yield Measure.MONEY, count.money_minor.get(code, 0), most
    if ceiling.token_count is not None:
        yield Measure.TOKENS, count.token_count, ceiling.token_count


def forecast(
    keys: Sequence[KeyDescription],
    meter_counts: Mapping[KeyReference, int],
    limits: ForecastLimits,
    *,
    now: datetime,
) -> list[KeyForecast]:
    """Return what becomes of each key, also of those that meters hold and the store lacks.

    What stands comes first, then what expires first; keys that no meter holds come last.
    """
    held = {key.register: key for key in keys}
    told = [
        _forecast_one(register, held, meter_counts.get(register, 0), limits, now=now)
        for register in sorted(held.keys() | meter_counts.keys())
    ]
    order = list(Severity)
    urgency = {Severity.STANDING: -1} | dict.fromkeys(order[:3], 0)
    last = datetime.max.replace(tzinfo=now.tzinfo)
    return sorted(told, key=lambda one: (urgency.get(one.severity, 1), one.expires_at or last))


def expiry_of(key: KeyDescription) -> datetime:
    """Return the first instant at which the key has expired."""
    return compute_expiry(key.attributes.base_date, key.attributes.ken)


def _forecast_one(
    register: KeyReference,
    held: Mapping[KeyReference, KeyDescription],
    meter_count: int,
    limits: ForecastLimits,
    *,
    now: datetime,
) -> KeyForecast:
    key = held.get(register)
    expires_at = None if key is None else expiry_of(key)
    is_retired = key is not None and key.retired_at is not None
    severity = _severity(expires_at, meter_count, limits, is_retired=is_retired, now=now)
    suggestion, target = Suggestion.NOTHING, None
    if severity not in {Severity.OK, Severity.UNUSED}:
        target = _find_target(register, key, held, now)
        suggestion = _suggestion(key, target, held)
    return KeyForecast(
        register=register,
        check_value=None if key is None else key.check_value,
        expires_at=expires_at,
        days_left=None if expires_at is None else (expires_at - now) // timedelta(days=1),
        is_retired=is_retired,
        meter_count=meter_count,
        severity=severity,
        suggestion=suggestion,
        target=target,
    )


def _severity(
    expires_at: datetime | None,
    meter_count: int,
    limits: ForecastLimits,
    *,
    is_retired: bool,
    now: datetime,
) -> Severity:
    if meter_count == 0:
        return Severity.UNUSED
    if expires_at is None or is_retired or expires_at <= now:
        return Severity.STANDING
    if expires_at - now <= limits.urgent:
        return Severity.URGENT
    return Severity.SOON if expires_at - now <= limits.soon else Severity.OK


def _find_target(
    register: KeyReference,
    key: KeyDescription | None,
    held: Mapping[KeyReference, KeyDescription],
    now: datetime,
) -> KeyReference | None:
    """Return the key of the supply group that lasts longest, and longer than the present one."""
    present = now if key is None or key.retired_at is not None else max(now, expiry_of(key))
    others = [
        other
        for other in held.values()
        if other.register.sgc == register.sgc
        and other.register.kt is register.kt
        and other.register != register
        and other.retired_at is None
        and expiry_of(other) > present
    ]
    best = max(others, key=lambda other: (expiry_of(other), other.register.krn), default=None)
    return None if best is None else best.register


def _suggestion(
    key: KeyDescription | None,
    target: KeyReference | None,
    held: Mapping[KeyReference, KeyDescription],
) -> Suggestion:
    if target is None:
        return Suggestion.OBTAIN_KEY
    is_later = key is not None and held[target].attributes.base_date is not key.attributes.base_date
    return Suggestion.BASE_DATE if is_later else Suggestion.KEY_REVISION

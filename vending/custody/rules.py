"""Pure decisions of custody: what fits under a ceiling, and which ceilings are lower."""

from collections.abc import Iterator

from vending.custody.model import ALARM_PERCENT, Ceiling, Count, Measure, Use


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

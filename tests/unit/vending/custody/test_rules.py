"""What fits under a ceiling, and which ceiling is lower than another."""

import pytest

from vending.custody.errors import CeilingInvalidError
from vending.custody.model import Ceiling, Count, Measure, Use, UseClass
from vending.custody.rules import (
    add_use,
    first_exceeded,
    is_lowered,
    near,
    subtract_use,
    used_percent,
)
from vending.keystore.model import KeyReference
from vending.sts import SGC, KeyType
from vending.values.money import Currency, Money

REGISTER = KeyReference(SGC("201457"), 1, KeyType.DUTK)
KES = Currency("KES")


def use(wh: int = 0, minor: int | None = None, tokens: int = 1) -> Use:
    return Use(
        register=REGISTER,
        use_class=UseClass.CREDIT,
        energy_wh=wh,
        money=None if minor is None else Money(minor, KES),
        token_count=tokens,
    )


def test_count_adds_up_by_measure_and_currency() -> None:
    count = add_use(add_use(Count(), use(100, 50)), use(200, 7, tokens=2))
    assert count == Count(energy_wh=300, money_minor={"KES": 57}, token_count=3)


def test_use_without_money_leaves_the_money_alone() -> None:
    assert add_use(Count(), use(100)).money_minor == {}


def test_giving_back_undoes_a_use_and_stops_at_zero() -> None:
    count = add_use(Count(), use(100, 50))
    assert subtract_use(count, use(100, 50)) == Count(money_minor={"KES": 0})
    assert subtract_use(Count(), use(100, 50)) == Count(money_minor={"KES": 0})


@pytest.mark.parametrize(
    ("ceiling", "exceeded"),
    [
        (Ceiling(), None),
        (Ceiling(energy_wh=300, money_minor={"KES": 57}, token_count=3), None),
        (Ceiling(energy_wh=299), Measure.ENERGY),
        (Ceiling(money_minor={"KES": 56}), Measure.MONEY),
        (Ceiling(money_minor={"UGX": 0}), None),
        (Ceiling(token_count=2), Measure.TOKENS),
        (Ceiling(energy_wh=0, token_count=0), Measure.ENERGY),
    ],
)
def test_count_exceeds_a_ceiling_from_the_first_unit_above(
    ceiling: Ceiling, exceeded: Measure | None
) -> None:
    count = Count(energy_wh=300, money_minor={"KES": 57}, token_count=3)
    assert first_exceeded(count, ceiling) is exceeded


@pytest.mark.parametrize(("used", "is_near"), [(79, False), (80, True), (100, True)])
def test_count_is_near_from_eighty_percent(used: int, *, is_near: bool) -> None:
    found = near(Count(token_count=used), Ceiling(token_count=100))
    assert found == ({Measure.TOKENS} if is_near else set())


def test_nothing_used_is_near_no_ceiling() -> None:
    assert near(Count(), Ceiling(energy_wh=0, token_count=0)) == set()


def test_share_is_told_of_each_measure_and_the_worst_currency() -> None:
    count = Count(energy_wh=1, money_minor={"KES": 99, "UGX": 1}, token_count=0)
    ceiling = Ceiling(energy_wh=3, money_minor={"KES": 100, "UGX": 100}, token_count=0)
    assert used_percent(count, ceiling) == {
        Measure.ENERGY: 33,
        Measure.MONEY: 99,
        Measure.TOKENS: 100,
    }


@pytest.mark.parametrize(
    ("before", "after", "lowered"),
    [
        (Ceiling(), Ceiling(), True),
        (Ceiling(), Ceiling(energy_wh=1), True),
        (Ceiling(energy_wh=2), Ceiling(energy_wh=1), True),
        (Ceiling(energy_wh=1), Ceiling(energy_wh=2), False),
        (Ceiling(energy_wh=1), Ceiling(), False),
        (Ceiling(energy_wh=2, token_count=1), Ceiling(energy_wh=1, token_count=2), False),
        (Ceiling(money_minor={"KES": 5}), Ceiling(money_minor={"KES": 5, "UGX": 1}), True),
        (Ceiling(money_minor={"KES": 5}), Ceiling(money_minor={"UGX": 1}), False),
    ],
)
def test_ceiling_is_lowered_when_nothing_in_it_rises(
    before: Ceiling, after: Ceiling, *, lowered: bool
) -> None:
    assert is_lowered(before, after) is lowered


@pytest.mark.parametrize(
    "numbers", [{"energy_wh": -1}, {"money_minor": {"KES": -1}}, {"token_count": -1}]
)
def test_negative_ceiling_is_refused(numbers: dict[str, object]) -> None:
    with pytest.raises(CeilingInvalidError):
        Ceiling(**numbers)  # type: ignore[arg-type] # each row names one field

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from vending.tariffs.errors import TariffInvalidError
from vending.tariffs.model import PRICE_MICRO_MAX, Tariff
from vending.tariffs.rules import compute_quote
from vending.values.money import Currency, Money

MakeTariff = Callable[..., Tariff]
KES = Currency("KES")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": ""}, "code"),
        ({"code": "a b"}, "code"),
        ({"code": "x" * 33}, "code"),
        ({"price_per_kwh_micro": 0}, "price_per_kwh_micro"),
        ({"price_per_kwh_micro": PRICE_MICRO_MAX + 1}, "price_per_kwh_micro"),
        ({"vat_basis_points": -1}, "vat_basis_points"),
        ({"vat_basis_points": 10_001}, "vat_basis_points"),
    ],
)
def test_a_tariff_outside_its_limits_is_refused(
    make_tariff: MakeTariff, change: dict[str, object], field: str
) -> None:
    with pytest.raises(TariffInvalidError) as refused:
        replace(make_tariff(), **change)  # type: ignore[arg-type] # the table mixes field types
    assert refused.value.facts["field"] == field


def test_a_tariff_starts_at_an_instant_in_utc(make_tariff: MakeTariff) -> None:
    with pytest.raises(AssertionError, match="UTC"):
        make_tariff(effective_from=datetime(2026, 1, 1))  # noqa: DTZ001 # the fault under test


@pytest.mark.parametrize(
    "change",
    [
        {"tender": Money(100_01, KES)},
        {"units_on_token": 42},
        {"net": Money(-1, KES), "vat": Money(99_77, KES)},
        {"brought_forward": Money(-1, KES), "tender": Money(100_01, KES)},
        {"carried_forward": Money(-1, KES), "net": Money(86_25, KES)},
    ],
)
def test_a_quote_that_breaks_its_law_cannot_be_made(
    make_tariff: MakeTariff, change: dict[str, object]
) -> None:
    quote = compute_quote(Money(100_00, KES), Money(0, KES), make_tariff())
    with pytest.raises(AssertionError):
        replace(quote, **change)  # type: ignore[arg-type] # the table mixes field types

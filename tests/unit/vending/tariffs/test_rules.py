from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from vending.errors import VendingError
from vending.tariffs import errors
from vending.tariffs.model import Tariff
from vending.tariffs.rules import (
    UNITS_PER_SALE_MAX,
    check_new_version,
    choose_version,
    compute_maximum_tender,
    compute_minimum_tender,
    compute_quote,
    parse_price_per_kwh,
    parse_vat_percent,
)
from vending.values.money import Currency, Money

KES = Currency("KES")
START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MakeTariff = Callable[..., Tariff]


def kes(minor: int) -> Money:
    return Money(minor, KES)


def test_quote_cuts_energy_down_and_carries_the_rest(make_tariff: MakeTariff) -> None:
    # 20.00 KES a kWh and 16 % VAT are 2.32 KES a unit: 100.00 buys 43 units for 99.76.
    quote = compute_quote(kes(100_00), kes(0), make_tariff())
    assert quote.units == quote.units_on_token == 43
    assert quote.gross == kes(99_76)
    assert quote.vat == kes(13_76)
    assert quote.net == kes(86_00)
    assert quote.carried_forward == kes(24)
    assert quote.rounding_expense == kes(0)
    assert str(quote.energy) == str(quote.energy_on_token) == "4.300 kWh"


def test_quote_adds_the_credit_brought_forward(make_tariff: MakeTariff) -> None:
    quote = compute_quote(kes(100_00), kes(2_08), make_tariff())
    assert quote.units == 44
    assert quote.gross == kes(102_08)
    assert quote.carried_forward == kes(0)


def test_quote_without_tax_has_no_tax(make_tariff: MakeTariff) -> None:
    quote = compute_quote(kes(100_00), kes(0), make_tariff(vat_basis_points=0))
    assert quote.vat == kes(0)
    assert quote.net == kes(100_00)


@pytest.mark.parametrize(
    ("currency", "price_micro", "tender_minor", "units"),
    [
        ("UGX", 775_700_000, 10_000, 128),  # no decimals
        ("KES", 21_500_000, 50_00, 23),
        ("TND", 178_000, 5_000, 280),  # three decimals
    ],
)
def test_quote_knows_the_decimals_of_the_currency(
    make_tariff: MakeTariff, currency: str, price_micro: int, tender_minor: int, units: int
) -> None:
    tariff = make_tariff(price_micro, currency=currency, vat_basis_points=0)
    tender = Money(tender_minor, Currency(currency))
    quote = compute_quote(tender, Money(0, Currency(currency)), tariff)
    assert quote.units == units


def test_quote_books_what_the_coarse_code_gives_away(make_tariff: MakeTariff) -> None:
    # 16,385 units lie between the codes for 16,384 and 16,394: nine units are given away.
    tariff = make_tariff(vat_basis_points=0)
    quote = compute_quote(kes(16_385 * 200), kes(0), tariff)
    assert quote.units == 16_385
    assert quote.units_on_token == 16_394
    assert quote.rounding_expense == kes(9 * 200)
    assert quote.net == kes(16_385 * 200)


def test_minimum_is_the_price_of_a_unit_rounded_up(make_tariff: MakeTariff) -> None:
    tariff = make_tariff(20_015_000)  # 2.32174 KES a unit
    assert compute_minimum_tender(kes(0), tariff) == kes(233)
    assert compute_minimum_tender(kes(200), tariff) == kes(33)
    assert compute_minimum_tender(kes(5_00), tariff) == kes(1)


def test_the_minimum_is_accepted_and_one_less_refused(make_tariff: MakeTariff) -> None:
    tariff = make_tariff(20_015_000)
    assert compute_quote(kes(233), kes(0), tariff).units == 1
    with pytest.raises(errors.AmountTooLowError) as refused:
        compute_quote(kes(232), kes(0), tariff)
    assert refused.value.minimum == kes(233)
    assert refused.value.facts == {
        "tender_minor": 232, "minimum_minor": 233, "currency": "KES",
    }  # fmt: skip


@pytest.mark.parametrize("tender_minor", [0, -1])
def test_nothing_tendered_is_refused_even_where_the_credit_suffices(
    make_tariff: MakeTariff, tender_minor: int
) -> None:
    with pytest.raises(errors.AmountTooLowError) as refused:
        compute_quote(kes(tender_minor), kes(100_00), make_tariff())
    assert refused.value.minimum == kes(1)


def test_the_maximum_is_accepted_and_one_more_refused(make_tariff: MakeTariff) -> None:
    tariff = make_tariff()
    maximum = compute_maximum_tender(kes(0), tariff)
    quote = compute_quote(maximum, kes(0), tariff)
    assert quote.units == UNITS_PER_SALE_MAX
    assert quote.units_on_token - quote.units < 10
    with pytest.raises(errors.AmountTooHighError) as refused:
        compute_quote(maximum + kes(1), kes(0), tariff)
    assert refused.value.maximum == maximum
    assert refused.value.facts["maximum_minor"] == maximum.minor


def test_the_maximum_counts_the_credit(make_tariff: MakeTariff) -> None:
    tariff = make_tariff()
    whole = compute_maximum_tender(kes(0), tariff)
    assert compute_maximum_tender(kes(1_00), tariff) == whole - kes(1_00)
    assert compute_maximum_tender(whole + kes(1_00), tariff) == kes(0)


def test_another_currency_is_refused(make_tariff: MakeTariff) -> None:
    euro = Money(100, Currency("EUR"))
    with pytest.raises(errors.WrongCurrencyError, match="in KES, not in EUR"):
        compute_quote(euro, kes(0), make_tariff())
    with pytest.raises(errors.WrongCurrencyError):
        compute_quote(kes(100_00), euro, make_tariff())


def test_a_negative_credit_is_our_own_fault(make_tariff: MakeTariff) -> None:
    with pytest.raises(AssertionError, match="never negative"):
        compute_quote(kes(100_00), kes(-1), make_tariff())


def test_the_last_version_to_have_started_holds(make_tariff: MakeTariff) -> None:
    first = make_tariff(version=1, effective_from=START)
    second = make_tariff(version=2, effective_from=START + DAY)
    assert choose_version([second, first], "RES-1", START) is first
    assert choose_version([first, second], "RES-1", START + DAY - timedelta.resolution) is first
    assert choose_version([first, second], "RES-1", START + DAY) is second


def test_no_version_holds_before_the_first(make_tariff: MakeTariff) -> None:
    with pytest.raises(errors.TariffNotFoundError, match="RES-1 has no version effective"):
        choose_version([make_tariff()], "RES-1", START - timedelta.resolution)
    with pytest.raises(errors.TariffNotFoundError):
        choose_version([make_tariff()], "OTHER", START)


def test_versions_count_from_one(make_tariff: MakeTariff) -> None:
    first = make_tariff()
    assert check_new_version(first, None, START) == 1
    later = make_tariff(effective_from=START + DAY)
    assert check_new_version(later, first, START) == 2


@pytest.mark.parametrize(
    ("draft", "refusal"),
    [
        ({"effective_from": START - timedelta.resolution}, errors.TariffBackdatedError),
        ({"effective_from": START + DAY}, errors.TariffOverlapError),
        (
            {"effective_from": START + 2 * DAY, "currency": "UGX"},
            errors.TariffCurrencyFixedError,
        ),
    ],
)
def test_a_version_is_refused(
    make_tariff: MakeTariff, draft: dict[str, object], refusal: type[VendingError]
) -> None:
    latest = make_tariff(effective_from=START + DAY)
    with pytest.raises(refusal):
        check_new_version(make_tariff(**draft), latest, START)


def test_a_price_that_no_amount_can_pay_is_refused(make_tariff: MakeTariff) -> None:
    # One shilling would buy 100,000 kWh, more than a token codes to within 1 kWh.
    with pytest.raises(errors.TariffInvalidError, match="smallest amount of UGX"):
        check_new_version(make_tariff(1, currency="UGX"), None, START)


@pytest.mark.parametrize(
    ("text", "micro"), [("21.5", 21_500_000), (" 0.000001 ", 1), ("775", 775_000_000)]
)
def test_prices_are_read_exactly(text: str, micro: int) -> None:
    assert parse_price_per_kwh(text) == micro


@pytest.mark.parametrize("text", ["", "1,5", "1.0000001", "-1", "1e3", ".5", "٣"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(errors.TariffInvalidError, match="price_per_kwh"):
        parse_price_per_kwh(text)


@pytest.mark.parametrize(("text", "points"), [("16", 1600), ("7.5", 750), ("16.00 %", 1600)])
def test_percentages_are_read_exactly(text: str, points: int) -> None:
    assert parse_vat_percent(text) == points


@pytest.mark.parametrize("text", ["", "16,0", "7.555", "-1", "%"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(errors.TariffInvalidError, match="vat_percent"):
        parse_vat_percent(text)

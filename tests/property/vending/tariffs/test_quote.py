from datetime import UTC, datetime
from fractions import Fraction
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from vending.tariffs.errors import AmountTooHighError, AmountTooLowError
from vending.tariffs.model import Quote, Tariff
from vending.tariffs.rules import (
    UNITS_PER_SALE_MAX,
    compute_maximum_tender,
    compute_minimum_tender,
    compute_quote,
)
from vending.values.identifiers import TariffId
from vending.values.money import Currency, Money

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)

tariffs = st.builds(
    Tariff,
    id=st.just(TariffId(UUID(int=1))),
    code=st.just("RES-1"),
    version=st.just(1),
    currency=st.sampled_from(["UGX", "KES", "TND"]).map(Currency),
    price_per_kwh_micro=st.integers(1, 1_000_000_000),
    vat_basis_points=st.integers(0, 3_000),
    effective_from=st.just(START),
)
tenders = st.one_of(st.integers(1, 10**12), st.integers(1, 10**6))
credits_minor = st.integers(0, 10**6)


def exact_price(tariff: Tariff, units: int) -> Fraction:
    """The price of units with VAT in minor units, by another arithmetic than the product's."""
    minor_per_major: int = 10**tariff.currency.exponent
    per_kwh = Fraction(tariff.price_per_kwh_micro * minor_per_major, 10**6)
    return per_kwh / 10 * units * (1 + Fraction(tariff.vat_basis_points, 10_000))


def quote_or_refusal(
    tariff: Tariff, tender_minor: int, credit_minor: int
) -> Quote | AmountTooLowError | AmountTooHighError:
    tender = Money(tender_minor, tariff.currency)
    try:
        return compute_quote(tender, Money(credit_minor, tariff.currency), tariff)
    except (AmountTooLowError, AmountTooHighError) as refusal:
        return refusal


@given(tariffs, tenders, credits_minor)
def test_every_minor_unit_is_accounted_for(
    tariff: Tariff, tender_minor: int, credit_minor: int
) -> None:
    quote = quote_or_refusal(tariff, tender_minor, credit_minor)
    if not isinstance(quote, Quote):
        return
    available = tender_minor + credit_minor
    assert quote.net.minor + quote.vat.minor + quote.carried_forward.minor == available
    assert abs(quote.gross.minor - exact_price(tariff, quote.units)) <= Fraction(1, 2)


@given(tariffs, tenders, credits_minor)
def test_energy_is_cut_down_to_the_last_unit_that_is_paid(
    tariff: Tariff, tender_minor: int, credit_minor: int
) -> None:
    quote = quote_or_refusal(tariff, tender_minor, credit_minor)
    if not isinstance(quote, Quote):
        return
    available = tender_minor + credit_minor
    assert exact_price(tariff, quote.units) <= available < exact_price(tariff, quote.units + 1)
    assert quote.carried_forward.minor <= exact_price(tariff, 1) + Fraction(1, 2)


@given(tariffs, tenders, credits_minor)
def test_the_token_never_gives_less_nor_a_whole_kwh_more(
    tariff: Tariff, tender_minor: int, credit_minor: int
) -> None:
    quote = quote_or_refusal(tariff, tender_minor, credit_minor)
    if not isinstance(quote, Quote):
        return
    given_away = quote.units_on_token - quote.units
    assert 0 <= given_away < 10
    assert quote.units > 16_383 or given_away == 0
    net_value = exact_price(tariff, given_away) / (1 + Fraction(tariff.vat_basis_points, 10_000))
    assert abs(quote.rounding_expense.minor - net_value) <= Fraction(1, 2)


@given(tariffs, tenders, credits_minor)
def test_the_limits_that_a_refusal_names_are_the_true_ones(
    tariff: Tariff, tender_minor: int, credit_minor: int
) -> None:
    refusal = quote_or_refusal(tariff, tender_minor, credit_minor)
    if isinstance(refusal, AmountTooLowError):
        assert tender_minor < refusal.minimum.minor
    if isinstance(refusal, AmountTooHighError):
        assert tender_minor > refusal.maximum.minor


@given(tariffs, credits_minor)
def test_both_limits_sell_unless_no_amount_fits(tariff: Tariff, credit_minor: int) -> None:
    credit = Money(credit_minor, tariff.currency)
    minimum = compute_minimum_tender(credit, tariff)
    maximum = compute_maximum_tender(credit, tariff)
    if maximum.minor < minimum.minor:
        return
    least = compute_quote(minimum, credit, tariff)
    most = compute_quote(maximum, credit, tariff)
    assert 1 <= least.units <= most.units <= UNITS_PER_SALE_MAX
    refused = quote_or_refusal(tariff, maximum.minor + 1, credit_minor)
    assert isinstance(refused, AmountTooHighError)


@given(tariffs, st.integers(1, 10**9), st.integers(1, 10**6))
def test_more_money_never_buys_less(tariff: Tariff, tender_minor: int, more_minor: int) -> None:
    less = quote_or_refusal(tariff, tender_minor, 0)
    more = quote_or_refusal(tariff, tender_minor + more_minor, 0)
    if isinstance(less, Quote) and isinstance(more, Quote):
        assert more.units >= less.units
        assert more.units_on_token >= less.units_on_token


@given(tariffs, st.lists(st.integers(1, 10**7), min_size=1, max_size=8))
def test_small_purchases_lose_nothing_against_one_large_one(
    tariff: Tariff, tender_minors: list[int]
) -> None:
    """The credit carried from sale to sale makes splitting a purchase worth neither more nor less.

    Each sale rounds its gross price by at most half a minor unit.
    """
    credit_minor = paid_units = 0
    for tender_minor in tender_minors:
        quote = quote_or_refusal(tariff, tender_minor, credit_minor)
        if not isinstance(quote, Quote):
            return
        credit_minor = quote.carried_forward.minor
        paid_units += quote.units
    spent = sum(tender_minors) - credit_minor
    assert abs(spent - exact_price(tariff, paid_units)) <= Fraction(len(tender_minors), 2)

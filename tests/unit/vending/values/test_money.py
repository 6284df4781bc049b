import pytest

from vending.values.money import (
    Currency,
    Money,
    MoneyFormatError,
    UnknownCurrencyError,
    divide_half_up,
)

KES, UGX, KWD = Currency("KES"), Currency("UGX"), Currency("KWD")


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("50.00", KES, 5000), ("50", KES, 5000), ("50.5", KES, 5050), (" 0.01 ", KES, 1),
        ("-0.05", KES, -5), ("0", KES, 0), ("007", KES, 700), ("100", UGX, 100),
        ("1.234", KWD, 1234), ("999999999999.99", KES, 99_999_999_999_999),
    ],
)  # fmt: skip
def test_amount_is_parsed_in_the_places_of_its_currency(
    text: str, currency: Currency, minor: int
) -> None:
    assert Money.parse(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("", KES), (".5", KES), ("5.", KES), ("1,000", KES), ("1e3", KES), ("+1", KES),
        ("0.001", KES), ("1.5", UGX), ("1 000", KES), ("0x10", KES), ("NaN", KES), ("--1", KES),
        ("1234567890123", KES), ("1\n2", KES), ("\u0661\u0662", KES), ("\uff11", KES),
    ],
)  # fmt: skip
def test_text_that_is_no_amount_is_refused(text: str, currency: Currency) -> None:
    with pytest.raises(MoneyFormatError, match=f"no amount of {currency}"):
        Money.parse(text, currency)


@pytest.mark.parametrize(
    ("money", "decimal"),
    [
        (Money(5000, KES), "50.00"), (Money(5, KES), "0.05"), (Money(-5, KES), "-0.05"),
        (Money(0, KES), "0.00"), (Money(-100, UGX), "-100"), (Money(1, KWD), "0.001"),
    ],
)  # fmt: skip
def test_amount_is_shown_in_the_places_of_its_currency(money: Money, decimal: str) -> None:
    assert money.to_decimal() == decimal
    assert str(money) == f"{decimal} {money.currency}"
    assert Money.parse(decimal, money.currency) == money


def test_amounts_of_one_currency_add() -> None:
    assert Money(3, KES) + Money(4, KES) == Money(7, KES)
    assert Money(3, KES) - Money(4, KES) == -Money(1, KES)


def test_amounts_of_two_currencies_do_not_add() -> None:
    with pytest.raises(ValueError, match="KES and UGX do not add"):
        Money(1, KES) + Money(1, UGX)
    with pytest.raises(ValueError, match="KES and UGX do not add"):
        Money(1, KES) - Money(1, UGX)


@pytest.mark.parametrize("code", ["", "kes", "KESS", "ZZZ", "K\u00c9S", "XX", "123"])
def test_unknown_currency_is_refused(code: str) -> None:
    with pytest.raises(UnknownCurrencyError, match="no ISO 4217 currency"):
        Currency(code)


@pytest.mark.parametrize(
    ("numerator", "denominator", "quotient"),
    [
        (0, 3, 0), (1, 3, 0), (2, 3, 1), (1, 2, 1), (-1, 2, -1), (-1, 3, 0), (3, 2, 2),
        (5, 10, 1), (4, 10, 0), (-15, 10, -2), (10**30 + 1, 2, 5 * 10**29 + 1),
    ],
)  # fmt: skip
def test_half_is_rounded_away_from_zero(numerator: int, denominator: int, quotient: int) -> None:
    assert divide_half_up(numerator, denominator) == quotient


@pytest.mark.parametrize("denominator", [0, -1])
def test_divisor_of_money_is_positive(denominator: int) -> None:
    with pytest.raises(AssertionError):
        divide_half_up(1, denominator)

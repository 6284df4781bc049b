from fractions import Fraction
from itertools import pairwise

import pytest

from vending.sts.amount import (
    LARGEST_CURRENCY_AMOUNT,
    LARGEST_TRANSFER_AMOUNT,
    decode_currency_amount,
    decode_transfer_amount,
    encode_currency_amount,
    encode_transfer_amount,
    round_transfer_amount,
)
from vending.sts.errors import AmountTooLargeError, NegativeAmountError

EXPONENT_1, EXPONENT_2, EXPONENT_3 = 1 << 14, 2 << 14, 3 << 14


@pytest.mark.parametrize(
    ("units", "code", "received"),
    [
        (0, 0, 0),
        (1, 1, 1),
        (16383, 16383, 16383),
        (16384, EXPONENT_1, 16384),
        (16385, EXPONENT_1 + 1, 16394),
        (16394, EXPONENT_1 + 1, 16394),
        (180214, EXPONENT_1 + 16383, 180214),
        (180215, EXPONENT_2, 180224),
        (180224, EXPONENT_2, 180224),
        (180225, EXPONENT_2 + 1, 180324),
        (1818525, EXPONENT_3, 1818624),
        (1818625, EXPONENT_3 + 1, 1819624),
        (18201624, EXPONENT_3 + 16383, 18201624),
    ],
)
def test_transfer_amount_between_two_codes_is_rounded_up(
    units: int, code: int, received: int
) -> None:
    assert encode_transfer_amount(units) == code
    assert decode_transfer_amount(code) == received
    assert round_transfer_amount(units) == received


def test_part_below_the_unit_is_rounded_up() -> None:
    assert encode_transfer_amount(Fraction(1, 10)) == 1
    assert encode_transfer_amount(Fraction(16383001, 1000)) == EXPONENT_1


def test_codes_rise_with_their_amounts() -> None:
    amounts = [decode_transfer_amount(code) for code in range(1 << 16)]
    assert all(low < high for low, high in pairwise(amounts))
    assert [encode_transfer_amount(units) for units in amounts] == list(range(1 << 16))
    assert amounts[-1] == LARGEST_TRANSFER_AMOUNT == 18201624


def test_transfer_amount_above_the_largest_is_refused() -> None:
    with pytest.raises(AmountTooLargeError, match="18201625 units are more than the 18201624"):
        encode_transfer_amount(LARGEST_TRANSFER_AMOUNT + 1)
    with pytest.raises(AmountTooLargeError):
        encode_transfer_amount(LARGEST_TRANSFER_AMOUNT + Fraction(1, 100))


@pytest.mark.parametrize("units", [-1, Fraction(-1, 10)])
def test_transfer_amount_below_zero_is_refused(units: int | Fraction) -> None:
    with pytest.raises(NegativeAmountError):
        encode_transfer_amount(units)


@pytest.mark.parametrize(
    ("units", "received"),
    [
        (0, 0),
        (16385, 16394),
        (-16385, -16384),
        (-16384, -16384),
        (-180223, -180214),
        (Fraction(1, 2), 1),
        (Fraction(-1, 2), 0),
        (Fraction(-3, 2), -1),
        (LARGEST_CURRENCY_AMOUNT, LARGEST_CURRENCY_AMOUNT),
        (-LARGEST_CURRENCY_AMOUNT, -LARGEST_CURRENCY_AMOUNT),
    ],
)
def test_currency_amount_is_rounded_towards_plus_infinity(
    units: int | Fraction, received: int
) -> None:
    assert decode_currency_amount(encode_currency_amount(units)) == received


def test_currency_code_is_sign_exponent_mantissa() -> None:
    assert encode_currency_amount(-100_000) >> 19 == 1
    assert encode_currency_amount(100_000) >> 19 == 0
    assert encode_currency_amount(LARGEST_CURRENCY_AMOUNT) == (1 << 19) - 1


@pytest.mark.parametrize("units", [0, Fraction(-1, 2)])
def test_zero_has_sign_0(units: int | Fraction) -> None:
    assert encode_currency_amount(units) == 0


def test_zero_with_the_sign_set_is_read_as_zero() -> None:
    assert decode_currency_amount(1 << 19) == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_currency_amount_beyond_the_largest_is_refused(sign: int) -> None:
    with pytest.raises(AmountTooLargeError):
        encode_currency_amount(sign * (LARGEST_CURRENCY_AMOUNT + 1))

"""Amounts in 16 and 20 bits, by exponent and mantissa (IEC 62055-41, transfer amount).

Exponent e and mantissa m stand for m * 10^e plus the sum over n = 1..e of 2^14 * 10^(n-1), so
each exponent takes up where the one below it ends. Not every amount has a code: one that lies
between two codes is rounded in the customer's favour, and so is any part below the unit.

A transfer amount has e = 0..3; its unit is 0.1 kWh (0.1 m3, 0.1 minute), or 1 W where a power
limit is coded. A currency amount has e = 0..31 and a sign; its unit is 0.00001 of the currency.
"""

from fractions import Fraction
from math import ceil
from typing import Final

from vending.sts.bits import Bits16
from vending.sts.errors import AmountTooLargeError, NegativeAmountError

MANTISSA_WIDTH: Final = 14
_MANTISSA_COUNT: Final = 1 << MANTISSA_WIDTH
_MANTISSA_MASK: Final = _MANTISSA_COUNT - 1


def _first_amounts(exponent_count: int) -> tuple[int, ...]:
    """Return, for each exponent, the amount at mantissa 0."""
    amounts = [0]
    for exponent in range(exponent_count - 1):
        amounts.append(amounts[-1] + _MANTISSA_COUNT * 10**exponent)
    return tuple(amounts)


_TRANSFER_FIRSTS: Final = _first_amounts(4)
_CURRENCY_FIRSTS: Final = _first_amounts(32)

LARGEST_TRANSFER_AMOUNT: Final = _TRANSFER_FIRSTS[-1] + _MANTISSA_MASK * 10**3
"""18,201,624 units: the most that one token carries."""

LARGEST_CURRENCY_AMOUNT: Final = _CURRENCY_FIRSTS[-1] + _MANTISSA_MASK * 10**31
"""The most that one currency token carries, either way, in units of 0.00001."""

CURRENCY_UNITS_PER_ONE: Final = 100_000
"""A currency token counts in 0.00001 of the currency."""

_CURRENCY_SIGN: Final = 1 << 19


def _decode_magnitude(code: int) -> int:
    exponent, mantissa = code >> MANTISSA_WIDTH, code & _MANTISSA_MASK
    step: int = 10**exponent
    return _CURRENCY_FIRSTS[exponent] + mantissa * step


def _encode_rounded_down(units: int) -> int:
    """Return the largest code whose amount is not above `units`."""
    exponent = 0
    while exponent + 1 < len(_CURRENCY_FIRSTS) and units >= _CURRENCY_FIRSTS[exponent + 1]:
        exponent += 1
    step: int = 10**exponent
    mantissa = min((units - _CURRENCY_FIRSTS[exponent]) // step, _MANTISSA_MASK)
    return exponent << MANTISSA_WIDTH | mantissa


def _encode_rounded_up(units: int) -> int:
    """Return the smallest code whose amount is not below `units`.

    Codes count upwards with their amounts: the one after the last mantissa is the next
    exponent with mantissa 0, so rounding up is adding one.
    """
    code = _encode_rounded_down(units)
    return code if _decode_magnitude(code) == units else code + 1


def encode_transfer_amount(units: int | Fraction) -> Bits16:
    """Return the 16-bit code of an amount, rounded up to the next code.

    Raises:
        NegativeAmountError: The amount is below zero.
        AmountTooLargeError: The amount is above `LARGEST_TRANSFER_AMOUNT`.
    """
    whole = ceil(units)
    if units < 0:
        raise NegativeAmountError(units=whole)
    if whole <= _MANTISSA_MASK:
        return Bits16(whole)
    if whole > LARGEST_TRANSFER_AMOUNT:
        raise AmountTooLargeError(units=whole, largest=LARGEST_TRANSFER_AMOUNT)
    return Bits16(_encode_rounded_up(whole))


def decode_transfer_amount(code: int) -> int:
    """Return the units that a 16-bit code stands for."""
    return _decode_magnitude(code)


def round_transfer_amount(units: int | Fraction) -> int:
    """Return the units that a meter receives when `units` are sold: never fewer.

    Raises:
        NegativeAmountError: The amount is below zero.
        AmountTooLargeError: The amount is above `LARGEST_TRANSFER_AMOUNT`.
    """
    return decode_transfer_amount(encode_transfer_amount(units))


def encode_currency_amount(units: int | Fraction) -> int:
    """Return the 20-bit code of a currency amount: sign, 5 bits of exponent, 14 of mantissa.

    Rounded towards plus infinity: a credit up, a negative amount towards zero. Zero has
    sign 0.

    Raises:
        AmountTooLargeError: The amount, without its sign, is above `LARGEST_CURRENCY_AMOUNT`.
    """
    whole = ceil(units)
    if abs(whole) > LARGEST_CURRENCY_AMOUNT:
        raise AmountTooLargeError(units=whole, largest=LARGEST_CURRENCY_AMOUNT)
    if whole < 0:
        return _CURRENCY_SIGN | _encode_rounded_down(-whole)
    return _encode_rounded_up(whole)


def decode_currency_amount(code: int) -> int:
    """Return the units of 0.00001 that a 20-bit code stands for.

    No issuer writes a zero with the sign set; we read it as zero.
    """
    magnitude = _decode_magnitude(code & ~_CURRENCY_SIGN)
    return -magnitude if code & _CURRENCY_SIGN else magnitude

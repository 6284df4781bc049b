"""The token carrier data unit: 66 bits and their 20 digits (IEC 62055-41 and IEC 62055-51).

The two class bits do not stay on top. They change places with bits 28 and 27 of the block, so
that the first digit of a token does not give its class away.
"""

from enum import IntEnum
from typing import Final, NewType, Self

from vending.sts.bits import Bits66
from vending.sts.digits import is_digits
from vending.sts.errors import FieldRangeError

TokenDigits = NewType("TokenDigits", str)
"""A token as the customer keys it in: 20 digits, no spaces."""

TOKEN_DIGIT_COUNT: Final = 20
TOKEN_LIMIT: Final = 1 << 66
"""20 digits can exceed 66 bits; from here on they are no token."""

_CLASS_SHIFT: Final = 64
_TRANSPOSED_SHIFT: Final = 27


class TokenCarrierType(IntEnum):
    """TCT: on what a meter receives its tokens."""

    MAGNETIC_CARD = 1
    NUMERIC = 2
    VIRTUAL = 7

    @classmethod
    def _missing_(cls, value: object) -> Self:
        raise FieldRangeError(field="TCT", given=str(value), allowed="1, 2, 7")


def transpose(token: Bits66) -> Bits66:
    """Return the 66 bits with bits 65 and 64 exchanged for bits 28 and 27; its own inverse."""
    difference = (token >> _CLASS_SHIFT ^ token >> _TRANSPOSED_SHIFT) & 0b11
    return Bits66(token ^ (difference << _CLASS_SHIFT | difference << _TRANSPOSED_SHIFT))


def to_digits(token: Bits66) -> TokenDigits:
    """Return the 20 digits of a token, transposed on the way."""
    return TokenDigits(f"{transpose(token):020}")


def from_digits(digits: str) -> Bits66 | None:
    """Return the token of 20 digits, transposition undone; `None`: they are no token.

    No token: other than exactly 20 digits, or a number of more than 66 bits.
    """
    if len(digits) != TOKEN_DIGIT_COUNT or not is_digits(digits):
        return None
    number = int(digits)
    return transpose(Bits66(number)) if number < TOKEN_LIMIT else None

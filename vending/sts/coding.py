"""How a token's values stand in bits: number, amount, TID, key part (IEC 62055-41, token data).

A `Coding` turns one kind of value into bits and back; a `Field` gives it a place in a layout.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from enum import IntEnum
from operator import index
from typing import Final

from vending.sts.amount import (
    LARGEST_CURRENCY_AMOUNT,
    LARGEST_TRANSFER_AMOUNT,
    decode_currency_amount,
    decode_transfer_amount,
    encode_currency_amount,
    encode_transfer_amount,
)
from vending.sts.errors import FieldRangeError
from vending.sts.keys import KEN_RANGE, KRN_RANGE, LARGEST_SGC, LARGEST_TI, TI, KeyType
from vending.sts.results import TokenResult
from vending.sts.tid import LARGEST_TID, TokenIdentifier

KEY_PART_SIZE_BYTES: Final = 4
"""A section of a key change carries 32 bits of the new key."""

LARGEST_SGC_HIGH: Final = LARGEST_SGC >> 12
"""The high 12 bits of the largest supply group code; above it no set can be right (ours)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How one kind of value stands in bits.

    `codes` are the bits that mean something; a meter answers RangeError to any other. `show`
    writes the value for a person.
    """

    encode: Callable[..., int]
    decode: Callable[[int], object]
    codes: Container[int]
    allowed: str
    show: Callable[..., str] = str


@dataclass(frozen=True, slots=True)
class Field:
    """Some bits of the data.

    `name` is the attribute of the record whose value stands here; `None` marks bits that are
    always zero. `low` is the lowest bit of the coded value that stands here: 0 but for the
    currency amount, whose 20 bits stand in two places. `fault` is the meter's answer to bits
    that mean nothing.
    """

    name: str | None
    width: int
    coding: Coding
    label: str
    low: int = 0
    fault: TokenResult = TokenResult.RANGE_ERROR


def encode_value(field: Field, value: object) -> int:
    """Return the bits of a field's value.

    Raises:
        FieldRangeError: The value does not fit the field.
        NegativeAmountError: An amount below zero where there is no sign.
        AmountTooLargeError: An amount above what the field codes.
    """
    code = field.coding.encode(value)
    if code not in field.coding.codes:
        raise FieldRangeError(field=field.label, given=code, allowed=field.coding.allowed)
    return code


def number(codes: range) -> Coding:
    """Return the coding of a plain binary number."""
    return Coding(encode=index, decode=int, codes=codes, allowed=f"{codes[0]} to {codes[-1]}")


def bits(width: int) -> Coding:
    """Return the coding of a binary number that uses all its bits."""
    return number(range(1 << width))


def member_of(members: type[IntEnum]) -> Coding:
    """Return the coding of a choice."""
    return Coding(
        encode=index,
        decode=members,
        codes=frozenset(members),
        allowed=", ".join(f"{member:d} {member.name}" for member in members),
        show=lambda member: f"{member:d} {member.name}",
    )


def _encode_key_part(part: bytes) -> int:
    if len(part) != KEY_PART_SIZE_BYTES:
        raise FieldRangeError(
            field="key part size", given=len(part), allowed=f"{KEY_PART_SIZE_BYTES} bytes"
        )
    return int.from_bytes(part, "big")


def _decode_key_part(code: int) -> bytes:
    return code.to_bytes(KEY_PART_SIZE_BYTES, "big")


def _hide(_part: bytes) -> str:
    return "key material, not shown"


def _show_tenths(units: int) -> str:
    return f"{units // 10}.{units % 10}"


def _show_currency(amount: int) -> str:
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100_000}.{abs(amount) % 100_000:05}"


TOKEN_IDENTIFIER: Final = Coding(
    encode=int,
    decode=TokenIdentifier,
    codes=range(LARGEST_TID + 1),
    allowed=f"0 to {LARGEST_TID}",
    show=lambda tid: f"{tid.minutes} minutes from the base date",
)
UNITS: Final = Coding(
    encode=encode_transfer_amount,
    decode=decode_transfer_amount,
    codes=range(1 << 16),
    allowed=f"0 to {LARGEST_TRANSFER_AMOUNT}",
    show=_show_tenths,
)
WATTS: Final = Coding(
    encode=encode_transfer_amount,
    decode=decode_transfer_amount,
    codes=range(1 << 16),
    allowed=f"0 to {LARGEST_TRANSFER_AMOUNT}",
    show=lambda limit_w: f"{limit_w} W",
)
CURRENCY: Final = Coding(
    encode=encode_currency_amount,
    decode=decode_currency_amount,
    codes=range(1 << 20),
    allowed=f"{-LARGEST_CURRENCY_AMOUNT} to {LARGEST_CURRENCY_AMOUNT}",
    show=_show_currency,
)
TARIFF_INDEX: Final = Coding(
    encode=int, decode=TI.from_number, codes=range(LARGEST_TI + 1), allowed="00 to 99"
)
FLAG: Final = Coding(
    encode=int,
    decode=bool,
    codes=range(2),
    allowed="0 or 1",
    show=lambda flag: "yes" if flag else "no",
)
KEY_PART: Final = Coding(
    encode=_encode_key_part,
    decode=_decode_key_part,
    codes=range(1 << 32),
    allowed="32 bits",
    show=_hide,
)
KEY_TYPE: Final = member_of(KeyType)
KRN: Final = number(KRN_RANGE)
KEN_NIBBLE: Final = bits(KEN_RANGE.stop.bit_length() // 2)
SGC_HIGH: Final = number(range(LARGEST_SGC_HIGH + 1))
NOTHING: Final = number(range(1))
"""Bits that are always zero."""

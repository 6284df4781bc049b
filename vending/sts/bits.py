"""Widths of the bit blocks of IEC 62055-41; bit 0 is always the least significant."""

from typing import Final, NewType

Bits16 = NewType("Bits16", int)
"""A 16-bit field, such as a CRC or an amount code."""

Bits64 = NewType("Bits64", int)
"""The block that is encrypted: subclass, data, CRC."""

Bits66 = NewType("Bits66", int)
"""A whole token: two class bits and the block."""

MASK_64: Final = (1 << 64) - 1


def rotate_left_64(value: int, count: int) -> Bits64:
    """Return 64 bits rotated left by `count` places, 0 to 63."""
    return Bits64((value << count | value >> 64 - count) & MASK_64)


def class_of(token: Bits66) -> int:
    """Return the class of a token before transposition: its two highest bits."""
    return token >> 64


def block_of(token: Bits66) -> Bits64:
    """Return the block of a token before transposition: its low 64 bits."""
    return Bits64(token & MASK_64)


def join(token_class: int, block: Bits64) -> Bits66:
    """Return the token of this class and block, before transposition."""
    return Bits66(token_class << 64 | block)

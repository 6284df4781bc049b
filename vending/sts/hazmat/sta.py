"""EA07, the standard transfer algorithm (IEC 62055-41, STA encryption): 64-bit key and block.

Each of 16 rounds sends every nibble of the block through one of two substitution tables, chosen
by one key bit, then permutes the 64 bits, then rotates the key left by one. For one byte of the
block the three choices that matter are its value and its two key bits, so substitution and
permutation together are a look-up, and a round is eight of them, joined by OR.

Decryption reorders the same two steps. A round backwards is inverse permutation, then inverse
substitution; grouped the other way round, 16 of those are one inverse permutation, 16 look-ups
of (inverse substitution, inverse permutation), and one permutation that takes back the last.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import cycle
from operator import getitem
from typing import Final

from vending.sts.bits import MASK_64, Bits64, rotate_left_64
from vending.sts.secrecy import Unshown

_Table = tuple[int, ...]
"""For each value of a byte, the 64 bits it contributes."""

_Round = tuple[_Table, ...]
"""The eight tables of a round, for the lowest byte first."""

_SUBSTITUTION_A: Final = (14, 10, 7, 9, 12, 3, 2, 5, 13, 0, 15, 1, 4, 8, 6, 11)
_SUBSTITUTION_B: Final = (12, 8, 2, 13, 7, 6, 1, 3, 11, 5, 9, 15, 0, 4, 10, 14)
_IDENTITY: Final = tuple(range(16))

# fmt: off
_PERMUTATION: Final = (
    55, 42, 10, 18, 24, 21, 44, 35,  2, 22, 56, 43, 27, 58,  9, 50,
     6, 36, 12, 61, 37, 38, 53, 16, 62,  3,  7,  4, 32, 20, 63, 25,
    51, 52, 54, 33, 49, 19, 46, 29, 48, 31, 23, 30, 41, 28, 13,  5,
    40, 60, 39, 11, 15, 17,  1,  0, 57, 34, 59,  8, 47, 14, 45, 26,
)
# fmt: on

_ROUND_COUNT: Final = 16
_KEY_ROTATION: Final = 64 - 12
"""Rotating right by 12 places, as a rotation to the left."""


def _invert(table: Sequence[int]) -> tuple[int, ...]:
    return tuple(table.index(value) for value in range(len(table)))


def _spread(nibble: int, at: int, permutation: Sequence[int]) -> int:
    """Return the 64 bits to which the bits of nibble number `at` move."""
    return sum(1 << permutation[4 * at + bit] for bit in range(4) if nibble >> bit & 1)


def _byte_tables(
    substitutions: Sequence[Sequence[int]], permutation: Sequence[int], byte: int
) -> tuple[_Table, ...]:
    """Return the look-up tables of one byte position, one for each value of its key byte.

    Bit 3 of the key byte chooses the substitution of the low nibble, bit 7 that of the high
    one. The 256 entries are four tables, repeated: selecting by the key byte as it is saves
    masking it.
    """
    low, high = (
        [[_spread(s[value], at, permutation) for value in range(16)] for s in substitutions]
        for at in (2 * byte, 2 * byte + 1)
    )
    four = {
        (choice_low, choice_high): tuple(
            low[choice_low][value & 15] | high[choice_high][value >> 4] for value in range(256)
        )
        for choice_low in range(len(substitutions))
        for choice_high in range(len(substitutions))
    }
    last = len(substitutions) - 1
    return tuple(four[key >> 3 & last, key >> 7 & last] for key in range(256))


def _all_tables(
    substitutions: Sequence[Sequence[int]], permutation: Sequence[int]
) -> tuple[tuple[_Table, ...], ...]:
    return tuple(_byte_tables(substitutions, permutation, byte) for byte in range(8))


_INVERSE_PERMUTATION: Final = _invert(_PERMUTATION)
_FORWARD: Final = _all_tables((_SUBSTITUTION_A, _SUBSTITUTION_B), _PERMUTATION)
_BACKWARD: Final = _all_tables(
    (_invert(_SUBSTITUTION_A), _invert(_SUBSTITUTION_B)), _INVERSE_PERMUTATION
)
_PERMUTE: Final[_Round] = tuple(t[0] for t in _all_tables((_IDENTITY,), _PERMUTATION))
_UNPERMUTE: Final[_Round] = tuple(t[0] for t in _all_tables((_IDENTITY,), _INVERSE_PERMUTATION))


def _select(tables: Sequence[Sequence[_Table]], key: bytes) -> tuple[_Round, ...]:
    """Return the tables of the 16 rounds, in the order of encryption.

    Eight rotations by one place move the key by one byte, so rounds 9 to 16 see the key bytes
    of rounds 1 to 8, each one position further. One `map` then selects all 128 tables, and
    `zip` takes eight of them at a time: a new meter's key is met once, so this must be cheap.
    """
    prepared = rotate_left_64(int.from_bytes(key, "big") ^ MASK_64, _KEY_ROTATION)
    twice = prepared << 64 | prepared
    early = [(twice >> 64 - count & MASK_64).to_bytes(8, "little") for count in range(8)]
    late = [octets[-1:] + octets[:-1] for octets in early]
    selected = map(getitem, cycle(tables), b"".join(early + late))
    return tuple(zip(*[selected] * 8, strict=True))


def _run(block: int, rounds: Iterable[_Round]) -> int:
    for t0, t1, t2, t3, t4, t5, t6, t7 in rounds:
        b0, b1, b2, b3, b4, b5, b6, b7 = block.to_bytes(8, "little")
        block = t0[b0] | t1[b1] | t2[b2] | t3[b3] | t4[b4] | t5[b5] | t6[b6] | t7[b7]
    return block


class STA(Unshown):
    """The standard transfer algorithm under one key of 8 bytes, its key schedule kept."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @cached_property
    def _encryption(self) -> tuple[_Round, ...]:
        return _select(_FORWARD, self._key)

    @cached_property
    def _decryption(self) -> tuple[_Round, ...]:
        return (_UNPERMUTE, *reversed(_select(_BACKWARD, self._key)), _PERMUTE)

    def encrypt(self, block: Bits64) -> Bits64:
        """Return the encrypted block."""
        return Bits64(_run(block, self._encryption))

    def decrypt(self, block: Bits64) -> Bits64:
        """Return the block that encrypts to this one."""
        return Bits64(_run(block, self._decryption))

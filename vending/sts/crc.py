"""The check sums of IEC 62055-41 (CRC and CRC_C of a token) and of STS 600-8-6 (CRC-16/ARC).

All are the polynomial x^16 + x^15 + x^2 + 1 in reflected form; they differ in where they
start and in what they cover.
"""

from typing import Final

from vending.sts.bits import Bits16

_POLYNOMIAL_REFLECTED: Final = 0xA001
_TOKEN_INITIAL: Final = 0xFFFF
_ARC_INITIAL: Final = 0x0000
_TOKEN_SIZE_BYTES: Final = 7
_CURRENCY_MARK: Final = b"\x01"


def _remainder_of(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (_POLYNOMIAL_REFLECTED if octet & 1 else 0)
    return octet


_REMAINDERS: Final = tuple(_remainder_of(octet) for octet in range(256))


def _divide(octets: bytes, remainder: int) -> int:
    for octet in octets:
        remainder = remainder >> 8 ^ _REMAINDERS[(remainder ^ octet) & 0xFF]
    return remainder


def compute_crc(protected: int) -> Bits16:
    """Return the CRC field of a token over its 50 bits of class, subclass and data.

    The 50 bits are left-padded with zeros to 7 bytes; the result stands low byte first.
    """
    remainder = _divide(protected.to_bytes(_TOKEN_SIZE_BYTES, "big"), _TOKEN_INITIAL)
    return Bits16((remainder & 0xFF) << 8 | remainder >> 8)


def compute_crc_c(protected: int) -> Bits16:
    """Return the CRC_C field of a currency token over its 50 bits of class, subclass and data.

    One byte 01 follows the 7 bytes, so that a meter without currency answers CRCError.
    """
    octets = protected.to_bytes(_TOKEN_SIZE_BYTES, "big") + _CURRENCY_MARK
    remainder = _divide(octets, _TOKEN_INITIAL)
    return Bits16((remainder & 0xFF) << 8 | remainder >> 8)


def compute_crc_arc(octets: bytes) -> Bits16:
    """Return CRC-16/ARC, the check sum of the security module's lines (STS 600-8-6)."""
    return Bits16(_divide(octets, _ARC_INITIAL))

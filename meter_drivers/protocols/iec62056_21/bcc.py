"""Block check character and even parity (IEC 62056-21, clause 6; ISO/IEC 1155, ISO/IEC 1177).

Where a line carries 8-bit bytes only, the parity of 7E1 is put into the top bit here and checked
out of it again.
"""

from typing import Final

SEVEN_BITS: Final = 0x7F
_PARITY_BIT: Final = 0x80


def compute_bcc(octets: bytes) -> int:
    """Return the exclusive or of the 7-bit characters behind SOH or STX, up to ETX or EOT."""
    bcc = 0
    for octet in octets:
        bcc ^= octet & SEVEN_BITS
    return bcc


def add_even_parity(octets: bytes) -> bytes:
    """Return 7-bit characters with the top bit set where their ones are odd in number."""
    return bytes(octet | _PARITY_BIT if octet.bit_count() % 2 else octet for octet in octets)


def has_even_parity(octet: int) -> bool:
    """Return whether the ones of a byte are even in number."""
    return octet.bit_count() % 2 == 0

"""Binary coded decimals, low byte first as DL/T 645-2007 sends every field of several bytes."""

from datetime import datetime
from typing import Final

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError

SIGN_BIT: Final = 0x80
"""Top bit of the highest byte of a signed field: set means negative."""
CENTURY: Final = 2000
"""Years travel as two digits; the standard is younger than this."""
MOMENT_SIZE_BYTES: Final = 6
"""Seconds, minutes, hour, day, month, year."""
MINUTE_PAIRS: Final = 5
"""A moment without its seconds."""


def encode_digits(digits: str) -> bytes:
    """Return an even number of digits, written high digit first, as bytes low byte first.

    Raises:
        LocalProtocolError: If they are no digits, or their number is odd.
    """
    if not (digits.isascii() and digits.isdigit()) or len(digits) % 2:
        message = f"{digits!r} is no even number of digits"
        raise LocalProtocolError(message)
    return bytes.fromhex(digits)[::-1]


def decode_digits(octets: bytes) -> str:
    """Return the digits, high digit first.

    Raises:
        RemoteProtocolError: If a half byte is no digit.
    """
    digits = octets[::-1].hex()
    if digits and not digits.isdigit():
        reason = f"{digits.upper()} is no decimal number"
        raise RemoteProtocolError(reason)
    return digits


def encode_number(number: int, size_bytes: int, *, signed: bool = False) -> bytes:
    """Return a whole number in so many bytes.

    Raises:
        LocalProtocolError: If it does not fit.
    """
    digits = f"{abs(number):0{2 * size_bytes}d}"
    is_too_long = len(digits) > 2 * size_bytes or (signed and digits[0] in "89")
    if is_too_long or (number < 0 and not signed):
        message = f"{number} does not fit into {size_bytes} bytes of digits"
        raise LocalProtocolError(message)
    octets = bytearray(encode_digits(digits))
    if number < 0:
        octets[-1] |= SIGN_BIT
    return bytes(octets)


def decode_number(octets: bytes, *, signed: bool = False) -> int:
    """Return the whole number in these bytes.

    Raises:
        RemoteProtocolError: If there are none, or a half byte is no digit.
    """
    if not octets:
        reason = "a number has no bytes"
        raise RemoteProtocolError(reason)
    if signed and octets[-1] & SIGN_BIT:
        return -int(decode_digits(octets[:-1] + bytes([octets[-1] ^ SIGN_BIT])))
    return int(decode_digits(octets))


def encode_moment(moment: datetime) -> bytes:
    """Return a local time as ss mm hh DD MM YY.

    Raises:
        LocalProtocolError: If its year is not one of this century.
    """
    if moment.year // 100 * 100 != CENTURY:
        message = f"the year {moment.year} does not fit into two digits"
        raise LocalProtocolError(message)
    return encode_digits(moment.strftime("%y%m%d%H%M%S"))


def decode_moment(octets: bytes) -> datetime:
    """Return the local time in ss mm hh DD MM YY, or in mm hh DD MM YY.

    Raises:
        RemoteProtocolError: If there is no such time.
    """
    digits = decode_digits(octets)
    pairs = [int(digits[index : index + 2]) for index in range(0, len(digits), 2)]
    try:
        year, month, day, hour, minute, second = pairs if len(pairs) > MINUTE_PAIRS else [*pairs, 0]
        return datetime(CENTURY + year, month, day, hour, minute, second)  # noqa: DTZ001 # local time of the meter, which sends no zone
    except ValueError as error:
        reason = f"{digits} is no moment"
        raise RemoteProtocolError(reason) from error

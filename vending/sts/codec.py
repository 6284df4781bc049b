"""Encodes a token into 20 digits under a decoder key, and decodes it (IEC 62055-41).

    record  -> apdu -> 66 bits -> encryption of the low 64 -> transposition -> 20 digits

This is the recipe: use it rather than its parts. Class 1 tokens are not encrypted and take no
key.
"""

from typing import Final

from vending.sts.apdu import decode_apdu, encode_apdu
from vending.sts.bits import Bits66, block_of, class_of, join
from vending.sts.errors import KeyRequiredError
from vending.sts.keys import DecoderKey
from vending.sts.results import Rejection, TokenResult
from vending.sts.tcdu import TokenDigits, from_digits, to_digits
from vending.sts.tokens import Token, TokenClass

_RESERVED_CLASS: Final = 3


def encode(token: Token, key: DecoderKey | None) -> TokenDigits:
    """Return the 20 digits of a token; `None` for the key will do for class 1.

    Raises:
        KeyRequiredError: The token is of class 0 or 2, and no key was given.
    """
    plain = encode_apdu(token)
    if class_of(plain) == TokenClass.TEST:
        return to_digits(plain)
    encrypted = _require_key(key, plain).cipher.encrypt(block_of(plain))
    return to_digits(join(class_of(plain), encrypted))


def decode(digits: str, key: DecoderKey | None) -> Token | Rejection:
    """Return the token of 20 digits, or the first check that fails, in the meter's order.

    FormatError, FunctionError for class 3, CRCError (also the sign of another meter's key),
    FunctionError for a reserved subclass, RangeError. What takes a meter's memory is for the
    meter to check: expired key, TID used or old, overflow, another maker's code.

    Raises:
        KeyRequiredError: The token is of class 0 or 2, and no key was given.
    """
    encrypted = from_digits(digits)
    if encrypted is None:
        return Rejection(TokenResult.FORMAT_ERROR)
    if class_of(encrypted) == _RESERVED_CLASS:
        return Rejection(TokenResult.FUNCTION_ERROR)
    if class_of(encrypted) == TokenClass.TEST:
        return decode_apdu(encrypted)
    plain = _require_key(key, encrypted).cipher.decrypt(block_of(encrypted))
    return decode_apdu(join(class_of(encrypted), plain))


def _require_key(key: DecoderKey | None, token: Bits66) -> DecoderKey:
    if key is None:
        raise KeyRequiredError(class_of(token))
    return key

"""The application protocol data unit: a token record and its 66 bits before encryption.

    class 2 | subclass 4 | data 44 | CRC 16        (IEC 62055-41, class 0 to 2 tokens)

The CRC covers everything before it. Currency tokens carry CRC_C instead.
"""

from typing import Final

from vending.sts.bits import Bits16, Bits66
from vending.sts.coding import encode_value
from vending.sts.crc import compute_crc, compute_crc_c
from vending.sts.errors import FieldRangeError
from vending.sts.results import AuthenticationResult, Rejection, TokenResult
from vending.sts.tid import TokenIdentifier
from vending.sts.tokens import (
    DATA_WIDTH,
    RND_WIDTH,
    TID_WIDTH,
    TOKEN_LAYOUTS,
    VALUE_WIDTH,
    Layout,
    Token,
    TokenClass,
    layout_of,
)

_CRC_WIDTH: Final = 16
_CRC_MASK: Final = (1 << _CRC_WIDTH) - 1
_SUBCLASS_WIDTH: Final = 4
_SUBCLASS_MASK: Final = (1 << _SUBCLASS_WIDTH) - 1
_DATA_MASK: Final = (1 << DATA_WIDTH) - 1
CURRENCY_SUBCLASSES: Final = range(4, 8)


def encode_apdu(token: Token) -> Bits66:
    """Return the 66 bits of a token, not yet encrypted or transposed."""
    layout = layout_of(token)
    protected = layout.token_class << _SUBCLASS_WIDTH | layout.subclass
    for field in layout.fields:
        code = 0 if field.name is None else encode_value(field, getattr(token, field.name))
        piece = code >> field.low & (1 << field.width) - 1
        protected = protected << field.width | piece
    return Bits66(protected << _CRC_WIDTH | _crc_of(protected))


def decode_apdu(token: Bits66) -> Token | Rejection:
    """Return the token of 66 decrypted bits, or the first of the meter's checks that fails.

    CRCError, then FunctionError (a reserved subclass), then RangeError (a value that means
    nothing in its field).
    """
    protected, crc = token >> _CRC_WIDTH, token & _CRC_MASK
    if crc != _crc_of(protected):
        return Rejection(AuthenticationResult.CRC_ERROR)
    layout = TOKEN_LAYOUTS.get(_kind_of(protected))
    if layout is None:
        return Rejection(TokenResult.FUNCTION_ERROR)
    return _decode_data(layout, protected & _DATA_MASK)


def fields_of(token: Token) -> tuple[int, int, int]:
    """Return class, subclass and the 44 data bits of a token."""
    protected = encode_apdu(token) >> _CRC_WIDTH
    return *_kind_of(protected), protected & _DATA_MASK


def decode_fields(token_class: int, subclass: int, data: int) -> Token | Rejection:
    """Return the token of these fields, as a security module tells them of one it verified.

    FunctionError for a reserved class or subclass, RangeError for data that mean nothing.
    """
    layout = TOKEN_LAYOUTS.get((token_class, subclass))
    if layout is None or data not in range(1 << DATA_WIDTH):
        fault = TokenResult.FUNCTION_ERROR if layout is None else TokenResult.RANGE_ERROR
        return Rejection(fault)
    return _decode_data(layout, data)


def build_management_token(
    subclass: int, *, rnd: int, tid: TokenIdentifier, value: int
) -> Token | Rejection:
    """Return the class 2 token whose last 16 bits are `value`, as a security module makes it.

    FunctionError for a subclass that is reserved or carries no TID, RangeError for a value that
    means nothing to it: what a meter would answer.

    Raises:
        FieldRangeError: The value exceeds 16 bits, or `rnd` exceeds 4.
    """
    if value not in range(1 << VALUE_WIDTH):
        raise FieldRangeError(field="value", given=value, allowed="16 bits")
    if rnd not in range(1 << RND_WIDTH):
        raise FieldRangeError(field="RND", given=rnd, allowed="4 bits")
    layout = TOKEN_LAYOUTS.get((TokenClass.MANAGEMENT, subclass))
    if layout is None or not layout.carries_tid:
        return Rejection(TokenResult.FUNCTION_ERROR)
    return _decode_data(layout, (rnd << TID_WIDTH | tid.minutes) << VALUE_WIDTH | value)


def _kind_of(protected: int) -> tuple[int, int]:
    """Return class and subclass."""
    number = protected >> DATA_WIDTH
    return number >> _SUBCLASS_WIDTH, number & _SUBCLASS_MASK


def _crc_of(protected: int) -> Bits16:
    token_class, subclass = _kind_of(protected)
    if token_class == TokenClass.CREDIT and subclass in CURRENCY_SUBCLASSES:
        return compute_crc_c(protected)
    return compute_crc(protected)


def _decode_data(layout: Layout, data: int) -> Token | Rejection:
    codes: dict[str, int] = {}
    values: dict[str, object] = {}
    unread = DATA_WIDTH
    for field in layout.fields:
        unread -= field.width
        piece = data >> unread & (1 << field.width) - 1
        code = piece << field.low | codes.get(field.name or "", 0)
        if code not in field.coding.codes:
            return Rejection(field.fault)
        if field.name is not None:
            codes[field.name] = code
            values[field.name] = field.coding.decode(code)
    return layout.make(values)

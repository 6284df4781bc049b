"""What a meter answers to a token, in the words of IEC 62055-41; the order is the meter's.

A meter that refuses is an outcome, not an error, so these are values. `vending.sts.codec`
gives those that the 20 digits and the key decide; the rest take a meter's memory.
"""

from dataclasses import dataclass
from enum import StrEnum


class AuthenticationResult(StrEnum):
    """Whether a token was made for this meter's key."""

    AUTHENTIC = "Authentic"
    CRC_ERROR = "CRCError"
    DDTK_ERROR = "DDTKError"
    """A class 0 token, and the meter still holds a DDTK or DITK."""
    KEY_EXPIRED_ERROR = "KeyExpiredError"


class ValidationResult(StrEnum):
    """Whether a token is new to this meter."""

    VALID = "Valid"
    OLD_ERROR = "OldError"
    """Older than the oldest TID in a full memory."""
    USED_ERROR = "UsedError"


class TokenResult(StrEnum):
    """What became of a token."""

    ACCEPT = "Accept"
    FIRST_KCT = "1stKCT"
    """The first section of a key change is held; others are awaited."""
    SECOND_KCT = "2ndKCT"
    THIRD_KCT = "3rdKCT"
    FOURTH_KCT = "4thKCT"
    FORMAT_ERROR = "FormatError"
    """Not 20 digits, or not below 2^66."""
    FUNCTION_ERROR = "FunctionError"
    """A class, subclass or function that is unknown or not supported."""
    RANGE_ERROR = "RangeError"
    KEY_TYPE_ERROR = "KeyTypeError"
    OVERFLOW_ERROR = "OverflowError"


Result = AuthenticationResult | ValidationResult | TokenResult


@dataclass(frozen=True, slots=True)
class Rejection:
    """The digits are no token for this key; `result` says why, in the standard's words."""

    result: Result

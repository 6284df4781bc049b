"""Why a meter says no, and what a remote control came to: bits, and what each means.

DL/T 645-2007 for the plain error byte; its prepaid supplement (SERR) and the State Grid rules of
2013 and 2014 for the rest. Bytes come low byte first.
"""

from collections.abc import Mapping
from enum import IntFlag
from types import MappingProxyType
from typing import Final


class PlainError(IntFlag):
    """The error byte of every function but 03."""

    OTHER = 1 << 0
    NO_SUCH_DATA = 1 << 1
    PASSWORD = 1 << 2
    """Wrong password, or no right to do this."""
    SPEED_FIXED = 1 << 3
    TOO_MANY_ZONES = 1 << 4
    TOO_MANY_SLOTS = 1 << 5
    TOO_MANY_RATES = 1 << 6


class SecurityError(IntFlag):
    """SERR: why function 03 was refused; two bytes by the standard, one from some makers."""

    OTHER = 1 << 0
    REPEATED_RECHARGE = 1 << 1
    """The purchase count equals the stored one (重复充值)."""
    SECURE_ELEMENT = 1 << 2
    """The check of the secure element failed: a wrong MAC (ESAM验证失败)."""
    NO_SESSION = 1 << 3
    """Identity authentication failed, or there was none (身份认证失败)."""
    CUSTOMER_NUMBER = 1 << 4
    """The customer number is another one (客户编号不匹配)."""
    PURCHASE_COUNT = 1 << 5
    """The purchase count is not the stored one + 1 (充值次数错误)."""
    HOARDING = 1 << 6
    """The balance would pass the hoarding limit (购电超囤积)."""
    ADDRESS = 1 << 7
    SUSPENDED = 1 << 8
    """Locked until the day is over, after too many wrong MACs (挂起)."""


class ControlRefusal(IntFlag):
    """Why a remote control was refused, by the rules of 2014; two bytes."""

    SUSPENDED = 1 << 0
    MAC = 1 << 1
    PASSWORD = 1 << 2
    NO_SESSION = 1 << 3
    VALIDITY_TIME = 1 << 4
    """The end of validity lies in the meter's past."""
    TRIP_KEPT = 1 << 5
    """No trip while power is kept (保电)."""
    PRE_TRIP_KEPT = 1 << 6
    PRE_TRIP_LENGTH = 1 << 7
    PRE_TRIP_WHEN_TRIPPED = 1 << 8


class ControlResult(IntFlag):
    """What a remote control came to, by the rules of 2014; two bytes."""

    CLOSED = 1 << 0
    CLOSE_ALLOWED = 1 << 1
    TRIPPED = 1 << 2
    TRIP_DELAYED = 1 << 3
    WARNED = 1 << 4
    TRIP_WAITS_FOR_CURRENT = 1 << 5
    """Delayed because the current is too high to open under."""
    KEEP_POWER_ON = 1 << 8
    KEEP_POWER_OFF = 1 << 9
    ALARM_ON = 1 << 10
    ALARM_OFF = 1 << 11


Refusal = PlainError | SecurityError | ControlRefusal

MEANINGS: Final[Mapping[type[Refusal], Mapping[str, str]]] = MappingProxyType(
    {
        PlainError: {
            "OTHER": "another error",
            "NO_SUCH_DATA": "no such data",
            "PASSWORD": "wrong password or no right",
            "SPEED_FIXED": "the speed cannot be changed",
            "TOO_MANY_ZONES": "too many zones in a year",
            "TOO_MANY_SLOTS": "too many slots in a day",
            "TOO_MANY_RATES": "too many rates",
        },
        SecurityError: {
            "OTHER": "another error",
            "REPEATED_RECHARGE": "repeated recharge",
            "SECURE_ELEMENT": "the check of the secure element failed",
            "NO_SESSION": "no valid identity session",
            "CUSTOMER_NUMBER": "the customer number is another one",
            "PURCHASE_COUNT": "the purchase count is not the next one",
            "HOARDING": "the balance would pass the hoarding limit",
            "ADDRESS": "wrong address",
            "SUSPENDED": "suspended until the day is over",
        },
        ControlRefusal: {
            "SUSPENDED": "suspended",
            "MAC": "wrong MAC",
            "PASSWORD": "wrong password",
            "NO_SESSION": "no valid identity session",
            "VALIDITY_TIME": "the command is past its validity",
            "TRIP_KEPT": "no trip while power is kept",
            "PRE_TRIP_KEPT": "no warning of a trip while power is kept",
            "PRE_TRIP_LENGTH": "the time before the trip is out of range",
            "PRE_TRIP_WHEN_TRIPPED": "no warning of a trip: it is tripped already",
        },
    }
)
"""What each bit says, by its name; members of two flags are equal when their bits are."""


def explain(refusal: Refusal) -> str:
    """Return what the bits set say, in words; a bit without a name by its value."""
    meanings = MEANINGS[type(refusal)]
    bits = [1 << index for index in range(refusal.bit_length()) if refusal >> index & 1]
    words = [meanings.get(type(refusal)(bit).name or "", f"bit 0x{bit:04X}") for bit in bits]
    return "; ".join(words) or "no reason given"

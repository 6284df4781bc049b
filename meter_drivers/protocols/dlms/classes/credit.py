"""Class 112, credit (IEC 62056-62, 5.13; blue book, 4.6.3).

Method 1 update_amount **adds**: repeated, it credits twice, and nothing in the protocol tells the
meter that it is a repetition. So it is not safe for credit; whoever must use it reads
`current_credit_amount` before and after, and takes a lost answer for unknown. Method 2
set_amount_to_value may be repeated.
"""

from enum import IntEnum
from typing import Final

from meter_drivers.protocols.dlms.axdr import Data, enum
from meter_drivers.protocols.dlms.names import Attribute, LogicalName, Method
from meter_drivers.protocols.dlms.results import find_code

CLASS_ID: Final = 112
CREDIT: Final = LogicalName.parse("0.0.19.10.0.255")


class CreditType(IntEnum):
    """Where a credit comes from."""

    TOKEN = 0
    RESERVED = 1
    EMERGENCY = 2
    TIME_BASED = 3
    CONSUMPTION_BASED = 4


class CreditState(IntEnum):
    """credit_status: where a credit is in its life."""

    ENABLED = 0
    SELECTABLE = 1
    SELECTED = 2
    IN_USE = 3
    EXHAUSTED = 4


class CreditAttribute(IntEnum):
    """The attributes by number; amounts and thresholds are 32 bits signed."""

    CURRENT_CREDIT_AMOUNT = 2
    CREDIT_TYPE = 3
    PRIORITY = 4
    WARNING_THRESHOLD = 5
    LIMIT = 6
    CREDIT_CONFIGURATION = 7
    CREDIT_STATUS = 8
    PRESET_CREDIT_AMOUNT = 9
    CREDIT_AVAILABLE_THRESHOLD = 10
    PERIOD = 11


class CreditMethod(IntEnum):
    """The methods by number; the first two take an amount, the third integer 0."""

    UPDATE_AMOUNT = 1
    SET_AMOUNT_TO_VALUE = 2
    INVOKE_CREDIT = 3


REPEATABLE: Final = frozenset({CreditMethod.SET_AMOUNT_TO_VALUE})
"""The methods that leave the same amount however often they are carried out."""


def credit_attribute(attribute: CreditAttribute, name: LogicalName = CREDIT) -> Attribute:
    """Return an attribute of a credit."""
    return Attribute(CLASS_ID, name, attribute)


def credit_method(method: CreditMethod, name: LogicalName = CREDIT) -> Method:
    """Return a method of a credit."""
    return Method(CLASS_ID, name, method)


def encode_credit_code(code: CreditType | CreditState) -> Data:
    """Return credit_type or credit_status."""
    return enum(code)


def decode_credit_type(data: Data) -> CreditType:
    """Return credit_type.

    Raises:
        RemoteProtocolError: If it is none.
    """
    return find_code(CreditType, data.as_integer())


def decode_credit_state(data: Data) -> CreditState:
    """Return credit_status.

    Raises:
        RemoteProtocolError: If it is none.
    """
    return find_code(CreditState, data.as_integer())

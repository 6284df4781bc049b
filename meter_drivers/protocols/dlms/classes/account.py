"""Class 111, account: mode, credit in use, totals (IEC 62056-62, 5.13; blue book, 4.6.2).

Amounts are raw integers in the account's currency, times ten to the power of its scale; the
currency's unit says whether they are money, energy or time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import (
    Data,
    DataType,
    array,
    bit_string,
    double_long,
    enum,
    integer,
    octet_string,
    structure,
)
from meter_drivers.protocols.dlms.classes.profile_generic import take_name
from meter_drivers.protocols.dlms.names import Attribute, LogicalName, Method
from meter_drivers.protocols.dlms.results import find_code

CLASS_ID: Final = 111
ACCOUNT: Final = LogicalName.parse("0.0.19.0.0.255")
MODE_AND_STATUS: Final = Attribute(CLASS_ID, ACCOUNT, 2)
CURRENT_CREDIT_IN_USE: Final = Attribute(CLASS_ID, ACCOUNT, 3)
CURRENT_CREDIT_STATUS: Final = Attribute(CLASS_ID, ACCOUNT, 4)
AVAILABLE_CREDIT: Final = Attribute(CLASS_ID, ACCOUNT, 5)
AMOUNT_TO_CLEAR: Final = Attribute(CLASS_ID, ACCOUNT, 6)
CLEARANCE_THRESHOLD: Final = Attribute(CLASS_ID, ACCOUNT, 7)
AGGREGATED_DEBT: Final = Attribute(CLASS_ID, ACCOUNT, 8)
CREDIT_REFERENCE_LIST: Final = Attribute(CLASS_ID, ACCOUNT, 9)
CHARGE_REFERENCE_LIST: Final = Attribute(CLASS_ID, ACCOUNT, 10)
ACTIVATION_TIME: Final = Attribute(CLASS_ID, ACCOUNT, 13)
CLOSURE_TIME: Final = Attribute(CLASS_ID, ACCOUNT, 14)
CURRENCY: Final = Attribute(CLASS_ID, ACCOUNT, 15)
LOW_CREDIT_THRESHOLD: Final = Attribute(CLASS_ID, ACCOUNT, 16)
NEXT_CREDIT_AVAILABLE_THRESHOLD: Final = Attribute(CLASS_ID, ACCOUNT, 17)
ACTIVATE: Final = Method(CLASS_ID, ACCOUNT, 1)
CLOSE: Final = Method(CLASS_ID, ACCOUNT, 2)
RESET: Final = Method(CLASS_ID, ACCOUNT, 3)

_STATUS_BITS: Final = 8


class AccountMode(IntEnum):
    """Who pays when."""

    CREDIT = 1
    PREPAYMENT = 2


class AccountStatus(IntEnum):
    """Where the account is in its life."""

    NEW = 1
    ACTIVE = 2
    CLOSED = 3


class CreditStatusBit(IntFlag):
    """current_credit_status; bit 0 of the bit string is the lowest here."""

    IN_CREDIT = 1 << 0
    LOW_CREDIT = 1 << 1
    NEXT_CREDIT_ENABLED = 1 << 2
    NEXT_CREDIT_SELECTABLE = 1 << 3
    NEXT_CREDIT_SELECTED = 1 << 4
    SELECTABLE_CREDIT_IN_USE = 1 << 5
    OUT_OF_CREDIT = 1 << 6
    RESERVED = 1 << 7


class CurrencyUnit(IntEnum):
    """What amounts count."""

    TIME = 0
    CONSUMPTION = 1
    MONETARY = 2


@dataclass(frozen=True, slots=True)
class ModeAndStatus:
    """account_mode_and_status."""

    mode: AccountMode
    status: AccountStatus

    def to_data(self) -> Data:
        """Return the attribute."""
        return structure(enum(self.mode), enum(self.status))

    @classmethod
    def from_data(cls, data: Data) -> Self:
        """Return mode and status.

        Raises:
            RemoteProtocolError: If it is malformed or a code is unknown.
        """
        mode, status = data.as_members(2)
        return cls(
            find_code(AccountMode, mode.as_integer()),
            find_code(AccountStatus, status.as_integer()),
        )


@dataclass(frozen=True, slots=True)
class Currency:
    """Name as ISO 4217 has it or the meter likes, power of ten, and what is counted."""

    name: str
    scale: int
    unit: CurrencyUnit

    def to_data(self) -> Data:
        """Return the attribute."""
        name = Data(DataType.UTF8_STRING, self.name)
        return structure(name, integer(self.scale), enum(self.unit))

    @classmethod
    def from_data(cls, data: Data) -> Self:
        """Return the currency.

        Raises:
            RemoteProtocolError: If it is malformed.
        """
        name, scale, unit = data.as_members(3)
        return cls(name.as_text(), scale.as_integer(), find_code(CurrencyUnit, unit.as_integer()))


def encode_credit_status(status: CreditStatusBit) -> Data:
    """Return current_credit_status, 8 bits."""
    return bit_string("".join("1" if status >> bit & 1 else "0" for bit in range(_STATUS_BITS)))


def decode_credit_status(data: Data) -> CreditStatusBit:
    """Return current_credit_status.

    Raises:
        RemoteProtocolError: If it is no bit string of 8 bits.
    """
    bits = data.as_bits()
    if len(bits) != _STATUS_BITS:
        reason = f"a credit status has {len(bits)} bits"
        raise RemoteProtocolError(reason)
    return CreditStatusBit(int(bits[::-1], 2))


def encode_amount(amount: int) -> Data:
    """Return an amount, 32 bits signed.

    `Data.to_bytes` refuses one that does not fit.
    """
    return double_long(amount)


def decode_amount(data: Data) -> int:
    """Return an amount.

    Raises:
        RemoteProtocolError: If it is no 32 bits signed.
    """
    if data.type is not DataType.DOUBLE_LONG:
        reason = f"an amount came as {data.type.name}"
        raise RemoteProtocolError(reason)
    return data.as_integer()


def encode_references(names: Sequence[LogicalName]) -> Data:
    """Return credit_reference_list or charge_reference_list."""
    return array([octet_string(name.octets) for name in names])


def decode_references(data: Data) -> tuple[LogicalName, ...]:
    """Return the logical names of credits or charges.

    Raises:
        RemoteProtocolError: If it is no list of logical names.
    """
    return tuple(take_name(element) for element in data.as_elements())

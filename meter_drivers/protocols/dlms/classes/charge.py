"""Class 113, charge: what a meter takes from credit (IEC 62056-62, 5.13; blue book, 4.6.4).

`charge_per_unit` of a table is in ten to the power of `price_scale` of the account's currency, for
each ten to the power of `commodity_scale` of the commodity.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from meter_drivers.protocols.dlms.axdr import (
    Data,
    array,
    enum,
    integer,
    long,
    long_unsigned,
    octet_string,
    structure,
)
from meter_drivers.protocols.dlms.classes.profile_generic import take_name
from meter_drivers.protocols.dlms.names import Attribute, LogicalName, Method
from meter_drivers.protocols.dlms.results import find_code

CLASS_ID: Final = 113
CHARGE: Final = LogicalName.parse("0.0.19.20.0.255")


class ChargeType(IntEnum):
    """What a charge follows."""

    CONSUMPTION_BASED = 0
    TIME_BASED = 1
    PAYMENT_EVENT_BASED = 2


class ChargeAttribute(IntEnum):
    """The attributes by number; amounts are 32 bits signed, the period is in seconds."""

    TOTAL_AMOUNT_PAID = 2
    CHARGE_TYPE = 3
    PRIORITY = 4
    UNIT_CHARGE_ACTIVE = 5
    UNIT_CHARGE_PASSIVE = 6
    UNIT_CHARGE_ACTIVATION_TIME = 7
    PERIOD = 8
    CHARGE_CONFIGURATION = 9
    LAST_COLLECTION_TIME = 10
    LAST_COLLECTION_AMOUNT = 11
    TOTAL_AMOUNT_REMAINING = 12
    PROPORTION = 13


class ChargeMethod(IntEnum):
    """The methods by number; the fourth adds to the amount and must not be repeated."""

    UPDATE_UNIT_CHARGE = 1
    ACTIVATE_PASSIVE_UNIT_CHARGE = 2
    COLLECT = 3
    UPDATE_TOTAL_AMOUNT_REMAINING = 4
    SET_TOTAL_AMOUNT_REMAINING = 5


def charge_attribute(attribute: ChargeAttribute, name: LogicalName = CHARGE) -> Attribute:
    """Return an attribute of a charge."""
    return Attribute(CLASS_ID, name, attribute)


def charge_method(method: ChargeMethod, name: LogicalName = CHARGE) -> Method:
    """Return a method of a charge."""
    return Method(CLASS_ID, name, method)


def encode_charge_type(code: ChargeType) -> Data:
    """Return charge_type."""
    return enum(code)


def decode_charge_type(data: Data) -> ChargeType:
    """Return charge_type.

    Raises:
        RemoteProtocolError: If it is none.
    """
    return find_code(ChargeType, data.as_integer())


@dataclass(frozen=True, slots=True)
class UnitCharge:
    """A price table: prices by an index of the maker's, such as the tariff rate."""

    commodity_scale: int
    price_scale: int
    commodity: Attribute
    prices: tuple[tuple[bytes, int], ...]
    """Index, and charge per unit (16 bits signed)."""

    def to_data(self) -> Data:
        """Return unit_charge_active or unit_charge_passive."""
        reference = structure(
            long_unsigned(self.commodity.class_id),
            octet_string(self.commodity.name.octets),
            integer(self.commodity.index),
        )
        rows = [structure(octet_string(index), long(price)) for index, price in self.prices]
        scales = structure(integer(self.commodity_scale), integer(self.price_scale))
        return structure(scales, reference, array(rows))

    @classmethod
    def from_data(cls, data: Data) -> Self:
        """Return the table in unit_charge_active or unit_charge_passive.

        Raises:
            RemoteProtocolError: If it is malformed.
        """
        scales, reference, table = data.as_members(3)
        commodity_scale, price_scale = (scale.as_integer() for scale in scales.as_members(2))
        class_id, name, index = reference.as_members(3)
        rows = [row.as_members(2) for row in table.as_elements()]
        return cls(
            commodity_scale,
            price_scale,
            Attribute(class_id.as_integer(), take_name(name), index.as_integer()),
            tuple((each.as_octets(), price.as_integer()) for each, price in rows),
        )

"""Classes 1, data, and 3, register (IEC 62056-62, 5.1 and 5.2).

A register's value is a raw integer; scaler_unit gives the power of ten and the unit. Nothing here
multiplies: `ScaledValue` keeps integer and power apart, and converts to a wanted power exactly or
not at all.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import Data, enum, integer, structure
from meter_drivers.protocols.dlms.names import Attribute, LogicalName, Method

DATA_CLASS_ID: Final = 1
REGISTER_CLASS_ID: Final = 3
_SCALER_MAX: Final = 18
"""No unit of ours is scaled further; beyond it `10 ** scaler` would be an attack on memory."""


class Unit(IntEnum):
    """Units of the physical-unit enumeration that electricity meters use."""

    YEAR = 1
    MONTH = 2
    WEEK = 3
    DAY = 4
    HOUR = 5
    MINUTE = 6
    SECOND = 7
    CURRENCY = 10
    CUBIC_METRE = 13
    WATT = 27
    VOLT_AMPERE = 28
    VAR = 29
    WATT_HOUR = 30
    VOLT_AMPERE_HOUR = 31
    VAR_HOUR = 32
    AMPERE = 33
    VOLT = 35
    HERTZ = 44
    OTHER = 254
    COUNT = 255


def data_value(name: LogicalName) -> Attribute:
    """Return the value attribute of a data object."""
    return Attribute(DATA_CLASS_ID, name, 2)


INVOCATION_COUNTER: Final = data_value(LogicalName.parse("0.0.43.1.0.255"))
"""The highest invocation counter that a meter has received, as its public client may read it.

Nothing proves the answer: a forged one can waste counters, never make one come twice. So a caller
takes it only where it is above its own and within a bound.
"""


def register_value(name: LogicalName) -> Attribute:
    """Return the value attribute of a register."""
    return Attribute(REGISTER_CLASS_ID, name, 2)


def register_scaler_unit(name: LogicalName) -> Attribute:
    """Return the scaler_unit attribute of a register."""
    return Attribute(REGISTER_CLASS_ID, name, 3)


def register_reset(name: LogicalName) -> Method:
    """Return the reset method of a register; its parameter is integer 0."""
    return Method(REGISTER_CLASS_ID, name, 1)


@dataclass(frozen=True, slots=True)
class ScalerUnit:
    """Power of ten, and unit by its number in the standard."""

    scaler: int
    unit: int

    def to_data(self) -> Data:
        """Return the attribute."""
        return structure(integer(self.scaler), enum(self.unit))

    @classmethod
    def from_data(cls, data: Data) -> Self:
        """Return scaler and unit.

        Raises:
            RemoteProtocolError: If it is no scaler_unit, or of an absurd power.
        """
        scaler, unit = (member.as_integer() for member in data.as_members(2))
        if abs(scaler) > _SCALER_MAX:
            reason = f"a scaler of {scaler} is absurd"
            raise RemoteProtocolError(reason)
        return cls(scaler, unit)


@dataclass(frozen=True, slots=True)
class ScaledValue:
    """`raw` times ten to the power of `scaler`, in `unit`."""

    raw: int
    scaler: int
    unit: int

    @classmethod
    def from_data(cls, value: Data, scaler_unit: ScalerUnit) -> Self:
        """Return the value of a register.

        Raises:
            RemoteProtocolError: If it is no whole number.
        """
        return cls(value.as_integer(), scaler_unit.scaler, scaler_unit.unit)

    def to_scaler(self, scaler: int) -> int:
        """Return the value in units of ten to the power of `scaler`.

        Raises:
            RemoteProtocolError: If it is no whole number of these.
        """
        if scaler <= self.scaler:
            return self.raw * int(10 ** (self.scaler - scaler))
        whole, rest = divmod(self.raw, int(10 ** (scaler - self.scaler)))
        if rest:
            reason = f"{self.raw}E{self.scaler} is no whole number of 1E{scaler}"
            raise RemoteProtocolError(reason)
        return whole

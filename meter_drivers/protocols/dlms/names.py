"""How services point at objects: logical names, attributes, methods, parts of an attribute.

IEC 62056-53 (DLMS UA 1000-2, 9.5), Cosem-Attribute-Descriptor, Cosem-Method-Descriptor and
Selective-Access-Descriptor; logical names are OBIS codes of IEC 62056-61.
"""

from dataclasses import dataclass
from typing import Final, Self

from meter_drivers.errors import LocalProtocolError
from meter_drivers.protocols.dlms.axdr import Data, take_data
from meter_drivers.protocols.dlms.octets import Cursor

LOGICAL_NAME_SIZE: Final = 6
_OCTET_MAX: Final = 0xFF
_CLASS_MAX: Final = 0xFFFF
_INDEX_MIN: Final = -128
_INDEX_MAX: Final = 127


@dataclass(frozen=True, slots=True)
class LogicalName:
    """Six value groups A to F, one byte each; written `0.0.96.3.10.255`."""

    octets: bytes

    def __post_init__(self) -> None:
        """Check the size.

        Raises:
            LocalProtocolError: If it has not six bytes.
        """
        if len(self.octets) != LOGICAL_NAME_SIZE:
            message = f"a logical name has {LOGICAL_NAME_SIZE} bytes"
            raise LocalProtocolError(message)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the name in the text, as `0.0.96.3.10.255`.

        Raises:
            LocalProtocolError: If it is none.
        """
        groups = text.split(".")
        numbers = [int(group) for group in groups if group.isascii() and group.isdigit()]
        if len(groups) != LOGICAL_NAME_SIZE or len(numbers) != LOGICAL_NAME_SIZE:
            message = f"{text!r} is no logical name; write 0.0.96.3.10.255"
            raise LocalProtocolError(message)
        if max(numbers) > _OCTET_MAX:
            message = f"a value group of {text} is above {_OCTET_MAX}"
            raise LocalProtocolError(message)
        return cls(bytes(numbers))

    def __str__(self) -> str:
        return ".".join(str(octet) for octet in self.octets)


@dataclass(frozen=True, slots=True)
class _Reference:
    class_id: int
    name: LogicalName
    index: int

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            LocalProtocolError: If class or index does not fit.
        """
        if not (0 <= self.class_id <= _CLASS_MAX and _INDEX_MIN <= self.index <= _INDEX_MAX):
            message = f"class {self.class_id}, index {self.index} cannot be written"
            raise LocalProtocolError(message)

    def to_bytes(self) -> bytes:
        """Return class, name and index, 9 bytes."""
        index = self.index.to_bytes(1, "big", signed=True)
        return self.class_id.to_bytes(2, "big") + self.name.octets + index

    @classmethod
    def take(cls, cursor: Cursor) -> Self:
        """Return the reference at the cursor.

        Raises:
            RemoteProtocolError: If fewer than 9 bytes are left.
        """
        class_id = cursor.take_number(2)
        name = LogicalName(cursor.take(LOGICAL_NAME_SIZE))
        return cls(class_id, name, cursor.take_number(1, signed=True))


@dataclass(frozen=True, slots=True)
class Attribute(_Reference):
    """Attribute `index` (1 is the logical name) of an object."""


@dataclass(frozen=True, slots=True)
class Method(_Reference):
    """Method `index` (from 1) of an object."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of an attribute: the selector of its class, and the parameters of that."""

    selector: int
    parameters: Data

    def to_bytes(self) -> bytes:
        """Return selector and parameters.

        Raises:
            LocalProtocolError: If the parameters do not fit their type.
        """
        return bytes([self.selector]) + self.parameters.to_bytes()


def encode_selection(selection: Selection | None) -> bytes:
    """Return the optional selection of a request: 00, or 01 and the selection.

    Raises:
        LocalProtocolError: If its parameters do not fit their type.
    """
    return b"\x00" if selection is None else b"\x01" + selection.to_bytes()


def take_selection(cursor: Cursor) -> Selection | None:
    """Return the optional selection at the cursor.

    Raises:
        RemoteProtocolError: If it is malformed.
    """
    if not cursor.take_flag():
        return None
    selector = cursor.take_byte()
    return Selection(selector, take_data(cursor))

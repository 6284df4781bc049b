"""Class 15, association LN: which objects a client sees, and its rights (IEC 62056-62, 5.5.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import (
    NULL,
    Data,
    array,
    enum,
    integer,
    long_unsigned,
    octet_string,
    structure,
    unsigned,
)
from meter_drivers.protocols.dlms.classes.profile_generic import take_name
from meter_drivers.protocols.dlms.names import Attribute, LogicalName
from meter_drivers.protocols.dlms.results import find_code

CLASS_ID: Final = 15
CURRENT: Final = LogicalName.parse("0.0.40.0.0.255")
OBJECT_LIST: Final = Attribute(CLASS_ID, CURRENT, 2)
ASSOCIATED_PARTNERS: Final = Attribute(CLASS_ID, CURRENT, 3)
ASSOCIATION_STATUS: Final = Attribute(CLASS_ID, CURRENT, 8)


class AssociationStatus(IntEnum):
    """How far an association has come."""

    NON_ASSOCIATED = 0
    PENDING = 1
    ASSOCIATED = 2


class AttributeAccess(IntEnum):
    """What a client may do with an attribute; of version 0 and 1 of the class."""

    NO_ACCESS = 0
    READ_ONLY = 1
    WRITE_ONLY = 2
    READ_AND_WRITE = 3
    AUTHENTICATED_READ_ONLY = 4
    AUTHENTICATED_WRITE_ONLY = 5
    AUTHENTICATED_READ_AND_WRITE = 6


class MethodAccess(IntEnum):
    """Whether a client may invoke a method."""

    NO_ACCESS = 0
    ACCESS = 1
    AUTHENTICATED_ACCESS = 2


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """One object of the list, with the rights on its attributes and methods by number."""

    class_id: int
    version: int
    name: LogicalName
    attributes: tuple[tuple[int, AttributeAccess], ...] = ()
    methods: tuple[tuple[int, MethodAccess], ...] = ()

    def to_data(self) -> Data:
        """Return the element of object_list; selectors are not told."""
        attributes = [
            structure(integer(index), enum(access), NULL) for index, access in self.attributes
        ]
        methods = [structure(integer(index), enum(access)) for index, access in self.methods]
        return structure(
            long_unsigned(self.class_id),
            unsigned(self.version),
            octet_string(self.name.octets),
            structure(array(attributes), array(methods)),
        )

    @classmethod
    def from_data(cls, data: Data) -> Self:
        """Return the object in an element of object_list.

        Raises:
            RemoteProtocolError: If it is malformed, or a right is unknown.
        """
        class_id, version, name, rights = data.as_members(4)
        attributes, methods = rights.as_members(2)
        return cls(
            class_id.as_integer(),
            version.as_integer(),
            take_name(name),
            tuple(_decode_attribute(element) for element in attributes.as_elements()),
            tuple(_decode_method(element) for element in methods.as_elements()),
        )


def _decode_attribute(element: Data) -> tuple[int, AttributeAccess]:
    index, access, _selectors = element.as_members(3)
    return index.as_integer(), find_code(AttributeAccess, access.as_integer())


def _decode_method(element: Data) -> tuple[int, MethodAccess]:
    index, access = element.as_members(2)
    if isinstance(access.value, bool):  # version 0 of the class
        return index.as_integer(), MethodAccess(access.value)
    return index.as_integer(), find_code(MethodAccess, access.as_integer())


def encode_object_list(entries: Sequence[ObjectEntry]) -> Data:
    """Return object_list."""
    return array([entry.to_data() for entry in entries])


def decode_object_list(data: Data) -> tuple[ObjectEntry, ...]:
    """Return the objects in object_list.

    Raises:
        RemoteProtocolError: If it is malformed, or names an object twice.
    """
    entries = tuple(ObjectEntry.from_data(element) for element in data.as_elements())
    if len({(entry.class_id, entry.name) for entry in entries}) != len(entries):
        reason = "an object list names an object twice"
        raise RemoteProtocolError(reason)
    return entries


def encode_status(status: AssociationStatus) -> Data:
    """Return association_status."""
    return enum(status)


def decode_status(data: Data) -> AssociationStatus:
    """Return association_status.

    Raises:
        RemoteProtocolError: If it is none.
    """
    return find_code(AssociationStatus, data.as_integer())

"""Values of COSEM attributes and parameters, as A-XDR writes them.

IEC 62056-62 / DLMS UA 1000-1, 4.1.5 (data types) and IEC 61334-6 (A-XDR): a type tag, for types
of variable size a length or count, then the contents, high byte first.

    01 array: tag | count | element ...      02 structure: tag | count | member ...
    13 compact array: tag | type description | size in bytes | contents without tags

Floating-point values are carried as their 4 or 8 octets: nothing here computes with them.
Damage survived: lengths and counts beyond the end, nesting deeper than `DEPTH_MAX`, more than
`ELEMENTS_MAX` elements (elements of compact arrays can take no bytes at all), unknown tags, bytes
behind the value. Each is refused with `RemoteProtocolError`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NoReturn, Self

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.octets import Cursor, encode_length, encode_octets

DEPTH_MAX: Final = 16
"""The deepest standard attribute (a profile of structures with arrays) has 6."""
ELEMENTS_MAX: Final = 65_536
BITS_MAX: Final = 65_536


class DataType(IntEnum):
    """The tags of the choice Data."""

    NULL = 0
    ARRAY = 1
    STRUCTURE = 2
    BOOLEAN = 3
    BIT_STRING = 4
    DOUBLE_LONG = 5
    DOUBLE_LONG_UNSIGNED = 6
    OCTET_STRING = 9
    VISIBLE_STRING = 10
    UTF8_STRING = 12
    BCD = 13
    INTEGER = 15
    LONG = 16
    UNSIGNED = 17
    LONG_UNSIGNED = 18
    COMPACT_ARRAY = 19
    LONG64 = 20
    LONG64_UNSIGNED = 21
    ENUM = 22
    FLOAT32 = 23
    FLOAT64 = 24
    DATE_TIME = 25
    DATE = 26
    TIME = 27
    DONT_CARE = 255


INTEGER_FORMATS: Final[Mapping[DataType, tuple[int, bool]]] = {
    DataType.DOUBLE_LONG: (4, True),
    DataType.DOUBLE_LONG_UNSIGNED: (4, False),
    DataType.BCD: (1, False),
    DataType.INTEGER: (1, True),
    DataType.LONG: (2, True),
    DataType.UNSIGNED: (1, False),
    DataType.LONG_UNSIGNED: (2, False),
    DataType.LONG64: (8, True),
    DataType.LONG64_UNSIGNED: (8, False),
    DataType.ENUM: (1, False),
}
"""Size in bytes, and whether signed, of each type that holds a whole number."""

FIXED_SIZES: Final[Mapping[DataType, int]] = {
    DataType.FLOAT32: 4,
    DataType.FLOAT64: 8,
    DataType.DATE_TIME: 12,
    DataType.DATE: 5,
    DataType.TIME: 4,
}
"""Size in bytes of each type that is carried as octets of fixed size."""

_EMPTY: Final = frozenset({DataType.NULL, DataType.DONT_CARE})
_LISTS: Final = frozenset({DataType.ARRAY, DataType.STRUCTURE, DataType.COMPACT_ARRAY})
_TEXTS: Final[Mapping[DataType, str]] = {
    DataType.VISIBLE_STRING: "latin-1",
    DataType.UTF8_STRING: "utf-8",
}


@dataclass(frozen=True, slots=True)
class Data:
    """A typed value.

    `value` is `None` for null and don't-care, a bool, a whole number, a text, octets (also of
    floats and date-times), a text of `0` and `1` for a bit string, or a tuple of `Data`.
    """

    type: DataType
    value: "bool | int | str | bytes | tuple[Data, ...] | None" = None

    def as_integer(self) -> int:
        """Return the whole number.

        Raises:
            RemoteProtocolError: If it is none.
        """
        if self.type in INTEGER_FORMATS and isinstance(self.value, int):
            return self.value
        return self._refuse("a whole number")

    def as_boolean(self) -> bool:
        """Return the Boolean.

        Raises:
            RemoteProtocolError: If it is none.
        """
        if isinstance(self.value, bool):
            return self.value
        return self._refuse("a Boolean")

    def as_octets(self) -> bytes:
        """Return the octets of an octet string, date-time, date, time or float.

        Raises:
            RemoteProtocolError: If it is none of these.
        """
        if isinstance(self.value, bytes):
            return self.value
        return self._refuse("octets")

    def as_text(self) -> str:
        """Return the text of a visible or UTF-8 string.

        Raises:
            RemoteProtocolError: If it is neither.
        """
        if self.type in _TEXTS and isinstance(self.value, str):
            return self.value
        return self._refuse("a text")

    def as_bits(self) -> str:
        """Return the bits of a bit string, bit 0 first, as `0` and `1`.

        Raises:
            RemoteProtocolError: If it is none.
        """
        if self.type is DataType.BIT_STRING and isinstance(self.value, str):
            return self.value
        return self._refuse("a bit string")

    def as_elements(self) -> "tuple[Data, ...]":
        """Return the elements of an array or compact array.

        Raises:
            RemoteProtocolError: If it is neither.
        """
        if self.type is not DataType.STRUCTURE and isinstance(self.value, tuple):
            return self.value
        return self._refuse("an array")

    def as_members(self, count: int | None = None) -> "tuple[Data, ...]":
        """Return the members of a structure, which must be so many if a count is given.

        Raises:
            RemoteProtocolError: If it is no structure, or one of another size.
        """
        if self.type is not DataType.STRUCTURE or not isinstance(self.value, tuple):
            self._refuse("a structure")
        if count is not None and len(self.value) != count:
            reason = f"a structure has {len(self.value)} members instead of {count}"
            raise RemoteProtocolError(reason)
        return self.value

    def to_bytes(self) -> bytes:
        """Return tag and contents.

        Raises:
            LocalProtocolError: If the value does not fit its type.
        """
        return _encode(self, depth=0)

    @classmethod
    def from_bytes(cls, octets: bytes) -> Self:
        """Return the one value that fills the octets.

        Raises:
            RemoteProtocolError: If they are not one well-formed value.
        """
        cursor = Cursor(octets)
        decoded = take_data(cursor)
        cursor.finish("a value")
        return cls(decoded.type, decoded.value)

    def _refuse(self, wanted: str) -> NoReturn:
        reason = f"a value of type {self.type.name} came instead of {wanted}"
        raise RemoteProtocolError(reason)


NULL: Final = Data(DataType.NULL)


def array(elements: Sequence[Data]) -> Data:
    """Return an array of the elements."""
    return Data(DataType.ARRAY, tuple(elements))


def structure(*members: Data) -> Data:
    """Return a structure of the members."""
    return Data(DataType.STRUCTURE, members)


def octet_string(octets: bytes) -> Data:
    """Return an octet string."""
    return Data(DataType.OCTET_STRING, octets)


def visible_string(text: str) -> Data:
    """Return a visible string."""
    return Data(DataType.VISIBLE_STRING, text)


def boolean(value: bool) -> Data:  # noqa: FBT001 # the value itself
    """Return a Boolean."""
    return Data(DataType.BOOLEAN, value)


def bit_string(bits: str) -> Data:
    """Return a bit string of `0` and `1`, bit 0 first."""
    return Data(DataType.BIT_STRING, bits)


def integer(value: int) -> Data:
    """Return an integer of 8 bits, signed."""
    return Data(DataType.INTEGER, value)


def unsigned(value: int) -> Data:
    """Return an integer of 8 bits, unsigned."""
    return Data(DataType.UNSIGNED, value)


def enum(value: int) -> Data:
    """Return a member of an enumeration."""
    return Data(DataType.ENUM, int(value))


def long(value: int) -> Data:
    """Return an integer of 16 bits, signed."""
    return Data(DataType.LONG, value)


def long_unsigned(value: int) -> Data:
    """Return an integer of 16 bits, unsigned."""
    return Data(DataType.LONG_UNSIGNED, value)


def double_long(value: int) -> Data:
    """Return an integer of 32 bits, signed."""
    return Data(DataType.DOUBLE_LONG, value)


def double_long_unsigned(value: int) -> Data:
    """Return an integer of 32 bits, unsigned."""
    return Data(DataType.DOUBLE_LONG_UNSIGNED, value)


class _Budget:
    """What one decoding may still spend on elements."""

    def __init__(self) -> None:
        self._left = ELEMENTS_MAX

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            reason = f"a value has more than {ELEMENTS_MAX} elements"
            raise RemoteProtocolError(reason)


def take_data(cursor: Cursor) -> Data:
    """Return the value at the cursor, which moves behind it.

    Raises:
        RemoteProtocolError: If it is malformed, nested too deep, or of too many elements.
    """
    return _take(cursor, _Budget(), depth=0)


def _take(cursor: Cursor, budget: _Budget, *, depth: int) -> Data:
    budget.spend()
    type_ = _take_type(cursor)
    if type_ is DataType.COMPACT_ARRAY:
        return _take_compact_array(cursor, budget, depth=depth)
    if type_ not in _LISTS:
        return _take_scalar(cursor, type_)
    _check_depth(depth)
    count = cursor.take_length()
    if count > cursor.left_size_bytes:
        reason = f"{count} elements are announced where {cursor.left_size_bytes} bytes are left"
        raise RemoteProtocolError(reason)
    return Data(type_, tuple(_take(cursor, budget, depth=depth + 1) for _ in range(count)))


def _take_type(cursor: Cursor) -> DataType:
    tag = cursor.take_byte()
    try:
        return DataType(tag)
    except ValueError as error:
        reason = f"0x{tag:02X} is no type of a value"
        raise RemoteProtocolError(reason) from error


def _check_depth(depth: int) -> None:
    if depth >= DEPTH_MAX:
        reason = f"a value is nested deeper than {DEPTH_MAX}"
        raise RemoteProtocolError(reason)


def _take_scalar(cursor: Cursor, type_: DataType) -> Data:
    if type_ in INTEGER_FORMATS:
        size_bytes, signed = INTEGER_FORMATS[type_]
        return Data(type_, cursor.take_number(size_bytes, signed=signed))
    if type_ in FIXED_SIZES:
        return Data(type_, cursor.take(FIXED_SIZES[type_]))
    if type_ in _EMPTY:
        return Data(type_)
    if type_ in _TEXTS:
        return Data(type_, _decode_text(cursor.take_octets(), _TEXTS[type_]))
    if type_ is DataType.BOOLEAN:
        return Data(type_, cursor.take_flag())
    if type_ is DataType.BIT_STRING:
        return Data(type_, _take_bits(cursor))
    return Data(type_, cursor.take_octets())


def _decode_text(octets: bytes, encoding: str) -> str:
    try:
        return octets.decode(encoding)
    except UnicodeDecodeError as error:
        reason = "a UTF-8 string is no UTF-8"
        raise RemoteProtocolError(reason, frame=octets) from error


def _take_bits(cursor: Cursor) -> str:
    count = cursor.take_length()
    octets = cursor.take((count + 7) // 8)
    return "".join(f"{octet:08b}" for octet in octets)[:count]


@dataclass(frozen=True, slots=True)
class _Description:
    """What a compact array says of its elements; `count` is of an array inside it."""

    type: DataType
    members: "tuple[_Description, ...]" = ()
    count: int = 0

    def to_bytes(self) -> bytes:
        head = bytes([self.type])
        inner = b"".join(member.to_bytes() for member in self.members)
        if self.type is DataType.ARRAY:
            return head + self.count.to_bytes(2, "big") + inner
        if self.type is DataType.STRUCTURE:
            return head + encode_length(len(self.members)) + inner
        return head


def _take_compact_array(cursor: Cursor, budget: _Budget, *, depth: int) -> Data:
    _check_depth(depth)
    description = _take_description(cursor, budget, depth=depth + 1)
    contents = Cursor(cursor.take_octets())
    elements = []
    while contents.left_size_bytes:
        elements.append(_take_contents(contents, description, budget))
    return Data(DataType.COMPACT_ARRAY, tuple(elements))


def _take_description(cursor: Cursor, budget: _Budget, *, depth: int) -> _Description:
    budget.spend()
    _check_depth(depth)
    type_ = _take_type(cursor)
    match type_:
        case DataType.ARRAY:
            count = cursor.take_number(2)
            element = _take_description(cursor, budget, depth=depth + 1)
            return _Description(type_, (element,), count)
        case DataType.STRUCTURE:
            size = cursor.take_length()
            members = [_take_description(cursor, budget, depth=depth + 1) for _ in range(size)]
            return _Description(type_, tuple(members))
        case DataType.COMPACT_ARRAY:
            reason = "a compact array describes compact arrays"
            raise RemoteProtocolError(reason)
        case _:
            return _Description(type_)


def _take_contents(cursor: Cursor, description: _Description, budget: _Budget) -> Data:
    budget.spend()
    match description.type:
        case DataType.ARRAY:
            (element,) = description.members
            described: tuple[_Description, ...] = (element,) * description.count
        case DataType.STRUCTURE:
            described = description.members
        case _:
            return _take_scalar(cursor, description.type)
    taken = tuple(_take_contents(cursor, each, budget) for each in described)
    return Data(description.type, taken)


def _encode(data: Data, *, depth: int) -> bytes:
    head = bytes([data.type])
    if data.type not in _LISTS:
        return head + _encode_scalar(data)
    if depth >= DEPTH_MAX or not isinstance(data.value, tuple):
        message = f"{data.type.name} must hold elements, at most {DEPTH_MAX} deep"
        raise LocalProtocolError(message)
    if data.type is DataType.COMPACT_ARRAY:
        return head + _encode_compact_array(data.value, depth=depth)
    inner = b"".join(_encode(element, depth=depth + 1) for element in data.value)
    return head + encode_length(len(data.value)) + inner


def _encode_scalar(data: Data) -> bytes:
    match data.type, data.value:
        case (DataType.BOOLEAN, bool(flag)):
            return bytes([flag])
        case (type_, int(number)) if type_ in INTEGER_FORMATS:
            return _encode_integer(type_, number)
        case (type_, bytes(octets)) if type_ in FIXED_SIZES and len(octets) == FIXED_SIZES[type_]:
            return octets
        case (type_, None) if type_ in _EMPTY:
            return b""
        case (DataType.BIT_STRING, str(bits)) if set(bits) <= {"0", "1"} and len(bits) <= BITS_MAX:
            size_bytes = (len(bits) + 7) // 8
            padded = bits.ljust(size_bytes * 8, "0")
            return encode_length(len(bits)) + int(padded or "0", 2).to_bytes(size_bytes, "big")
        case (type_, str(text)) if type_ in _TEXTS:
            return encode_octets(_encode_text(text, _TEXTS[type_]))
        case (DataType.OCTET_STRING, bytes(octets)):
            return encode_octets(octets)
        case _:
            message = f"{data.value!r} is no value of type {data.type.name}"
            raise LocalProtocolError(message)


def _encode_integer(type_: DataType, number: int) -> bytes:
    size_bytes, signed = INTEGER_FORMATS[type_]
    try:
        return number.to_bytes(size_bytes, "big", signed=signed)
    except OverflowError as error:
        message = f"{number} is no value of type {type_.name}"
        raise LocalProtocolError(message) from error


def _encode_text(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        message = f"{text!r} has characters that its type does not"
        raise LocalProtocolError(message) from error


def _encode_compact_array(elements: tuple[Data, ...], *, depth: int) -> bytes:
    described = {_describe(element, depth=depth + 1) for element in elements}
    if len(described) > 1:
        message = "the elements of a compact array are of one type"
        raise LocalProtocolError(message)
    description = described.pop() if described else _Description(DataType.NULL)
    contents = b"".join(_encode_contents(element) for element in elements)
    if elements and not contents:
        message = "the elements of a compact array take bytes"
        raise LocalProtocolError(message)
    return description.to_bytes() + encode_octets(contents)


def _describe(data: Data, *, depth: int) -> _Description:
    if data.type not in _LISTS:
        return _Description(data.type)
    if depth >= DEPTH_MAX or not isinstance(data.value, tuple):
        message = f"{data.type.name} must hold elements, at most {DEPTH_MAX} deep"
        raise LocalProtocolError(message)
    members = tuple(_describe(member, depth=depth + 1) for member in data.value)
    match data.type:
        case DataType.STRUCTURE:
            return _Description(data.type, members)
        case DataType.ARRAY if len(set(members)) == 1:
            return _Description(data.type, members[:1], len(members))
        case _:
            message = "an array inside a compact array has elements, all of one type"
            raise LocalProtocolError(message)


def _encode_contents(data: Data) -> bytes:
    if isinstance(data.value, tuple):
        return b"".join(_encode_contents(member) for member in data.value)
    return _encode_scalar(data)

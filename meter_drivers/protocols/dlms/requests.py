"""What a client asks: GET, SET and ACTION requests as APDUs.

IEC 62056-53 (DLMS UA 1000-2, 9.5), A-XDR:

    C0 GET     01 normal        invoke | attribute | selection
               02 next block    invoke | number (4)
               03 with list     invoke | count | attribute, selection ...
    C1 SET     01 normal        invoke | attribute | selection | value
               02 first block   invoke | attribute | selection | last | number (4) | part
               03 block         invoke | last | number (4) | part
    C3 ACTION  01 normal        invoke | method | 00, or 01 and parameter

`invoke` has the invoke id in its low four bits, bit 6 for a confirmed service (the only ones we
know), and bit 7 for high priority.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import Data, take_data
from meter_drivers.protocols.dlms.names import (
    Attribute,
    Method,
    Selection,
    encode_selection,
    take_selection,
)
from meter_drivers.protocols.dlms.octets import Cursor, encode_length, encode_octets

GET: Final = 0xC0
SET: Final = 0xC1
ACTION: Final = 0xC3
CONFIRMED: Final = 0x40
HIGH_PRIORITY: Final = 0x80
INVOKE_ID_MAX: Final = 0x0F
NORMAL: Final = 1
LIST_MAX: Final = 256
"""More attributes than this in one request are refused: no meter of ours has as many."""


@dataclass(frozen=True, slots=True)
class GetRequest:
    """Asks for one attribute, or a part of it."""

    invoke: int
    attribute: Attribute
    selection: Selection | None = None

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        selection = encode_selection(self.selection)
        return bytes([GET, NORMAL, self.invoke]) + self.attribute.to_bytes() + selection


@dataclass(frozen=True, slots=True)
class GetNextRequest:
    """Asks for the block behind block `number`."""

    invoke: int
    number: int

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        return bytes([GET, 2, self.invoke]) + self.number.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class GetListRequest:
    """Asks for several attributes at once."""

    invoke: int
    items: tuple[tuple[Attribute, Selection | None], ...]

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        items = (each.to_bytes() + encode_selection(selection) for each, selection in self.items)
        return bytes([GET, 3, self.invoke]) + encode_length(len(self.items)) + b"".join(items)


@dataclass(frozen=True, slots=True)
class SetRequest:
    """Writes one attribute."""

    invoke: int
    attribute: Attribute
    value: Data = field(repr=False)
    selection: Selection | None = None

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        head = bytes([SET, NORMAL, self.invoke]) + self.attribute.to_bytes()
        return head + encode_selection(self.selection) + self.value.to_bytes()


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a value in its A-XDR encoding; numbers count from 1."""

    is_last: bool
    number: int
    part: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return last flag, number and part."""
        return bytes([self.is_last]) + self.number.to_bytes(4, "big") + encode_octets(self.part)


@dataclass(frozen=True, slots=True)
class SetFirstBlockRequest:
    """Begins to write a value too long for one APDU."""

    invoke: int
    attribute: Attribute
    block: Block
    selection: Selection | None = None

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        head = bytes([SET, 2, self.invoke]) + self.attribute.to_bytes()
        return head + encode_selection(self.selection) + self.block.to_bytes()


@dataclass(frozen=True, slots=True)
class SetBlockRequest:
    """Goes on with it."""

    invoke: int
    block: Block

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        return bytes([SET, 3, self.invoke]) + self.block.to_bytes()


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """Invokes a method."""

    invoke: int
    method: Method
    parameter: Data | None = field(default=None, repr=False)

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        head = bytes([ACTION, NORMAL, self.invoke]) + self.method.to_bytes()
        if self.parameter is None:
            return head + b"\x00"
        return head + b"\x01" + self.parameter.to_bytes()


Request = (
    GetRequest
    | GetNextRequest
    | GetListRequest
    | SetRequest
    | SetFirstBlockRequest
    | SetBlockRequest
    | ActionRequest
)


def take_count(cursor: Cursor) -> int:
    """Return the count of a list.

    Raises:
        RemoteProtocolError: If it is 0 or above `LIST_MAX`.
    """
    count = cursor.take_length()
    if not 1 <= count <= LIST_MAX:
        reason = f"a list has {count} items"
        raise RemoteProtocolError(reason)
    return count


def _take_get(cursor: Cursor, invoke: int) -> Request:
    return GetRequest(invoke, Attribute.take(cursor), take_selection(cursor))


def _take_get_next(cursor: Cursor, invoke: int) -> Request:
    return GetNextRequest(invoke, cursor.take_number(4))


def _take_get_list(cursor: Cursor, invoke: int) -> Request:
    items = [(Attribute.take(cursor), take_selection(cursor)) for _ in range(take_count(cursor))]
    return GetListRequest(invoke, tuple(items))


def _take_set(cursor: Cursor, invoke: int) -> Request:
    attribute, selection = Attribute.take(cursor), take_selection(cursor)
    return SetRequest(invoke, attribute, take_data(cursor), selection)


def _take_set_first(cursor: Cursor, invoke: int) -> Request:
    attribute, selection = Attribute.take(cursor), take_selection(cursor)
    return SetFirstBlockRequest(invoke, attribute, _take_block(cursor), selection)


def _take_set_block(cursor: Cursor, invoke: int) -> Request:
    return SetBlockRequest(invoke, _take_block(cursor))


def _take_action(cursor: Cursor, invoke: int) -> Request:
    method = Method.take(cursor)
    return ActionRequest(invoke, method, take_data(cursor) if cursor.take_flag() else None)


def _take_block(cursor: Cursor) -> Block:
    return Block(cursor.take_flag(), cursor.take_number(4), cursor.take_octets())


_REQUESTS: Final[Mapping[tuple[int, int], Callable[[Cursor, int], Request]]] = {
    (GET, NORMAL): _take_get,
    (GET, 2): _take_get_next,
    (GET, 3): _take_get_list,
    (SET, NORMAL): _take_set,
    (SET, 2): _take_set_first,
    (SET, 3): _take_set_block,
    (ACTION, NORMAL): _take_action,
}


def parse_request(apdu: bytes) -> Request:
    """Return the request in a plain APDU.

    Raises:
        RemoteProtocolError: If it is malformed, or of a kind that we do not know.
    """
    cursor = Cursor(apdu)
    kind = (cursor.take_byte(), cursor.take_byte())
    if kind not in _REQUESTS:
        reason = f"0x{kind[0]:02X}{kind[1]:02X} is no request that is known here"
        raise RemoteProtocolError(reason)
    request = _REQUESTS[kind](cursor, cursor.take_byte())
    cursor.finish("a request")
    return request

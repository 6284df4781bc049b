"""What a server answers: GET, SET and ACTION responses and exceptions as APDUs.

IEC 62056-53 (DLMS UA 1000-2, 9.5), A-XDR; `outcome` is 00 and a value, or 01 and a result:

    C4 GET     01 normal        invoke | outcome
               02 block         invoke | last | number (4) | 00 part, or 01 result
               03 with list     invoke | count | outcome ...
    C5 SET     01 normal        invoke | result
               02 block         invoke | number (4)
               03 last block    invoke | result | number (4)
    C7 ACTION  01 normal        invoke | result | 00, or 01 and outcome
    D8 exception                state error | service error | counter (4), with error 6 alone
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import Data, take_data
from meter_drivers.protocols.dlms.octets import Cursor, encode_length, encode_octets
from meter_drivers.protocols.dlms.requests import NORMAL, take_count
from meter_drivers.protocols.dlms.results import (
    ActionResult,
    DataAccessResult,
    ServiceError,
    StateError,
    find_code,
)

GET_RESPONSE: Final = 0xC4
SET_RESPONSE: Final = 0xC5
ACTION_RESPONSE: Final = 0xC7
EXCEPTION_RESPONSE: Final = 0xD8

Outcome = Data | DataAccessResult
"""The value of an attribute, or why there is none."""


@dataclass(frozen=True, slots=True)
class GetResponse:
    """One attribute."""

    invoke: int
    outcome: Outcome

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        return bytes([GET_RESPONSE, NORMAL, self.invoke]) + encode_outcome(self.outcome)


@dataclass(frozen=True, slots=True)
class GetBlockResponse:
    """One block of an answer in its A-XDR encoding; a result ends the transfer."""

    invoke: int
    is_last: bool
    number: int
    part: bytes | DataAccessResult = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        head = bytes([GET_RESPONSE, 2, self.invoke, self.is_last])
        head += self.number.to_bytes(4, "big")
        if isinstance(self.part, bytes):
            return head + b"\x00" + encode_octets(self.part)
        return head + bytes([1, self.part])


@dataclass(frozen=True, slots=True)
class GetListResponse:
    """Several attributes, in the order asked for."""

    invoke: int
    outcomes: tuple[Outcome, ...]

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        return bytes([GET_RESPONSE, 3, self.invoke]) + encode_outcomes(self.outcomes)


@dataclass(frozen=True, slots=True)
class SetResponse:
    """What became of a write."""

    invoke: int
    result: DataAccessResult

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        return bytes([SET_RESPONSE, NORMAL, self.invoke, self.result])


@dataclass(frozen=True, slots=True)
class SetBlockResponse:
    """Block `number` was taken; the next one is awaited."""

    invoke: int
    number: int

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        return bytes([SET_RESPONSE, 2, self.invoke]) + self.number.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class SetLastBlockResponse:
    """What became of a write in blocks, after its last block."""

    invoke: int
    result: DataAccessResult
    number: int

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        head = bytes([SET_RESPONSE, 3, self.invoke, self.result])
        return head + self.number.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class ActionResponse:
    """What became of a method; `returned` is its return value, or why there is none."""

    invoke: int
    result: ActionResult
    returned: Outcome | None = None

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        head = bytes([ACTION_RESPONSE, NORMAL, self.invoke, self.result])
        return head + (
            b"\x00" if self.returned is None else b"\x01" + encode_outcome(self.returned)
        )


@dataclass(frozen=True, slots=True)
class ExceptionResponse:
    """The server did not carry the service out; it does not say which one."""

    state: StateError
    service: ServiceError
    counter: int | None = None
    """With `INVOCATION_COUNTER_ERROR`: the highest invocation counter that the server has seen."""

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        counter = b"" if self.counter is None else self.counter.to_bytes(4, "big")
        return bytes([EXCEPTION_RESPONSE, self.state, self.service]) + counter


Response = (
    GetResponse
    | GetBlockResponse
    | GetListResponse
    | SetResponse
    | SetBlockResponse
    | SetLastBlockResponse
    | ActionResponse
    | ExceptionResponse
)


def encode_outcome(outcome: Outcome) -> bytes:
    """Return 00 and the value, or 01 and the result."""
    return b"\x00" + outcome.to_bytes() if isinstance(outcome, Data) else bytes([1, outcome])


def encode_outcomes(outcomes: tuple[Outcome, ...]) -> bytes:
    """Return the count and the outcomes."""
    return encode_length(len(outcomes)) + b"".join(map(encode_outcome, outcomes))


def take_outcome(cursor: Cursor) -> Outcome:
    """Return the outcome at the cursor.

    Raises:
        RemoteProtocolError: If it is malformed.
    """
    return take_data(cursor) if _take_choice(cursor) == 0 else _take_result(cursor)


def take_outcomes(cursor: Cursor) -> tuple[Outcome, ...]:
    """Return the outcomes at the cursor.

    Raises:
        RemoteProtocolError: If one is malformed, or they are too many.
    """
    return tuple([take_outcome(cursor) for _ in range(take_count(cursor))])


def _take_choice(cursor: Cursor) -> int:
    choice = cursor.take_byte()
    if choice not in {0, 1}:
        reason = f"an outcome begins with 0x{choice:02X}"
        raise RemoteProtocolError(reason)
    return choice


def _take_result(cursor: Cursor) -> DataAccessResult:
    return find_code(DataAccessResult, cursor.take_byte())


def _take_get(cursor: Cursor, invoke: int) -> Response:
    return GetResponse(invoke, take_outcome(cursor))


def _take_get_block(cursor: Cursor, invoke: int) -> Response:
    is_last, number = cursor.take_flag(), cursor.take_number(4)
    part = cursor.take_octets() if _take_choice(cursor) == 0 else _take_result(cursor)
    return GetBlockResponse(invoke, is_last, number, part)


def _take_get_list(cursor: Cursor, invoke: int) -> Response:
    return GetListResponse(invoke, take_outcomes(cursor))


def _take_set(cursor: Cursor, invoke: int) -> Response:
    return SetResponse(invoke, _take_result(cursor))


def _take_set_block(cursor: Cursor, invoke: int) -> Response:
    return SetBlockResponse(invoke, cursor.take_number(4))


def _take_set_last(cursor: Cursor, invoke: int) -> Response:
    return SetLastBlockResponse(invoke, _take_result(cursor), cursor.take_number(4))


def _take_action(cursor: Cursor, invoke: int) -> Response:
    result = find_code(ActionResult, cursor.take_byte())
    return ActionResponse(invoke, result, take_outcome(cursor) if cursor.take_flag() else None)


_RESPONSES: Final[Mapping[tuple[int, int], Callable[[Cursor, int], Response]]] = {
    (GET_RESPONSE, NORMAL): _take_get,
    (GET_RESPONSE, 2): _take_get_block,
    (GET_RESPONSE, 3): _take_get_list,
    (SET_RESPONSE, NORMAL): _take_set,
    (SET_RESPONSE, 2): _take_set_block,
    (SET_RESPONSE, 3): _take_set_last,
    (ACTION_RESPONSE, NORMAL): _take_action,
}


def parse_response(apdu: bytes) -> Response:
    """Return the response in a plain APDU.

    Raises:
        RemoteProtocolError: If it is malformed, or of a kind that we do not know.
    """
    cursor = Cursor(apdu)
    kind = (cursor.take_byte(), cursor.take_byte())
    if kind[0] == EXCEPTION_RESPONSE:
        response: Response = _take_exception(cursor, kind[1])
    elif kind in _RESPONSES:
        response = _RESPONSES[kind](cursor, cursor.take_byte())
    else:
        reason = f"0x{kind[0]:02X}{kind[1]:02X} is no response that is known here"
        raise RemoteProtocolError(reason)
    cursor.finish("a response")
    return response


def _take_exception(cursor: Cursor, state: int) -> ExceptionResponse:
    service = find_code(ServiceError, cursor.take_byte())
    has_counter = service is ServiceError.INVOCATION_COUNTER_ERROR
    counter = cursor.take_number(4) if has_counter and cursor.left_size_bytes else None
    return ExceptionResponse(find_code(StateError, state), service, counter)

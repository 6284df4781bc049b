"""Requests and answers of all functions as frames, and back; client and server share them.

DL/T 645-2007, clause 7; function 1C and 03 by `remote_control` and `prepaid`. Sizes of a refusal:
one byte (`PlainError`), but two or one under function 03 (`SecurityError`), and two under 1C by
the rules of 2014 (`ControlRefusal`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlt645.frames import ANY_METER, Address, Frame, Function
from meter_drivers.protocols.dlt645.prepaid import SecurityRequest
from meter_drivers.protocols.dlt645.refusals import (
    ControlRefusal,
    ControlResult,
    PlainError,
    Refusal,
    SecurityError,
)
from meter_drivers.protocols.dlt645.remote_control import (
    RemoteControl,
    SealedControl,
    decode_control,
)
from meter_drivers.protocols.dlt645.requests import (
    PASSWORD_SIZE_BYTES,
    BroadcastTime,
    ChangePassword,
    ChangeSpeed,
    ClearDemand,
    ClearEvents,
    ClearMeter,
    Freeze,
    ReadAddress,
    ReadData,
    ReadMore,
    Speed,
    WriteAddress,
    WriteData,
    check_size,
    decode_address,
    decode_identifier,
    decode_speed,
    encode_identifier,
)
from meter_drivers.protocols.dlt645.status_words import STATUS_WORD_3, StatusWord3

Request = (
    BroadcastTime
    | ReadData
    | ReadMore
    | ReadAddress
    | WriteAddress
    | WriteData
    | Freeze
    | ChangeSpeed
    | ChangePassword
    | ClearDemand
    | ClearMeter
    | ClearEvents
    | RemoteControl
    | SealedControl
    | SecurityRequest
)

REQUESTS: Final[Mapping[Function, Callable[[bytes], Request]]] = MappingProxyType(
    {
        Function.SECURITY: SecurityRequest.from_data,
        Function.BROADCAST_TIME: BroadcastTime.from_data,
        Function.READ: ReadData.from_data,
        Function.READ_MORE: ReadMore.from_data,
        Function.READ_ADDRESS: ReadAddress.from_data,
        Function.WRITE: WriteData.from_data,
        Function.WRITE_ADDRESS: WriteAddress.from_data,
        Function.FREEZE: Freeze.from_data,
        Function.CHANGE_SPEED: ChangeSpeed.from_data,
        Function.CHANGE_PASSWORD: ChangePassword.from_data,
        Function.CLEAR_DEMAND: ClearDemand.from_data,
        Function.CLEAR_METER: ClearMeter.from_data,
        Function.CLEAR_EVENTS: ClearEvents.from_data,
        Function.REMOTE_CONTROL: decode_control,
    }
)
"""What reads the data of each function."""

_OPEN_TO_ALL: Final = frozenset({Function.BROADCAST_TIME, Function.FREEZE})
_OPEN_TO_ANY: Final = frozenset({Function.READ_ADDRESS, Function.WRITE_ADDRESS})
_OPEN_TO_SHORTENED: Final = frozenset({Function.READ, Function.READ_MORE})


# --- answers ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class DataRead:
    """The data of an identifier, as `values` reads it; follow-on frames are put together."""

    identifier: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class AddressRead:
    """The address of the meter that is alone on the line."""

    address: Address


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The meter says that it did a write, freeze or clear; read it back."""


@dataclass(frozen=True, slots=True)
class SpeedChanged:
    """The line has this speed behind the reply."""

    speed: Speed


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """The password of a level is changed."""

    level: int
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ControlDone:
    """A remote control was taken; what else the meter says of it, by maker."""

    octets: bytes = b""

    @property
    def result(self) -> ControlResult | None:
        """Return what came of it by the rules of 2014 (two bytes); `None` if it is not told."""
        if len(self.octets) != _RESULT_SIZE:
            return None
        return ControlResult(int.from_bytes(self.octets, "little"))

    @property
    def status(self) -> StatusWord3 | None:
        """Return status word 3, which one maker sends behind its identifier; `None` without."""
        is_told = len(self.octets) == _STATUS_REPLY_SIZE and self.octets.startswith(_STATUS_HEAD)
        if not is_told:
            return None
        return StatusWord3.from_word(int.from_bytes(self.octets[len(_STATUS_HEAD) :], "little"))

    @classmethod
    def with_status(cls, status: StatusWord3) -> "ControlDone":
        """Return the answer of the maker that sends status word 3."""
        return cls(_STATUS_HEAD + status.to_word().to_bytes(_RESULT_SIZE, "little"))


_RESULT_SIZE: Final = 2
_STATUS_HEAD: Final = encode_identifier(STATUS_WORD_3)
_STATUS_REPLY_SIZE: Final = 6


@dataclass(frozen=True, slots=True)
class SecurityDone:
    """Function 03 was carried out; the payload is read by `prepaid` and `purchases`."""

    identifier: int
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Refused:
    """The meter said no. It may nevertheless have done part of it: read back."""

    refusal: Refusal
    size_bytes: int | None = None
    """As sent; `None` for what the standard says."""


Answer = (
    DataRead
    | AddressRead
    | Confirmed
    | SpeedChanged
    | PasswordChanged
    | ControlDone
    | SecurityDone
    | Refused
)


# --- requests as frames -------------------------------------------------------------------------
def encode_request(address: Address, request: Request) -> Frame:
    """Return the frame of a request to a meter, or to all.

    Raises:
        LocalProtocolError: If the address is too wide for this request, or a field does not fit.
    """
    function = request.function
    is_allowed = (
        (address.is_single and function is not Function.BROADCAST_TIME)
        or (address.is_broadcast and function in _OPEN_TO_ALL)
        or (address == ANY_METER and function in _OPEN_TO_ANY)
        or (address != ANY_METER and not address.is_broadcast and function in _OPEN_TO_SHORTENED)
    )
    if not is_allowed:
        message = f"{type(request).__name__} is not sent to the address {address}"
        raise LocalProtocolError(message)
    return Frame(address, function, request.to_data())


def decode_request(frame: Frame) -> Request:
    """Return the request in a frame that is none of a reply.

    Raises:
        RemoteProtocolError: If its data is malformed.
    """
    return REQUESTS[frame.function](frame.data)


# --- answers as frames --------------------------------------------------------------------------
def encode_answer(address: Address, function: Function, answer: Answer) -> Frame:
    """Return the frame with which a meter answers a request of this function.

    Raises:
        LocalProtocolError: If a field does not fit.
    """
    if isinstance(answer, Refused):
        data = _encode_refusal(answer)
        return Frame(address, function, data, is_reply=True, is_error=True)
    return Frame(address, function, _encode_data(answer), is_reply=True)


def _encode_data(answer: Answer) -> bytes:
    match answer:
        case DataRead():
            return encode_identifier(answer.identifier) + answer.octets
        case SecurityDone():
            return encode_identifier(answer.identifier) + answer.payload
        case AddressRead():
            return answer.address.octets
        case SpeedChanged():
            return bytes([answer.speed])
        case PasswordChanged():
            return bytes([answer.level]) + answer.password
        case ControlDone():
            return answer.octets
        case _:
            return b""


def _encode_refusal(answer: Refused) -> bytes:
    size_bytes = answer.size_bytes or (1 if isinstance(answer.refusal, PlainError) else 2)
    try:
        return int(answer.refusal).to_bytes(size_bytes, "little")
    except OverflowError as error:
        message = f"{answer.refusal!r} does not fit into {size_bytes} bytes"
        raise LocalProtocolError(message) from error


def decode_answer(frame: Frame) -> Answer:
    """Return the answer in one reply frame, a follow-on frame aside.

    Raises:
        RemoteProtocolError: If its data is malformed.
    """
    if frame.is_error:
        return _decode_refusal(frame)
    data = frame.data
    match frame.function:
        case Function.READ | Function.READ_MORE:
            return DataRead(decode_identifier(data), data[4:])
        case Function.SECURITY:
            return SecurityDone(decode_identifier(data), data[4:])
        case Function.READ_ADDRESS:
            return AddressRead(decode_address(data))
        case Function.CHANGE_SPEED:
            return SpeedChanged(decode_speed(data))
        case Function.CHANGE_PASSWORD:
            check_size(data, 1 + PASSWORD_SIZE_BYTES)
            return PasswordChanged(data[0], data[1:])
        case Function.REMOTE_CONTROL:
            return ControlDone(data)
        case _:
            return Confirmed()


def _decode_refusal(frame: Frame) -> Refused:
    size_bytes, bits = len(frame.data), int.from_bytes(frame.data, "little")
    if frame.function is Function.SECURITY and size_bytes in {1, 2}:
        return Refused(SecurityError(bits), size_bytes)
    if frame.function is Function.REMOTE_CONTROL and size_bytes == _RESULT_SIZE:
        return Refused(ControlRefusal(bits), size_bytes)
    if size_bytes == 1:
        return Refused(PlainError(bits), size_bytes)
    reason = f"a refusal has {size_bytes} bytes"
    raise RemoteProtocolError(reason, frame=frame.data)

"""Values of data identifiers: whole numbers in their unit, times, status words; both ways.

DL/T 645-2007, annex A. What a meter marks as not available (all bits of the value set) is `None`,
never a number. Times are those of the meter's clock, which tells no zone.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlt645.bcd import (
    decode_digits,
    decode_moment,
    decode_number,
    encode_digits,
    encode_moment,
    encode_number,
)
from meter_drivers.protocols.dlt645.identifiers import DataItem, Form, find_item
from meter_drivers.protocols.dlt645.status_words import StatusWord3

_DEMAND_SIZE_BYTES: Final = 3
_TIME_SIZE_BYTES: Final = 3


@dataclass(frozen=True, slots=True)
class Demand:
    """A greatest demand, and when it occurred; `None` if there was none yet."""

    power_mw: int
    at: datetime | None


Value = int | str | date | time | datetime | Demand | StatusWord3


def decode_value(identifier: int, octets: bytes) -> Value | None:
    """Return the value of one identifier; `None` if the meter has none.

    Raises:
        LocalProtocolError: If the identifier is not in the table, or asks for a block.
        RemoteProtocolError: If the bytes are too few, too many, or no such value.
    """
    item = _find_single(identifier)
    if len(octets) != item.size_bytes:
        reason = f"the value of {identifier:08X} has {len(octets)} bytes, not {item.size_bytes}"
        raise RemoteProtocolError(reason, frame=octets)
    return _decode(item, octets)


def decode_block(identifier: int, octets: bytes) -> tuple[Value | None, ...]:
    """Return the values of an identifier that asks for all there are, in their order.

    Raises:
        LocalProtocolError: If the identifier is not one of a block.
        RemoteProtocolError: If the bytes are no whole number of values, or no such ones.
    """
    item = find_item(identifier)
    if item is None or not item.is_block(identifier):
        message = f"{identifier:08X} asks for no block of values"
        raise LocalProtocolError(message)
    size = item.size_bytes
    if len(octets) % size:
        reason = f"the block {identifier:08X} has {len(octets)} bytes, no multiple of {size}"
        raise RemoteProtocolError(reason, frame=octets)
    return tuple(
        _decode(item, octets[place : place + size]) for place in range(0, len(octets), size)
    )


def encode_value(identifier: int, value: Value | None) -> bytes:
    """Return the bytes of a value; `None` as not available.

    Raises:
        LocalProtocolError: If the identifier is not in the table, or the value does not fit it.
    """
    item = _find_single(identifier)
    if value is None:
        return b"\xff" * item.size_bytes
    match item.form, value:
        case Form.NUMBER, int():
            return encode_number(_unscale(item, value), item.size_bytes, signed=item.signed)
        case Form.BITS, int() if 0 <= value >> (8 * item.size_bytes) < 1:
            return value.to_bytes(item.size_bytes, "little")
        case Form.STATUS_WORD_3, StatusWord3():
            return value.to_word().to_bytes(item.size_bytes, "little")
        case Form.DIGITS, str() if len(value) == 2 * item.size_bytes:
            return encode_digits(value)
        case Form.ASCII, str() if value.isascii() and len(value) <= item.size_bytes:
            return value.encode("ascii").ljust(item.size_bytes, b"\0")[::-1]
        case Form.DEMAND, Demand():
            return _encode_demand(item, value)
        case _:
            return _encode_time(item, value)


def _find_single(identifier: int) -> DataItem:
    item = find_item(identifier)
    if item is None or item.is_block(identifier):
        message = f"{identifier:08X} is not the identifier of one known value"
        raise LocalProtocolError(message)
    return item


def _decode(item: DataItem, octets: bytes) -> Value | None:
    if octets == b"\xff" * len(octets):
        return None
    match item.form:
        case Form.NUMBER:
            return decode_number(octets, signed=item.signed) * item.scale
        case Form.BITS:
            return int.from_bytes(octets, "little")
        case Form.STATUS_WORD_3:
            return StatusWord3.from_word(int.from_bytes(octets, "little"))
        case Form.DIGITS:
            return decode_digits(octets)
        case Form.ASCII:
            return _decode_text(octets)
        case Form.DEMAND:
            power = decode_number(octets[:_DEMAND_SIZE_BYTES]) * item.scale
            at = octets[_DEMAND_SIZE_BYTES:]
            return Demand(power, decode_moment(at) if any(at) else None)
        case _:
            return _decode_time(item, octets)


def _decode_time(item: DataItem, octets: bytes) -> date | time | datetime:
    """Return the time in bytes of one of the forms of time; the weekday is not believed.

    Raises:
        RemoteProtocolError: If there is no such time.
    """
    if item.form is Form.MINUTE:
        return decode_moment(octets)
    if item.form is Form.TIME:
        midnight = encode_digits("000101")
        return decode_moment(octets + midnight).time()
    if item.form is Form.DATE:
        return decode_moment(bytes(_TIME_SIZE_BYTES) + octets[1:]).date()
    return decode_moment(octets[:_TIME_SIZE_BYTES] + octets[_TIME_SIZE_BYTES + 1 :])


def _encode_time(item: DataItem, value: Value) -> bytes:
    """Return a time in one of the forms of time.

    Raises:
        LocalProtocolError: If the value is none, or not one of this form.
    """
    match item.form, value:
        case Form.MINUTE, datetime():
            return encode_moment(value)[1:]
        case Form.TIME, time():
            return encode_digits(value.strftime("%H%M%S"))
        case Form.DATE, date() if not isinstance(value, datetime):
            midnight = datetime.combine(value, time())
            return _encode_weekday(value) + encode_moment(midnight)[_TIME_SIZE_BYTES:]
        case Form.DATE_AND_TIME, datetime():
            moment = encode_moment(value)
            return moment[:_TIME_SIZE_BYTES] + _encode_weekday(value) + moment[_TIME_SIZE_BYTES:]
        case _:
            message = f"{value!r} is no value of {item.name}, which is written as {item.form}"
            raise LocalProtocolError(message)


def _encode_weekday(day: date) -> bytes:
    """Return the weekday as the standard counts: 0 is Sunday."""
    return bytes([day.isoweekday() % 7])


def _encode_demand(item: DataItem, demand: Demand) -> bytes:
    power = encode_number(_unscale(item, demand.power_mw), _DEMAND_SIZE_BYTES)
    at = encode_moment(demand.at)[1:] if demand.at else bytes(5)
    return power + at


def _unscale(item: DataItem, value: int) -> int:
    """Return how many counts a value is.

    Raises:
        LocalProtocolError: If it is no whole number of them.
    """
    counts, rest = divmod(value, item.scale)
    if rest:
        message = f"{item.name} counts in {item.scale} {item.unit}; {value} is between two counts"
        raise LocalProtocolError(message)
    return counts


def _decode_text(octets: bytes) -> str:
    try:
        return octets[::-1].rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError as error:
        reason = "a text is not ASCII"
        raise RemoteProtocolError(reason, frame=octets) from error

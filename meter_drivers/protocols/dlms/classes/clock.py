"""Class 8, clock, and the date-time of 12 octets (IEC 62056-62, 4.1.6.1 and 5.4.1).

    year (2) | month | day | weekday | hour | minute | second | hundredths | deviation (2) | status

FF (FFFF, and 8000 for the deviation) says "not specified". The deviation is in minutes *from*
local time *to* UTC: UTC+08:00 is -480. Bit 7 of the status says that daylight saving is on.
"""

import datetime as dt
from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Self

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import Data, DataType, octet_string
from meter_drivers.protocols.dlms.names import Attribute, LogicalName

CLASS_ID: Final = 8
CLOCK: Final = LogicalName.parse("0.0.1.0.0.255")
TIME: Final = Attribute(CLASS_ID, CLOCK, 2)
TIME_ZONE: Final = Attribute(CLASS_ID, CLOCK, 3)
STATUS: Final = Attribute(CLASS_ID, CLOCK, 4)

_SIZE: Final = 12
_ANY: Final = 0xFF
_ANY_YEAR: Final = 0xFFFF
_ANY_DEVIATION: Final = -0x8000
_DEVIATION_MAX: Final = 720
_MICROSECONDS: Final = 10_000
_LAST_DAYS: Final = frozenset({0xFD, 0xFE})
_DAYLIGHT_SHIFTS: Final = frozenset({0xFD, 0xFE})

# Field: lowest and highest value, and the special ones besides "not specified".
_RANGES: Final = (
    ("month", 1, 12, _DAYLIGHT_SHIFTS),
    ("day", 1, 31, _LAST_DAYS),
    ("weekday", 1, 7, frozenset[int]()),
    ("hour", 0, 23, frozenset[int]()),
    ("minute", 0, 59, frozenset[int]()),
    ("second", 0, 59, frozenset[int]()),
    ("hundredths", 0, 99, frozenset[int]()),
)


class ClockStatus(IntFlag):
    """What the clock says of its own time."""

    INVALID_VALUE = 0x01
    DOUBTFUL_VALUE = 0x02
    DIFFERENT_CLOCK_BASE = 0x04
    INVALID_CLOCK_STATUS = 0x08
    DAYLIGHT_SAVING = 0x80


_ALL_WELL: Final = ClockStatus(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DateTime:
    """A date and time of which any part may be unspecified (`None`).

    `month` may be 0xFD or 0xFE (begin and end of daylight saving), `day` 0xFD or 0xFE (last but
    one, last of the month); `weekday` is 1 for Monday.
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None
    hundredths: int | None = None
    deviation_min: int | None = None
    status: ClockStatus | None = None

    def to_octets(self) -> bytes:
        """Return the 12 octets.

        Raises:
            LocalProtocolError: If a part is out of range.
        """
        fault = self._find_fault()
        if fault is not None:
            raise LocalProtocolError(fault)
        parts = [_ANY if (part := getattr(self, name)) is None else part for name, *_ in _RANGES]
        deviation = _ANY_DEVIATION if self.deviation_min is None else self.deviation_min
        return (
            (_ANY_YEAR if self.year is None else self.year).to_bytes(2, "big")
            + bytes(parts)
            + deviation.to_bytes(2, "big", signed=True)
            + bytes([_ANY if self.status is None else self.status])
        )

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """Return the date and time in 12 octets.

        Raises:
            RemoteProtocolError: If they are not 12, or a part is out of range.
        """
        if len(octets) != _SIZE:
            reason = f"a date-time has {len(octets)} octets instead of {_SIZE}"
            raise RemoteProtocolError(reason, frame=octets)
        year = int.from_bytes(octets[:2], "big")
        parts = [None if octet == _ANY else octet for octet in octets[2:9]]
        deviation = int.from_bytes(octets[9:11], "big", signed=True)
        month, day, weekday, hour, minute, second, hundredths = parts
        found = cls(
            year=None if year == _ANY_YEAR else year,
            month=month,
            day=day,
            weekday=weekday,
            hour=hour,
            minute=minute,
            second=second,
            hundredths=hundredths,
            deviation_min=None if deviation == _ANY_DEVIATION else deviation,
            status=None if octets[11] == _ANY else ClockStatus(octets[11]),
        )
        fault = found._find_fault()
        if fault is not None:
            raise RemoteProtocolError(fault, frame=octets)
        return found

    @classmethod
    def of_instant(cls, instant: dt.datetime, *, status: ClockStatus = _ALL_WELL) -> Self:
        """Return an aware instant, in its own zone.

        Raises:
            LocalProtocolError: If it has no zone.
        """
        offset = instant.utcoffset()
        if offset is None:
            message = "an instant without a zone has no deviation"
            raise LocalProtocolError(message)
        return cls(
            year=instant.year,
            month=instant.month,
            day=instant.day,
            weekday=instant.isoweekday(),
            hour=instant.hour,
            minute=instant.minute,
            second=instant.second,
            hundredths=instant.microsecond // _MICROSECONDS,
            deviation_min=-(offset // dt.timedelta(minutes=1)),
            status=status,
        )

    def to_instant(self) -> dt.datetime:
        """Return the aware instant; seconds and hundredths not specified count as 0.

        Raises:
            RemoteProtocolError: If date, hour, minute or deviation is not specified, or the date
                does not exist.
        """
        wanted = (self.year, self.month, self.day, self.hour, self.minute)
        given = [part for part in wanted if part is not None]
        if len(given) != len(wanted) or self.deviation_min is None:
            reason = "a date-time with unspecified parts is no instant"
            raise RemoteProtocolError(reason)
        year, month, day, hour, minute = given
        zone = dt.timezone(dt.timedelta(minutes=-self.deviation_min))
        try:
            return dt.datetime(
                year,
                month,
                day,
                hour,
                minute,
                self.second or 0,
                (self.hundredths or 0) * _MICROSECONDS,
                zone,
            )
        except ValueError as error:
            reason = f"a date-time does not exist: {error}"
            raise RemoteProtocolError(reason) from error

    def to_data(self) -> Data:
        """Return it as the octet string that attributes hold.

        Raises:
            LocalProtocolError: If a part is out of range.
        """
        return octet_string(self.to_octets())

    @classmethod
    def from_data(cls, data: Data) -> Self:
        """Return the date and time in an octet string or a date-time.

        Raises:
            RemoteProtocolError: If it is neither, or malformed.
        """
        if data.type not in {DataType.OCTET_STRING, DataType.DATE_TIME}:
            reason = f"a date-time came as {data.type.name}"
            raise RemoteProtocolError(reason)
        return cls.from_octets(data.as_octets())

    def _find_fault(self) -> str | None:
        for name, least, most, special in _RANGES:
            part = getattr(self, name)
            if part is not None and part not in special and not least <= part <= most:
                return f"{name} {part} of a date-time is out of range"
        if self.year is not None and not 0 <= self.year < _ANY_YEAR:
            return f"year {self.year} of a date-time is out of range"
        if self.deviation_min is not None and abs(self.deviation_min) > _DEVIATION_MAX:
            return f"deviation {self.deviation_min} of a date-time is out of range"
        return None

"""Class 7, profile generic: load profiles and event logs (IEC 62056-62, 5.3.1).

`buffer` (2) is an array of rows, each a structure with a member per column of `capture_objects`
(3); `capture_period` (4) is in seconds, 0 for capture on events. A part is chosen by a range of the
sort column (selector 1) or by entry and column numbers from 1 (selector 2; 0 as the last is
"highest").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import (
    NULL,
    Data,
    DataType,
    array,
    double_long_unsigned,
    integer,
    long_unsigned,
    octet_string,
    structure,
)
from meter_drivers.protocols.dlms.classes.clock import TIME, DateTime
from meter_drivers.protocols.dlms.names import LOGICAL_NAME_SIZE, Attribute, LogicalName, Selection

CLASS_ID: Final = 7
BY_RANGE: Final = 1
BY_ENTRY: Final = 2

Row = tuple[Data, ...]


def buffer(name: LogicalName) -> Attribute:
    """Return the buffer attribute."""
    return Attribute(CLASS_ID, name, 2)


def capture_objects(name: LogicalName) -> Attribute:
    """Return the attribute that tells the columns."""
    return Attribute(CLASS_ID, name, 3)


def capture_period(name: LogicalName) -> Attribute:
    """Return the attribute that tells the seconds between rows."""
    return Attribute(CLASS_ID, name, 4)


def entries_in_use(name: LogicalName) -> Attribute:
    """Return the attribute that tells how many rows there are."""
    return Attribute(CLASS_ID, name, 7)


@dataclass(frozen=True, slots=True)
class CaptureObject:
    """One column: an attribute, or the element `data_index` of one (0 for all of it)."""

    attribute: Attribute
    data_index: int = 0

    def to_data(self) -> Data:
        """Return the capture object definition."""
        return structure(
            long_unsigned(self.attribute.class_id),
            octet_string(self.attribute.name.octets),
            integer(self.attribute.index),
            long_unsigned(self.data_index),
        )

    @classmethod
    def from_data(cls, data: Data) -> Self:
        """Return the column in a capture object definition.

        Raises:
            RemoteProtocolError: If it is none.
        """
        class_id, name, index, data_index = data.as_members(4)
        attribute = Attribute(class_id.as_integer(), take_name(name), index.as_integer())
        return cls(attribute, data_index.as_integer())


CLOCK_COLUMN: Final = CaptureObject(TIME)
"""The column that load profiles are sorted by."""


def take_name(data: Data) -> LogicalName:
    """Return the logical name in an octet string.

    Raises:
        RemoteProtocolError: If it is none.
    """
    octets = data.as_octets()
    if len(octets) != LOGICAL_NAME_SIZE:
        reason = "a logical name has not 6 octets"
        raise RemoteProtocolError(reason, frame=octets)
    return LogicalName(octets)


def encode_columns(columns: Sequence[CaptureObject]) -> Data:
    """Return capture_objects."""
    return array([column.to_data() for column in columns])


def decode_columns(data: Data) -> tuple[CaptureObject, ...]:
    """Return the columns in capture_objects.

    Raises:
        RemoteProtocolError: If it holds no columns.
    """
    return tuple(CaptureObject.from_data(element) for element in data.as_elements())


def encode_buffer(rows: Sequence[Row]) -> Data:
    """Return the buffer of these rows."""
    return array([structure(*row) for row in rows])


def decode_buffer(data: Data, *, column_count: int) -> tuple[Row, ...]:
    """Return the rows; a null stands for the value above it, as meters shorten them.

    Raises:
        RemoteProtocolError: If it is no buffer of so many columns.
    """
    rows: list[Row] = []
    for element in data.as_elements():
        row = element.as_members(column_count)
        above = rows[-1] if rows else row
        pairs = zip(row, above, strict=True)
        rows.append(tuple(old if new.type is DataType.NULL else new for new, old in pairs))
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class RangeSelection:
    """Rows whose `column` lies from `first` to `last`, both included; columns `None` for all."""

    column: CaptureObject
    first: Data
    last: Data
    columns: tuple[CaptureObject, ...] | None = None

    def to_selection(self) -> Selection:
        """Return the range descriptor."""
        chosen = encode_columns(self.columns or ())
        return Selection(BY_RANGE, structure(self.column.to_data(), self.first, self.last, chosen))

    @classmethod
    def from_selection(cls, selection: Selection) -> Self:
        """Return the range in a selection.

        Raises:
            RemoteProtocolError: If it is none.
        """
        if selection.selector != BY_RANGE:
            reason = f"selector {selection.selector} is no range"
            raise RemoteProtocolError(reason)
        column, first, last, chosen = selection.parameters.as_members(4)
        return cls(CaptureObject.from_data(column), first, last, decode_columns(chosen) or None)


@dataclass(frozen=True, slots=True)
class EntrySelection:
    """Rows and columns by number, from 1; 0 as the last one is the highest there is."""

    first: int
    last: int = 0
    first_column: int = 1
    last_column: int = 0

    def to_selection(self) -> Selection:
        """Return the entry descriptor."""
        rows = (double_long_unsigned(self.first), double_long_unsigned(self.last))
        columns = (long_unsigned(self.first_column), long_unsigned(self.last_column))
        return Selection(BY_ENTRY, structure(*rows, *columns))

    @classmethod
    def from_selection(cls, selection: Selection) -> Self:
        """Return the entries in a selection.

        Raises:
            RemoteProtocolError: If it is none, or a number from which to begin is 0.
        """
        if selection.selector != BY_ENTRY:
            reason = f"selector {selection.selector} is no choice of entries"
            raise RemoteProtocolError(reason)
        first, last, first_column, last_column = (
            member.as_integer() for member in selection.parameters.as_members(4)
        )
        if first < 1 or first_column < 1:
            reason = "entries and columns are counted from 1"
            raise RemoteProtocolError(reason)
        return cls(first, last, first_column, last_column)

    def select(self, rows: Sequence[Row]) -> tuple[Row, ...]:
        """Return the chosen part of the rows."""
        chosen = rows[self.first - 1 : self.last or None]
        return tuple(row[self.first_column - 1 : self.last_column or None] for row in chosen)


def select_by_clock(
    rows: Sequence[Row], selection: RangeSelection, *, column: int
) -> tuple[Row, ...]:
    """Return the rows whose date-time in `column` (from 0) lies in the range.

    Only whole instants are compared; `NULL` as a bound leaves that side open.

    Raises:
        RemoteProtocolError: If a bound or a row has no instant there.
    """
    first, last = (
        None if bound == NULL else DateTime.from_data(bound).to_instant()
        for bound in (selection.first, selection.last)
    )
    chosen = []
    for row in rows:
        instant = DateTime.from_data(row[column]).to_instant()
        if (first is None or instant >= first) and (last is None or instant <= last):
            chosen.append(row)
    return tuple(chosen)

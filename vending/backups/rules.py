"""How rows are written engine-neutrally, in which order they are loaded, how far TIDs are raised.

value       in the backup
number      whole number
flag        true or false
text        text
bytes       base64
instant     microseconds since 1970-01-01T00:00Z
uuid        32 hexadecimal digits
document    JSON as it is
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from vending.backups.errors import BackupDamagedError, RestoreClockError
from vending.backups.model import TableShape, TableSum, ValueKind
from vending.errors import canonical_json
from vending.sts.errors import STSError
from vending.sts.tid import LARGEST_TID, BaseDate, TokenIdentifier

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Rows = Sequence[Sequence[Any]]
"""Rows as tuples, in the order of the table's columns."""


def encode_value(kind: ValueKind, value: Any) -> Any:  # noqa: ANN401 # a value of any column
    """Return a value of a column as it stands in a backup."""
    if value is None:
        return None
    match kind:
        case ValueKind.BYTES:
            return base64.b64encode(value).decode()
        case ValueKind.INSTANT:
            return (value - _EPOCH) // _MICROSECOND
        case ValueKind.UUID:
            return value.hex
        case _:
            return value


def decode_value(kind: ValueKind, value: Any) -> Any:  # noqa: ANN401 # a value of any column
    """Return a value of a backup as its column takes it."""
    if value is None:
        return None
    match kind:
        case ValueKind.BYTES:
            return base64.b64decode(value, validate=True)
        case ValueKind.INSTANT:
            return _EPOCH + value * _MICROSECOND
        case ValueKind.UUID:
            return uuid.UUID(hex=value)
        case _:
            return value


def encode_rows(shape: TableShape, rows: Rows) -> bytes:
    """Return some rows as one line of a backup."""
    kinds = [kind for _, kind in shape.columns]
    return canonical_json(
        {"rows": [[encode_value(k, v) for k, v in zip(kinds, row, strict=True)] for row in rows]}
    )


def decode_rows(shape: TableShape, line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of one line, by column.

    Raises:
        BackupDamagedError: They have another shape than their table.
    """
    try:
        return [
            {
                name: decode_value(kind, value)
                for (name, kind), value in zip(shape.columns, row, strict=True)
            }
            for row in line["rows"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        what = f"rows of {shape.name} cannot be read"
        raise BackupDamagedError(what) from error


def describe_shape(shape: TableShape) -> bytes:
    """Return the line that announces a table."""
    columns = [[name, kind.value] for name, kind in shape.columns]
    return canonical_json({"table": shape.name, "columns": columns, "key": list(shape.key)})


def read_shape(line: Mapping[str, Any]) -> TableShape:
    """Return the table that a line announces."""
    columns = tuple((str(name), ValueKind(kind)) for name, kind in line["columns"])
    return TableShape(str(line["table"]), columns, tuple(line["key"]), frozenset())


def parse_line(line: bytes) -> dict[str, Any]:
    """Return one line of a backup.

    Raises:
        BackupDamagedError: It is no record.
    """
    try:
        document = json.loads(line)
    except ValueError as error:
        what = "a line is no record"
        raise BackupDamagedError(what) from error
    if not isinstance(document, dict):
        what = "a line is no record"
        raise BackupDamagedError(what)
    return document


class RowTally:
    """Counts and digests the rows of one table as they pass."""

    def __init__(self) -> None:
        self._rows = 0
        self._digest = hashlib.sha256()

    def add(self, line: bytes, count: int) -> None:
        """Take in one line of rows."""
        self._rows += count
        self._digest.update(len(line).to_bytes(8) + line)

    def sum(self) -> TableSum:
        """Return what passed."""
        return TableSum(self._rows, self._digest.hexdigest())


def order_for_loading(shapes: Iterable[TableShape]) -> list[TableShape]:
    """Return the tables so that each comes after those whose rows it needs.

    The names decide where nothing else does, so that every backup has the same order.
    """
    waiting = {shape.name: shape for shape in shapes}
    ordered: list[TableShape] = []
    while waiting:
        free = [s for s in waiting.values() if not (s.after - {s.name}) & waiting.keys()]
        assert free, f"tables refer to each other in a ring: {sorted(waiting)}"
        following = min(free, key=lambda shape: shape.name)
        ordered.append(waiting.pop(following.name))
    return ordered


def life_of(table: str, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how a row comes to be as it is: its insert, then the columns of each update.

    Triggers let an approval begin as a request and take its steps in their order; they stay on
    while it is loaded, so it goes the same way again. Other rows are inserted as they are.
    """
    if table != "approvals" or row["state"] == "requested":
        return [dict(row)]
    undone = dict.fromkeys(
        ("decided_by", "decided_at", "decided_on", "note", "redeemed_by", "redeemed_at")
    )
    life = [{**row, **undone, "state": "requested"}]
    decided = {name: row[name] for name in ("id", "decided_by", "decided_at", "decided_on", "note")}
    was_approved = row["state"] == "redeemed" or (
        row["state"] == "withdrawn" and row["decided_by"] is not None
    )
    life.append({**decided, "state": "approved" if was_approved else row["state"]})
    if was_approved:
        ended = {name: row[name] for name in ("id", "redeemed_by", "redeemed_at")}
        life.append({**ended, "state": row["state"]})
    return life


def tid_floors(now: datetime, *, ahead_limit_min: int) -> dict[BaseDate, int]:
    """Return the last identifier each meter must count as used, by base date.

    A token made before now carries at most the identifier of its minute plus the limit
    (`next_tid` refuses more), so none made before now lies above `TID(now) + limit`: the next one
    is strictly later than every token that may have been lost. Base dates that have ended or not
    begun give no tokens and get no floor.
    """
    floors = {}
    for base_date in BaseDate:
        try:
            present = TokenIdentifier.at(now, base_date).minutes
        except STSError:
            continue
        floors[base_date] = min(present + ahead_limit_min, LARGEST_TID)
    return floors


def require_clock(
    now: datetime, seen_at: datetime, *, backward: timedelta, forward: timedelta, confirmed: bool
) -> None:
    """Check the clock of a restore against the last time in the backup.

    Raises:
        RestoreClockError: It lies before, or so far ahead that a person must have seen it.
    """
    drift = now - seen_at
    if drift < -backward or (drift > forward and not confirmed):
        raise RestoreClockError(now=now.isoformat(), seen=seen_at.isoformat())

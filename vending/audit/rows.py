"""Joins the columns of a row of SQLite to the bytes that are sealed, those PostgreSQL sends."""

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from vending.audit.rules import (
    ID_BYTES,
    LINK_ROW,
    LINK_TAIL_BYTES,
    LINK_WRITER,
    MAC_BYTES,
    decode_columns,
    encode_columns,
    link_message,
)

POSTGRES_EPOCH_US: Final = 946_684_800_000_000
_EIGHT: Final = (8).to_bytes(4)
_EVENT_START: Final = struct.Struct(">i16siq")
"""Id and instant, each behind its length."""
_PREFIXES_MAX: Final = 4_096
"""Different actors with different actions whose columns are kept joined."""
_LAST_POSITION: Final = ((1 << 63) - 1).to_bytes(8)
"""Of a row whose position is no number."""

LinkRow = tuple[int, int, bytes, bytes, bytes, bytes]
"""Position, kind, event id, event code, link, and the message that the link is made over."""


class _Sizes(dict[int, bytes]):
    """Lengths in 4 bytes; those of ordinary columns are looked up."""

    def __missing__(self, size: int) -> bytes:
        return size.to_bytes(4)


_SIZES: Final = _Sizes({size: size.to_bytes(4) for size in range(1_024)})


def write_event(row: Sequence[Any]) -> bytes:
    """Return an event of SQLite as its bytes, as `encode_columns` would; `at` counts from 2000."""
    return EventWriter()(row)


class EventWriter:
    """Writes events of SQLite; the columns that many of them share are joined once."""

    __slots__ = ("_joined",)

    def __init__(self) -> None:
        self._joined: dict[tuple[Any, ...], bytes] = {}

    def __call__(self, row: Sequence[Any]) -> bytes:
        """Return the row as its bytes."""
        event_id, at_us, kind, name, actor_id, session_id, action, subject, details = row
        shared = (kind, name, actor_id, session_id, action)
        joined = self._joined.get(shared)
        if joined is None:
            joined = self._join(shared)
        return b"".join(
            (
                _SIZES[len(event_id)],
                event_id,
                _EIGHT,
                at_us.to_bytes(8, "big", signed=True),
                joined,
                _SIZES[len(subject)],
                subject,
                _SIZES[len(details)],
                details,
            )
        )

    def write_all(self, rows: Sequence[Sequence[Any]]) -> list[bytes]:
        """Return the rows as their bytes; the same as one by one, and faster."""
        joined_of, sizes, start, join = self._joined, _SIZES, _EVENT_START.pack, b"".join
        written: list[bytes] = []
        add = written.append
        for row in rows:
            event_id, at_us, kind, name, actor_id, session_id, action, subject, details = row
            joined = joined_of.get((kind, name, actor_id, session_id, action))
            try:
                # Packing would fill an id up that is none.
                if joined is None or len(event_id) != ID_BYTES:
                    add(written_anyhow(row, self))
                    continue
                begun = start(ID_BYTES, event_id, 8, at_us)
                add(
                    join(
                        (begun, joined, sizes[len(subject)], subject, sizes[len(details)], details)
                    )
                )
            except (TypeError, struct.error):
                add(written_anyhow(row, self))
        return written

    def _join(self, shared: tuple[Any, ...]) -> bytes:
        kind, name, _, _, action = shared
        if None in {kind, name, action}:
            message = "a column that always has a value has none"
            raise TypeError(message)
        if len(self._joined) >= _PREFIXES_MAX:
            self._joined.clear()
        self._joined[shared] = encode_columns(shared)
        return self._joined[shared]


def written_anyhow(row: Sequence[Any], write: Callable[[Sequence[Any]], bytes]) -> bytes:
    """Return a row as its bytes, even if its columns are not of the kinds that the table declares.

    It is no row of ours then.
    """
    try:
        return write(row)
    except (AttributeError, TypeError, ValueError, OverflowError, struct.error):
        first = row[0] if isinstance(row[0], bytes) else position_bytes(row[0])
        return encode_columns([first, *map(any_bytes, row[1:])])


def take_links(rows: Sequence[Sequence[Any]]) -> list[LinkRow]:
    """Return links of SQLite."""
    pack = LINK_WRITER.pack
    try:
        return [
            (
                position,
                kind,
                event_id,
                event_mac,
                link,
                pack(8, position, 2, kind, ID_BYTES, event_id, MAC_BYTES, event_mac),
            )
            if len(event_mac) == len(link) == MAC_BYTES == 2 * len(event_id)
            else take_link((position, kind, event_id, event_mac, link))
            for position, kind, event_id, event_mac, link in rows
        ]
    except (TypeError, struct.error):
        return [take_link(row) for row in rows]


def split_links(rows: Sequence[bytes]) -> list[LinkRow]:
    """Return the links whose bytes these are."""
    unpack = LINK_ROW.unpack
    try:
        return [(*unpack(row), row[:-LINK_TAIL_BYTES]) for row in rows]
    except struct.error:
        return [split_link(row) for row in rows]


def take_link(row: Sequence[Any]) -> LinkRow:
    """Return a link of SQLite."""
    position, kind, event_id, event_mac, link = row
    try:
        if len(event_mac) == len(link) == MAC_BYTES == 2 * len(event_id):
            message = link_message(position, kind, event_id, event_mac)
            return position, kind, event_id, event_mac, link, message
    except (TypeError, struct.error):
        pass  # of another type, or a number that is too large
    # Packing would pad them, and a shortened column would look whole.
    return split_link(encode_columns([position_bytes(position), *map(any_bytes, row[1:])]))


def split_link(row: bytes) -> LinkRow:
    """Return the link whose bytes these are; what is torn is filled up."""
    try:
        return *LINK_ROW.unpack(row), row[:-LINK_TAIL_BYTES]
    except struct.error:
        position, kind, event_id, event_mac, link = (one or b"" for one in decode_columns(row))
    return (
        int.from_bytes(position, signed=True),
        int.from_bytes(kind, signed=True) if kind else -1,
        event_id.ljust(16, b"\0")[:16],
        event_mac,
        link,
        # Not even by its message can it be taken for one that is whole.
        row + b"torn",
    )


def position_bytes(position: object) -> bytes:
    """Return a position as the bytes of its column."""
    return position.to_bytes(8, signed=True) if isinstance(position, int) else _LAST_POSITION


def any_bytes(value: object) -> bytes | None:
    """Return any value of SQLite as bytes; a number as more of them than a column of ours has."""
    match value:
        case bytes() | None:
            return value
        case int():
            return value.to_bytes(16, signed=True)
        case _:
            return str(value).encode(errors="replace")


def write_head(row: Sequence[Any]) -> bytes:
    """Return a head of SQLite as its bytes."""
    position, previous_position, link, sealed_at_us, signature, mac = row
    return encode_columns(
        [
            position_bytes(position),
            previous_position.to_bytes(8, signed=True),
            link,
            (sealed_at_us - POSTGRES_EPOCH_US).to_bytes(8, signed=True),
            signature,
            mac,
        ]
    )

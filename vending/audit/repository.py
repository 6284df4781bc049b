"""Every query on the chain; rows are read as the bytes that are sealed, a million in seconds.

PostgreSQL is asked by COPY in binary, whose rows are those bytes already. SQLite is read through
the driver's own cursor, and each row is joined here. Neither makes an object of a column.
"""

import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, text, update

from vending.audit.model import EventFilter, Head, Link, RecordedEvent, Waiting
from vending.audit.rules import EVENT_COLUMNS, MAC_BYTES, encode_columns, link_message
from vending.audit.tables import KEY_ID, audit_heads, audit_keys, audit_links
from vending.persistence.audit import audit_events, audit_queue
from vending.persistence.bulk import insert_rows, is_one_of
from vending.persistence.column_types import is_sqlite
from vending.persistence.upsert import insert_or_ignore

SEAL_LOCK: Final = 0x61756469
"""Key of PostgreSQL's advisory lock: one transaction at a time makes the chain longer."""
LOOKUP_MAX: Final = 500
"""Identifiers in one query."""

_COPY_HEADER_BYTES: Final = 19
_COPY_END: Final = b"\xff\xff"
_COUNT_BYTES: Final = 2
"""Of the number of columns, before each row."""
_POSTGRES_EPOCH_US: Final = 946_684_800_000_000
_NULL: Final = b"\xff\xff\xff\xff"
_EIGHT: Final = (8).to_bytes(4)
_THIRTY_TWO: Final = (32).to_bytes(4)
_EVENTS: Final = ", ".join(f"e.{name}" for name in EVENT_COLUMNS)
_EVENTS_ON_SQLITE: Final = ", ".join(
    f"e.{name}" if name in {"id", "at", "actor_id", "session_id"} else f"CAST(e.{name} AS BLOB)"
    for name in EVENT_COLUMNS
)
_LINKS: Final = "position, kind, event_id, event_mac, link"
_HEADS: Final = "position, previous_position, link, sealed_at, signature, mac"
_WAITING_ID_BYTES: Final = 4 + 16
_IS_SEALED_BYTES: Final = 4 + 2


class _Sizes(dict[int, bytes]):
    """Lengths in 4 bytes; those of ordinary columns are looked up."""

    def __missing__(self, size: int) -> bytes:
        return size.to_bytes(4)


_SIZES: Final = _Sizes({size: size.to_bytes(4) for size in range(1_024)})

RowWriter = Callable[[Sequence[Any]], bytes]
"""Joins the columns that SQLite's driver gave; `Any`: the driver has no types for them."""


# --- rows as bytes -----------------------------------------------------------------------------
def read_events(connection: Connection, after: UUID | None, limit: int) -> Iterator[bytes]:
    """Yield events in the order of their ids, each as its bytes."""
    columns = _EVENTS_ON_SQLITE if is_sqlite(connection.dialect) else _EVENTS
    where = "" if after is None else f"WHERE e.id > {_id_literal(connection, after)}"
    query = f"SELECT {columns} FROM audit_events e {where} ORDER BY e.id LIMIT {limit:d}"  # noqa: S608 # made of our own names and numbers
    return _read_rows(connection, query, write_event)


def read_links(connection: Connection, after: int, limit: int) -> Iterator[bytes]:
    """Yield links in the order of their positions, each as its bytes."""
    query = (
        f"SELECT {_LINKS} FROM audit_links WHERE position > {after:d}"  # noqa: S608 # made of our own names and numbers
        f" ORDER BY position LIMIT {limit:d}"
    )
    return _read_rows(connection, query, write_link)


def read_heads(connection: Connection, after: int, limit: int) -> Iterator[bytes]:
    """Yield heads in the order of their positions, each as its bytes."""
    query = (
        f"SELECT {_HEADS} FROM audit_heads WHERE position > {after:d}"  # noqa: S608 # made of our own names and numbers
        f" ORDER BY position LIMIT {limit:d}"
    )
    return _read_rows(connection, query, write_head)


def list_waiting(connection: Connection, limit: int) -> list[Waiting]:
    """Return the events at the front of the queue, in its order; one statement, one snapshot."""
    columns = _EVENTS_ON_SQLITE if is_sqlite(connection.dialect) else _EVENTS
    query = (
        "SELECT q.event_id, CAST(CASE WHEN l.position IS NULL THEN 0 ELSE 1 END AS smallint),"  # noqa: S608 # made of our own names and numbers
        f" {columns}"
        f" FROM (SELECT event_id FROM audit_queue ORDER BY event_id LIMIT {limit:d}) q"
        " LEFT JOIN audit_events e ON e.id = q.event_id"
        " LEFT JOIN audit_links l ON l.event_id = q.event_id"
        " ORDER BY q.event_id"
    )
    return [_waiting_of(row) for row in _read_rows(connection, query, _write_waiting)]


def _waiting_of(row: bytes) -> Waiting:
    event = row[_WAITING_ID_BYTES + _IS_SEALED_BYTES :]
    return Waiting(
        event_id=UUID(bytes=row[4:_WAITING_ID_BYTES]),
        event=None if event.startswith(_NULL) else event,
        is_sealed=row[_WAITING_ID_BYTES + _IS_SEALED_BYTES - 1] == 1,
    )


def write_event(row: Sequence[Any]) -> bytes:
    """Return an event of SQLite as its bytes, as `encode_columns` would, written out for speed."""
    event_id, at_us, kind, name, actor_id, session_id, action, subject, details = row
    size = _SIZES.__getitem__
    return b"".join(
        (
            size(len(event_id)),
            event_id,
            _EIGHT,
            (at_us - _POSTGRES_EPOCH_US).to_bytes(8, signed=True),
            size(len(kind)),
            kind,
            size(len(name)),
            name,
            _NULL if actor_id is None else size(len(actor_id)) + actor_id,
            _NULL if session_id is None else size(len(session_id)) + session_id,
            size(len(action)),
            action,
            size(len(subject)),
            subject,
            size(len(details)),
            details,
        )
    )


def write_link(row: Sequence[Any]) -> bytes:
    """Return a link of SQLite as its bytes."""
    position, kind, event_id, event_mac, link = row
    if not len(event_mac) == len(link) == MAC_BYTES == 2 * len(event_id):
        # Packing would pad them, and a shortened column would look whole.
        numbers = position.to_bytes(8, signed=True), kind.to_bytes(2, signed=True)
        return encode_columns([*numbers, event_id, event_mac, link])
    return b"".join((link_message(position, kind, event_id, event_mac), _THIRTY_TWO, link))


def write_head(row: Sequence[Any]) -> bytes:
    """Return a head of SQLite as its bytes."""
    position, previous_position, link, sealed_at_us, signature, mac = row
    return encode_columns(
        [
            position.to_bytes(8, signed=True),
            previous_position.to_bytes(8, signed=True),
            link,
            (sealed_at_us - _POSTGRES_EPOCH_US).to_bytes(8, signed=True),
            signature,
            mac,
        ]
    )


def _write_waiting(row: Sequence[Any]) -> bytes:
    event_id, is_sealed, *event = row
    start = encode_columns([event_id, is_sealed.to_bytes(2)])
    return start + (_NULL if event[0] is None else write_event(event))


def _read_rows(connection: Connection, query: str, write: RowWriter) -> Iterator[bytes]:
    driver: Any = connection.connection.driver_connection
    if is_sqlite(connection.dialect):
        return _written_rows(driver.execute(query), write)
    return _copied_rows(driver, query)


def _written_rows(cursor: Iterator[Sequence[Any]], write: RowWriter) -> Iterator[bytes]:
    for row in cursor:
        try:
            yield write(row)
        except (TypeError, ValueError, OverflowError, struct.error):
            # Its columns are not of the kinds that the table declares: no row of ours.
            yield encode_columns([str(value).encode() for value in row])


def _copied_rows(driver: Any, query: str) -> Iterator[bytes]:  # noqa: ANN401 # psycopg's connection, unknown on SQLite
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)") as rows,
    ):
        start = _COPY_HEADER_BYTES
        for block in rows:
            row = bytes(block)[start:]
            start = 0
            if row and row != _COPY_END:
                yield row[_COUNT_BYTES:]


def _id_literal(connection: Connection, wanted: UUID) -> str:
    return f"x'{wanted.hex}'" if is_sqlite(connection.dialect) else f"'{wanted}'::uuid"


# --- the end of the chain ----------------------------------------------------------------------
def hold_chain(connection: Connection) -> bool:
    """Make this transaction the one that makes the chain longer; False: another one does."""
    if is_sqlite(connection.dialect):
        return True  # the write transaction holds everything
    statement = text("SELECT pg_try_advisory_xact_lock(:key)")
    return bool(connection.execute(statement, {"key": SEAL_LOCK}).scalar_one())


def wait_for_chain(connection: Connection) -> None:
    """Make this transaction the one that makes the chain longer, after the one that does."""
    if not is_sqlite(connection.dialect):
        statement = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(statement, {"key": SEAL_LOCK})


def find_last_link(connection: Connection) -> tuple[int, bytes] | None:
    """Return position and link of the newest link; None: there is none."""
    query = (
        select(audit_links.c.position, audit_links.c.link)
        .order_by(audit_links.c.position.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.position, row.link)


def find_link_until(connection: Connection, position: int) -> tuple[int, bytes] | None:
    """Return the newest link at or before the position; None: there is none."""
    query = (
        select(audit_links.c.position, audit_links.c.link)
        .where(audit_links.c.position <= position)
        .order_by(audit_links.c.position.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.position, row.link)


def insert_links(connection: Connection, links: Sequence[Link]) -> None:
    """Make the chain longer."""
    insert_rows(
        connection,
        audit_links,
        [
            {
                "position": link.position,
                "kind": link.kind.value,
                "event_id": link.event_id,
                "event_mac": link.event_mac,
                "link": link.link,
            }
            for link in links
        ],
    )


def drop_waiting(connection: Connection, event_ids: Sequence[UUID]) -> None:
    """Take the events out of the queue."""
    for start in range(0, len(event_ids), LOOKUP_MAX):
        some = event_ids[start : start + LOOKUP_MAX]
        wanted = is_one_of(connection, audit_queue.c.event_id, some)
        connection.execute(delete(audit_queue).where(wanted))


def list_queued(connection: Connection, *, limit: int) -> list[UUID]:
    """Return the ids at the front of the queue."""
    query = select(audit_queue.c.event_id).order_by(audit_queue.c.event_id).limit(limit)
    return list(connection.execute(query).scalars())


def count_queued(connection: Connection) -> int:
    """Return how many events wait."""
    return connection.execute(select(func.count()).select_from(audit_queue)).scalar_one()


# --- heads -------------------------------------------------------------------------------------
def find_last_head(connection: Connection) -> tuple[Head, bytes] | None:
    """Return the newest head and its code; None: there is none."""
    query = select(audit_heads).order_by(audit_heads.c.position.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else (_head_of(row), row.mac)


def insert_head(connection: Connection, head: Head, mac: bytes) -> None:
    """Store the head."""
    connection.execute(
        insert(audit_heads).values(
            position=head.position,
            previous_position=head.previous_position,
            link=head.link,
            sealed_at=head.sealed_at,
            signature=head.signature,
            mac=mac,
        )
    )


def list_heads(connection: Connection, after: int, limit: int) -> list[tuple[Head, bytes]]:
    """Return the heads after a position with their codes, the oldest first."""
    query = (
        select(audit_heads)
        .where(audit_heads.c.position > after)
        .order_by(audit_heads.c.position)
        .limit(limit)
    )
    return [(_head_of(row), row.mac) for row in connection.execute(query)]


def find_heads(connection: Connection, positions: Collection[int]) -> dict[int, Head]:
    """Return the heads at these positions."""
    assert len(positions) <= LOOKUP_MAX, "a look-up is bounded"
    query = select(audit_heads).where(audit_heads.c.position.in_(positions))
    return {row.position: _head_of(row) for row in connection.execute(query)}


def find_links(connection: Connection, positions: Collection[int]) -> dict[int, bytes]:
    """Return the links at these positions."""
    assert len(positions) <= LOOKUP_MAX, "a look-up is bounded"
    query = select(audit_links.c.position, audit_links.c.link).where(
        audit_links.c.position.in_(positions)
    )
    return {row.position: row.link for row in connection.execute(query)}


def _head_of(row: Any) -> Head:  # noqa: ANN401 # SQLAlchemy's row
    return Head(row.position, row.previous_position, row.link, row.sealed_at, row.signature)


# --- the key -----------------------------------------------------------------------------------
def find_key(connection: Connection) -> bytes | None:
    """Return the sealed secret of the chain; None: there is none yet."""
    return connection.execute(select(audit_keys.c.sealed)).scalar_one_or_none()


def insert_key(connection: Connection, sealed: bytes, *, created_at: datetime) -> bool:
    """Store the sealed secret; False: another process was faster."""
    statement = (
        insert_or_ignore(connection, audit_keys)
        .values(id=KEY_ID, sealed=sealed, created_at=created_at)
        .returning(audit_keys.c.id)
    )
    return connection.execute(statement).one_or_none() is not None


def update_key(connection: Connection, sealed: bytes) -> None:
    """Replace the sealed secret by the same one, sealed anew."""
    connection.execute(update(audit_keys).values(sealed=sealed))


# --- events ------------------------------------------------------------------------------------
def find_linked(connection: Connection, event_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the events that have a link."""
    return _find_ids(connection, audit_links.c.event_id, event_ids)


def find_queued(connection: Connection, event_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the events that wait."""
    return _find_ids(connection, audit_queue.c.event_id, event_ids)


def find_events(connection: Connection, event_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the events that exist."""
    return _find_ids(connection, audit_events.c.id, event_ids)


def load_row(connection: Connection, event_id: UUID) -> bytes | None:
    """Return one event as its bytes; None: there is none."""
    columns = _EVENTS_ON_SQLITE if is_sqlite(connection.dialect) else _EVENTS
    wanted = _id_literal(connection, event_id)
    query = f"SELECT {columns} FROM audit_events e WHERE e.id = {wanted}"  # noqa: S608 # made of our own names and an id
    return next(iter(list(_read_rows(connection, query, write_event))), None)


def load_event(connection: Connection, event_id: UUID) -> RecordedEvent:
    """Return one event that exists."""
    row = connection.execute(select(audit_events).where(audit_events.c.id == event_id)).one()
    return RecordedEvent(**row._mapping)  # noqa: SLF001 # SQLAlchemy's public name of it


def list_events(
    connection: Connection, wanted: EventFilter, *, before: UUID | None, limit: int
) -> list[RecordedEvent]:
    """Return events, the newest first."""
    column = audit_events.c
    query = select(audit_events).order_by(column.id.desc()).limit(limit)
    if before is not None:
        query = query.where(column.id < before)
    if wanted.subject is not None:
        query = query.where(column.subject == wanted.subject)
    if wanted.actor is not None:
        query = query.where(column.actor_name == wanted.actor)
    if wanted.action is not None:
        is_feature = wanted.action.endswith(".")
        query = query.where(
            column.action.startswith(wanted.action, autoescape=True)
            if is_feature
            else column.action == wanted.action
        )
    if wanted.since is not None:
        query = query.where(column.id >= first_id_of(wanted.since))
    if wanted.until is not None:
        query = query.where(column.id < first_id_of(wanted.until))
    return [RecordedEvent(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 # SQLAlchemy's public name of it


def first_id_of(instant: datetime) -> UUID:
    """Return the least identifier of version 7 that the moment can have."""
    return UUID(int=int(instant.timestamp() * 1000) << 80)


def _find_ids(
    connection: Connection, column: ColumnElement[UUID], event_ids: Collection[UUID]
) -> set[UUID]:
    found: set[UUID] = set()
    wanted = list(event_ids)
    for start in range(0, len(wanted), LOOKUP_MAX):
        some = wanted[start : start + LOOKUP_MAX]
        found.update(connection.execute(select(column).where(column.in_(some))).scalars())
    return found

"""Every query on the chain; rows are read as the bytes that are sealed, a million in seconds.

PostgreSQL is asked by COPY in binary, whose rows are those bytes already. SQLite is read through
the driver's own cursor, and each row is joined here. Neither makes an object of a column.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, text, update

from vending.audit.model import EventFilter, Head, Link, RecordedEvent, Waiting
from vending.audit.rows import (
    POSTGRES_EPOCH_US,
    EventWriter,
    LinkRow,
    any_bytes,
    split_links,
    take_links,
    write_event,
    write_head,
    written_anyhow,
)
from vending.audit.rules import EVENT_COLUMNS, decode_columns, encode_columns
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
_NULL: Final = b"\xff\xff\xff\xff"
_EVENTS: Final = ", ".join(f"e.{name}" for name in EVENT_COLUMNS)
_BLOBS: Final = frozenset({"id", "actor_id", "session_id"})
_LINKS: Final = "position, kind, event_id, event_mac, link"
_HEADS: Final = "position, previous_position, link, sealed_at, signature, mac"
_ID_BYTES: Final = 16
_WAITING_ID_BYTES: Final = 4 + 16
_IS_SEALED_BYTES: Final = 4 + 2


RowWriter = Callable[[Sequence[Any]], bytes]
"""Joins the columns that SQLite's driver gave; `Any`: the driver has no types for them."""


# --- rows as bytes -----------------------------------------------------------------------------
def read_events(connection: Connection, limit: int) -> Iterator[list[bytes]]:
    """Yield chunks of events in the order of their ids, each event as its bytes.

    Rows that bear one id, which only a table without its primary key holds, are all yielded.
    """
    if is_sqlite(connection.dialect):
        query = f"SELECT {_sqlite_events(connection)} FROM audit_events e ORDER BY e.id"  # noqa: S608 # made of our own names
        writer = EventWriter()
        for chunk in _chunks(connection, query, limit):
            yield writer.write_all(chunk)
        return

    def select_from(last: bytes | None, comparison: str) -> str:
        where = "" if last is None else f"WHERE e.id {comparison} '{UUID(bytes=last)}'::uuid"
        return f"SELECT {_EVENTS} FROM audit_events e {where} ORDER BY e.id"  # noqa: S608 # made of our own names and an id

    yield from _pages(connection, select_from, slice(4, 20), limit)


def read_links(connection: Connection, limit: int) -> Iterator[list[LinkRow]]:
    """Yield chunks of links in the order of their positions."""
    if is_sqlite(connection.dialect):
        query = f"SELECT {_LINKS} FROM audit_links ORDER BY position"  # noqa: S608 # made of our own names
        for chunk in _chunks(connection, query, limit):
            yield take_links(chunk)
        return

    def select_from(last: bytes | None, comparison: str) -> str:
        after = "" if last is None else int.from_bytes(last, signed=True)
        where = "" if last is None else f"WHERE position {comparison} {after}"
        return f"SELECT {_LINKS} FROM audit_links {where} ORDER BY position"  # noqa: S608 # made of our own names and a number

    for page in _pages(connection, select_from, slice(4, 12), limit):
        yield split_links(page)


def read_heads(connection: Connection, after: int, limit: int) -> Iterator[bytes]:
    """Yield heads in the order of their positions, each as its bytes."""
    query = (
        f"SELECT {_HEADS} FROM audit_heads WHERE position > {after:d}"  # noqa: S608 # made of our own names and numbers
        f" ORDER BY position LIMIT {limit:d}"
    )
    return _read_rows(connection, query, write_head)


def list_waiting(connection: Connection, limit: int) -> list[Waiting]:
    """Return the events at the front of the queue, in its order; one statement, one snapshot."""
    columns, whole = _EVENTS, ""
    if is_sqlite(connection.dialect):
        columns, whole = _sqlite_events(connection), f" WHERE length(event_id) = {_ID_BYTES}"
    query = (
        "SELECT q.event_id, CAST(CASE WHEN l.position IS NULL THEN 0 ELSE 1 END AS smallint),"  # noqa: S608 # made of our own names and numbers
        f" {columns}"
        f" FROM (SELECT event_id FROM audit_queue{whole} ORDER BY event_id LIMIT {limit:d}) q"
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


def _sqlite_events(connection: Connection) -> str:
    """Return the columns of events on SQLite, whose text is taken as the bytes it is.

    Only in a STRICT table has a column one type. In another one, which somebody made in its place,
    a value of another type is given as NULL, which no such column holds.
    """
    driver: Any = connection.connection.driver_connection
    strict = "SELECT 1 FROM pragma_table_list WHERE name = 'audit_events' AND strict"
    is_strict = driver.execute(strict).fetchone() is not None
    return ", ".join(_sqlite_column(name, is_strict=is_strict) for name in EVENT_COLUMNS)


def _sqlite_column(name: str, *, is_strict: bool) -> str:
    if name in _BLOBS:
        return f"e.{name}"
    if name == "at":
        taken, kind = f"e.at - {POSTGRES_EPOCH_US}", "integer"
    else:
        taken, kind = f"CAST(e.{name} AS BLOB)", "text"
    return taken if is_strict else f"CASE typeof(e.{name}) WHEN '{kind}' THEN {taken} END"


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
        yield written_anyhow(row, write)


def _copied_rows(driver: Any, query: str) -> Iterator[bytes]:  # noqa: ANN401 # psycopg's connection, unknown on SQLite
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)") as rows,
    ):
        first = bytes(rows.read())[_COPY_HEADER_BYTES:]
        if first and first != _COPY_END:  # older servers send the header with the first row
            yield first[_COUNT_BYTES:]
        # libpq's own call, a row each; the end itself is left to psycopg, which closes the copy.
        get = driver.pgconn.get_copy_data
        size, block = (-1, b"") if first == _COPY_END else get(0)
        while size > 0 and block != _COPY_END:
            yield bytes(block[_COUNT_BYTES:])
            size, block = get(0)
        for _ in rows:
            pass


def _chunks(connection: Connection, query: str, limit: int) -> Iterator[Sequence[Sequence[Any]]]:
    """Yield what SQLite has, so many rows at once."""
    driver: Any = connection.connection.driver_connection
    cursor = driver.execute(query)
    while rows := cursor.fetchmany(limit):
        yield rows


def _pages(
    connection: Connection, select_from: Callable[[bytes | None, str], str], key: slice, limit: int
) -> Iterator[list[bytes]]:
    """Yield what PostgreSQL has, a page a query.

    A page begins with the last key of the one before, lest a second row of that key be passed
    over; the row that was seen is taken off.
    """
    driver = connection.connection.driver_connection
    last: bytes | None = None
    comparison = ">="
    while True:
        query = f"{select_from(last, comparison)} LIMIT {limit + 1:d}"
        rows = list(_copied_rows(driver, query))
        is_end = len(rows) <= limit
        if last is not None and rows and rows[0][key] == last:
            del rows[0]
        if rows:
            yield rows
        if is_end:
            return
        # A whole page of one key has been seen by now: it goes on behind it.
        comparison = ">" if rows[-1][key] == last else ">="
        last = rows[-1][key]


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
    if is_sqlite(connection.dialect):  # which lets somebody put in what is no id, and no event
        query = query.where(func.length(audit_queue.c.event_id) == _ID_BYTES)
    return list(connection.execute(query).scalars())


def find_misqueued(connection: Connection, limit: int) -> list[bytes]:
    """Return places of the queue that stand for no event, or for one that has a link."""
    query = (
        "SELECT q.event_id FROM audit_queue q LEFT JOIN audit_events e ON e.id = q.event_id"  # noqa: S608 # made of our own names and a number
        " LEFT JOIN audit_links l ON l.event_id = q.event_id"
        f" WHERE e.id IS NULL OR l.position IS NOT NULL ORDER BY q.event_id LIMIT {limit:d}"
    )
    rows = _read_rows(connection, query, lambda row: encode_columns([any_bytes(row[0])]))
    return [decode_columns(row)[0] or b"" for row in rows]


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


def find_heads(connection: Connection, positions: Collection[int]) -> dict[int, bytes]:
    """Return the heads at these positions, each as its bytes."""
    assert len(positions) <= LOOKUP_MAX, "a look-up is bounded"
    wanted = ", ".join(f"{position:d}" for position in positions) or "NULL"
    query = f"SELECT {_HEADS} FROM audit_heads WHERE position IN ({wanted})"  # noqa: S608 # made of our own names and numbers
    rows = _read_rows(connection, query, write_head)
    return {int.from_bytes(row[4:12], signed=True): row for row in rows}


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
    """Return the sealed secret of the chain; None: there is none yet.

    What is no single secret, which a table without its key can hold, is returned as no bytes.
    """
    found = connection.execute(select(audit_keys.c.sealed)).scalars().all()
    if not found:
        return None
    return found[0] if len(found) == 1 and isinstance(found[0], bytes) else b""


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
    return next(iter(load_rows(connection, event_id)), None)


def load_rows(connection: Connection, event_id: UUID) -> list[bytes]:
    """Return the events of this id, each as its bytes; more than one if the table lost its key."""
    columns = _sqlite_events(connection) if is_sqlite(connection.dialect) else _EVENTS
    wanted = _id_literal(connection, event_id)
    query = f"SELECT {columns} FROM audit_events e WHERE e.id = {wanted}"  # noqa: S608 # made of our own names and an id
    return list(_read_rows(connection, query, write_event))


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
    """Return the least identifier of version 7 that the moment can have; none is before 1970."""
    return UUID(int=max(0, int(instant.timestamp() * 1000)) << 80)


def _find_ids(
    connection: Connection, column: ColumnElement[UUID], event_ids: Collection[UUID]
) -> set[UUID]:
    found: set[UUID] = set()
    wanted = list(event_ids)
    for start in range(0, len(wanted), LOOKUP_MAX):
        some = wanted[start : start + LOOKUP_MAX]
        found.update(connection.execute(select(column).where(column.in_(some))).scalars())
    return found

"""Seals what waits: one batch, one transaction, one signed head.

Events enter the chain in the order of the queue. One whose transaction commits late comes after
others that are younger; it is queued with its commit, so none is passed over. Whatever somebody
did to the end of the chain, sealing goes on behind it: what is sealed now is safe from now on,
and `verify` names the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from vending.audit import repository
from vending.audit.model import Head, Link, LinkKind, Waiting
from vending.audit.rules import (
    FIRST_LINK,
    ChainKeys,
    head_row,
    instant_of,
    link_message,
    missing_mac,
)
from vending.audit.service.keys import ensure_keys
from vending.keystore.sealing import Sealer
from vending.persistence.engine import Database
from vending.values.clock import Clock

BATCH_MAX: Final = 1_000
"""Events of one transaction: on SQLite a sale waits for it, about 20 ms."""
SEAL_INTERVAL_S: Final = 2
"""Pause when nothing waited: within it a superuser can unmake what no head vouches for yet."""


@dataclass(frozen=True, slots=True)
class End:
    """Where the chain ends."""

    position: int
    link: bytes
    head_position: int
    """Of the newest head."""


def seal_waiting(
    database: Database, sealer: Sealer, *, clock: Clock, exported_position: int = 0
) -> int:
    """Seal a batch; return how many events were taken out of the queue.

    `exported_position` is that of the newest head outside the database: positions up to it are
    never given again, so that a chain which was cut off shows the cut.

    Raises:
        AuditKeyMissingError: There is a chain, and no key for it.
        AuditKeyAlteredError: The stored key was altered.
    """
    with database.read() as connection:
        if not repository.list_queued(connection, limit=1):
            return 0
    with database.unit_of_work() as uow:
        connection = uow.connection
        if not repository.hold_chain(connection):
            return 0
        keys = ensure_keys(connection, sealer, clock=clock)
        waiting = repository.list_waiting(connection, BATCH_MAX)
        end = find_end(connection)
        links = _make_links(waiting, keys, end, first=max(end.position, exported_position) + 1)
        append(connection, links, keys, end, sealed_at=clock.now())
        repository.drop_waiting(connection, [one.event_id for one in waiting])
        uow.commit()
    return len(waiting)


def find_end(connection: Connection) -> End:
    """Return where the chain ends, as the database says it."""
    position, link = repository.find_last_link(connection) or (0, FIRST_LINK)
    head = repository.find_last_head(connection)
    # Behind a head that reaches farther than the links, lest two heads claim one position.
    head_position = 0 if head is None else head[0].position
    return End(max(position, head_position), link, head_position)


def append(
    connection: Connection, links: Sequence[Link], keys: ChainKeys, end: End, *, sealed_at: datetime
) -> Head | None:
    """Make the chain longer, under a head of its own; None: there was nothing to add."""
    if not links:
        return None
    repository.insert_links(connection, links)
    newest = links[-1]
    head = keys.sign(newest.position, end.head_position, newest.link, sealed_at)
    repository.insert_head(connection, head, keys.head_code(head_row(head)))
    return head


def make_link(
    keys: ChainKeys, previous: bytes, position: int, kind: LinkKind, event: tuple[UUID, bytes]
) -> Link:
    """Return the link of an event, given by its id and its code."""
    event_id, event_mac = event
    message = link_message(position, kind.value, event_id.bytes, event_mac)
    return Link(position, kind, event_id, event_mac, keys.link_code(previous + message))


def lag(connection: Connection, now: datetime) -> timedelta:
    """Return how long the oldest event has waited to be sealed; nothing waits: no time."""
    oldest = repository.list_queued(connection, limit=1)
    return now - instant_of(oldest[0]) if oldest else timedelta(0)


def _make_links(waiting: Sequence[Waiting], keys: ChainKeys, end: End, *, first: int) -> list[Link]:
    links: list[Link] = []
    previous = end.link
    position = first
    for one in waiting:
        if one.is_sealed:
            continue
        raw_id = one.event_id.bytes
        if one.event is None:
            kind, mac = LinkKind.MISSING, missing_mac(keys, raw_id)
        else:
            kind, mac = LinkKind.EVENT, keys.event_code(one.event)
        links.append(make_link(keys, previous, position, kind, (one.event_id, mac)))
        previous = links[-1].link
        position += 1
    return links

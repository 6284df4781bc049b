"""Declares what a restored backup has lost, so that the cut is known and has a name.

The declaration is an event in a link of a kind that the sealing job never makes: who can write to
the database, and has not the key, cannot declare away what he deleted.
"""

import json
from uuid import UUID

from sqlalchemy import Connection

from vending.audit import repository
from vending.audit.errors import HeadInvalidError, NoGapError
from vending.audit.model import GAP_DECLARED, DeclaredGap, Head, LinkKind
from vending.audit.rules import FIRST_LINK, ChainKeys, decode_columns, from_microseconds
from vending.audit.service.sealing import append, find_end, make_link
from vending.persistence.audit import AuditEvent, insert_events
from vending.persistence.column_types import Json
from vending.values.actor import Actor
from vending.values.clock import Clock


def declare_gap(
    connection: Connection,
    keys: ChainKeys,
    exported_head: Head,
    *,
    reason: str,
    by: Actor,
    clock: Clock,
) -> DeclaredGap:
    """Name the positions from the chain to the newest exported head as lost; the caller commits.

    The chain goes on behind the exported head. `verify` lists the gap, apart from what it finds.

    Raises:
        HeadInvalidError: The head bears no signature of this installation.
        NoGapError: The chain holds that head.
    """
    if not keys.public_key.has_signed(exported_head):
        where = f"exported head at position {exported_head.position}"
        raise HeadInvalidError(where, why="the signature is not ours")
    repository.wait_for_chain(connection)
    before, link = repository.find_link_until(connection, exported_head.position) or (
        0,
        FIRST_LINK,
    )
    if (before, link) == (exported_head.position, exported_head.link):
        raise NoGapError(exported_head.position)
    details: dict[str, Json] = {
        "after": min(before, exported_head.position - 1),
        "through": exported_head.position,
        "head_link": exported_head.link.hex(),
        "reason": reason,
    }
    event = AuditEvent(by, GAP_DECLARED, "audit:chain", details)
    (event_id,) = insert_events(connection, [event], clock)
    row = repository.load_row(connection, event_id)
    assert row is not None, "it was just stored"
    end = find_end(connection)
    position = max(end.position, exported_head.position) + 1
    made = make_link(keys, end.link, position, LinkKind.GAP, (event_id, keys.event_code(row)))
    append(connection, [made], keys, end, sealed_at=clock.now())
    return read_gap(position, row)


def find_gap(
    connection: Connection, keys: ChainKeys, position: int, event_id: UUID, event_mac: bytes
) -> DeclaredGap | None:
    """Return the gap that a sealed event declares; None: the event is not as it was sealed."""
    for row in repository.load_rows(connection, event_id):
        if keys.event_code(row) == event_mac:
            return read_gap(position, row)
    return None


def read_gap(position: int, row: bytes) -> DeclaredGap:
    """Return the gap that an event declares, whose bytes were seen to be ours."""
    _, at, kind, name, _, _, _, _, details = (column or b"" for column in decode_columns(row))
    document = json.loads(details)
    return DeclaredGap(
        position=position,
        after=int(document["after"]),
        through=int(document["through"]),
        head_link=str(document["head_link"]),
        reason=str(document["reason"]),
        actor=f"{kind.decode()}:{name.decode()}",
        declared_at=from_microseconds(int.from_bytes(at, signed=True)),
    )

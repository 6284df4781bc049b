"""Declares what a restored backup has lost, so that the cut is known and has a name.

The declaration is an event in a link of a kind that the sealing job never makes: who can write to
the database, and has not the key, cannot declare away what he deleted.
"""

from uuid import UUID

from sqlalchemy import Connection

from vending.audit import repository
from vending.audit.errors import HeadInvalidError, NoGapError
from vending.audit.model import GAP_DECLARED, DeclaredGap, Head, LinkKind
from vending.audit.rules import FIRST_LINK, ChainKeys
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
    return load_gap(connection, position, event_id)


def load_gap(connection: Connection, position: int, event_id: UUID) -> DeclaredGap:
    """Return the gap that a sealed event declares."""
    event = repository.load_event(connection, event_id)
    details = event.details
    return DeclaredGap(
        position=position,
        after=int(str(details["after"])),
        through=int(str(details["through"])),
        head_link=str(details["head_link"]),
        reason=str(details["reason"]),
        actor=f"{event.actor_kind}:{event.actor_name}",
        declared_at=event.at,
    )

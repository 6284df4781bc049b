"""Shows what was recorded, and what was sealed of it."""

from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from vending.audit import repository
from vending.audit.model import EventFilter, EventPage, Head
from vending.audit.repository import find_links

__all__ = ["PAGE_SIZE_MAX", "find_head_at", "find_links", "list_events"]

PAGE_SIZE_MAX: Final = 500


def list_events(
    connection: Connection, wanted: EventFilter, *, before: UUID | None = None, limit: int = 100
) -> EventPage:
    """Return events, the newest first, at most `limit`; `before` continues a page."""
    assert 1 <= limit <= PAGE_SIZE_MAX, "a page is bounded"
    found = repository.list_events(connection, wanted, before=before, limit=limit + 1)
    page = tuple(found[:limit])
    return EventPage(page, page[-1].id if len(found) > limit else None)


def find_head_at(connection: Connection, position: int) -> Head | None:
    """Return the head at a position; None: there is none."""
    found = [head for head, _ in repository.list_heads(connection, position - 1, 1)]
    return found[0] if found and found[0].position == position else None

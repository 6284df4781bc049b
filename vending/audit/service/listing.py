"""Shows what was recorded."""

from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from vending.audit import repository
from vending.audit.model import EventFilter, EventPage

PAGE_SIZE_MAX: Final = 500


def list_events(
    connection: Connection, wanted: EventFilter, *, before: UUID | None = None, limit: int = 100
) -> EventPage:
    """Return events, the newest first, at most `limit`; `before` continues a page."""
    assert 1 <= limit <= PAGE_SIZE_MAX, "a page is bounded"
    found = repository.list_events(connection, wanted, before=before, limit=limit + 1)
    page = tuple(found[:limit])
    return EventPage(page, page[-1].id if len(found) > limit else None)

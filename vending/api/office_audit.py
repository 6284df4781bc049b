"""Routes of the audit log: what was done, by whom, when."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Query, Response
from pydantic import AwareDatetime, BaseModel, Field

from vending.api.deps import ContainerDep, requires
from vending.api.errors import encoded
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE, RecordId
from vending.audit.model import EventFilter, RecordedEvent
from vending.audit.service.listing import PAGE_SIZE_MAX, list_events
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission

router: Final = new_router("office")
TEXT_LENGTH_MAX: Final = 200
ReaderDep = Annotated[SignedIn, Depends(requires(Permission.AUDIT_READ))]
InstantQuery = Annotated[
    AwareDatetime | None, Query(description="With its offset", examples=["2026-11-25T08:00:00Z"])
]


class EventOut(BaseModel):
    """One act, as it was recorded."""

    id: RecordId
    at: Annotated[str, Field(examples=["2026-11-25T08:00:00+00:00"])]
    actor_kind: Annotated[str, Field(examples=["operator"])]
    actor_name: Annotated[str, Field(examples=["anna"])]
    actor_id: Annotated[UUID | None, Field(examples=[ID_EXAMPLE])]
    session_id: Annotated[UUID | None, Field(examples=[ID_EXAMPLE])]
    action: Annotated[str, Field(examples=["meter.state_changed"])]
    subject: Annotated[str, Field(examples=["meter:600727012345678973"])]
    details: Annotated[dict[str, Any], Field(examples=[{"target": "blocked"}])]


class EventsOut(BaseModel):
    """A page of the audit log, the newest first."""

    events: list[EventOut]
    next_before: Annotated[
        UUID | None,
        Field(description="`before` of the next page; null: that was all", examples=[ID_EXAMPLE]),
    ]


class EventQuery:
    """What the caller looks for."""

    def __init__(
        self,
        subject: Annotated[
            str | None, Query(max_length=TEXT_LENGTH_MAX, examples=["meter:600727012345678973"])
        ] = None,
        actor: Annotated[str | None, Query(max_length=TEXT_LENGTH_MAX, examples=["anna"])] = None,
        action: Annotated[
            str | None,
            Query(
                max_length=TEXT_LENGTH_MAX,
                description="A whole action, or a feature with a dot",
                examples=["sale."],
            ),
        ] = None,
        since: InstantQuery = None,
        until: InstantQuery = None,
    ) -> None:
        self._filter = EventFilter(
            subject=subject, actor=actor, action=action, since=_utc(since), until=_utc(until)
        )

    def to_filter(self) -> EventFilter:
        """Return what the log is searched by."""
        return self._filter


@router.get(
    "/office/audit",
    responses={200: {"model": EventsOut}, **problems(401, 403, 422, 503)},
)
def get_events(
    by: ReaderDep,
    container: ContainerDep,
    wanted: Annotated[EventQuery, Depends()],
    before: Annotated[
        UUID | None, Query(description="Last id of the page before", examples=[ID_EXAMPLE])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX, examples=[50])] = 50,
) -> Response:
    """List what was done, the newest first."""
    del by
    with container.database.read() as connection:
        page = list_events(connection, wanted.to_filter(), before=before, limit=limit)
    return encoded(
        {
            "events": [_document(event) for event in page.events],
            "next_before": None if page.next_before is None else str(page.next_before),
        }
    )


def _utc(instant: datetime | None) -> datetime | None:
    if instant is None:
        return None
    try:
        return instant.astimezone(UTC)
    except OverflowError:  # within a day of the end of all calendars, where nothing happened
        return instant.replace(tzinfo=UTC)


def _document(event: RecordedEvent) -> dict[str, object]:
    return {
        "id": str(event.id),
        "at": event.at.isoformat(),
        "actor_kind": event.actor_kind,
        "actor_name": event.actor_name,
        "actor_id": None if event.actor_id is None else str(event.actor_id),
        "session_id": None if event.session_id is None else str(event.session_id),
        "action": event.action,
        "subject": event.subject,
        "details": dict(event.details),
    }

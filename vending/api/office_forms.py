"""The forms that acts of two people share: asked for without an approval, done with one."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from vending.api.errors import encoded
from vending.api.schemas import ID_EXAMPLE, RecordId
from vending.approvals.model import Approval
from vending.values.identifiers import ApprovalId

ASKED: Final = 202
TEXT_LENGTH_MAX: Final = 200

Line = Annotated[
    str,
    Field(
        min_length=1,
        max_length=TEXT_LENGTH_MAX,
        description="One line; it is kept and shown to who approves, so it names nobody",
        examples=["complaint 4711"],
    ),
]
ApprovalIn = Annotated[
    UUID | None,
    Field(
        strict=False,
        description="Of what allows the act; without one it is asked for",
        examples=[ID_EXAMPLE],
    ),
]
Instant = Annotated[str, Field(examples=["2026-11-25T08:00:00+00:00"])]
InstantOrNone = Annotated[str | None, Field(examples=["2026-11-25T08:00:00+00:00"])]
MeterPath = Annotated[
    str,
    Path(max_length=40, description="DRN or MeterPAN", examples=["01234567897"]),
]


class OfficeIn(BaseModel):
    """Base of requests: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class OfficeOut(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(extra="forbid")


class AskedOut(OfficeOut):
    """The act was asked for; another person decides, then it is sent again with the id."""

    approval_id: RecordId
    expires_at: Instant


def asked(approval: Approval) -> Response:
    """Return the answer to an act that was asked for."""
    document = {
        "approval_id": str(approval.id),
        "expires_at": approval.expires_at.isoformat(),
    }
    return encoded(document, status=ASKED)


def id_of(approval: UUID | None) -> ApprovalId | None:
    """Return the identifier of an approval; None: none was sent."""
    return None if approval is None else ApprovalId(approval)

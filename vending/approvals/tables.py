"""Rows of approvals; triggers keep what was asked for, and let states change by the table alone."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text

from vending.persistence.base import metadata
from vending.persistence.column_types import JSONColumn, UTCDateTime, UUIDColumn

approvals = Table(
    "approvals",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("use_case", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", JSONColumn, nullable=False),
    Column("digest", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_by", UUIDColumn, ForeignKey("operators.id"), nullable=False),
    Column("requested_at", UTCDateTime, nullable=False),
    Column("requested_on", Text),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("decided_by", UUIDColumn, ForeignKey("operators.id")),
    Column("decided_at", UTCDateTime),
    Column("decided_on", Text),
    Column("note", Text),
    Column("redeemed_by", UUIDColumn, ForeignKey("operators.id")),
    Column("redeemed_at", UTCDateTime),
    CheckConstraint("decided_by <> requested_by", name="decided_by_another"),
    CheckConstraint(
        "state NOT IN ('approved', 'refused', 'redeemed')"
        " OR (decided_by IS NOT NULL AND decided_at IS NOT NULL)",
        name="decided_by_somebody",
    ),
    CheckConstraint(
        "(state = 'redeemed') = (redeemed_by IS NOT NULL)"
        " AND (state = 'redeemed') = (redeemed_at IS NOT NULL)",
        name="redeemed_by_somebody",
    ),
    Index(None, "state", "requested_at"),
    sqlite_strict=True,
)

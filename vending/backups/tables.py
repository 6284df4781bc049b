"""Rows of custodians, of backups made, and of restorations with what they lost."""

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, LargeBinary, Table, Text

from vending.persistence.base import metadata
from vending.persistence.column_types import (
    BigInt,
    JSONColumn,
    SmallInt,
    UTCDateTime,
    UUIDColumn,
)

backup_custodians: Final = Table(
    "backup_custodians",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("name", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("added_at", UTCDateTime, nullable=False),
    Column("removed_at", UTCDateTime),
    CheckConstraint("length(name) BETWEEN 1 AND 60", name="name"),
    CheckConstraint("length(public_key) = 32", name="public_key"),
    sqlite_strict=True,
)
"""Never deleted: older backups open with the keys of those who have left."""

backups: Final = Table(
    "backups",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("finished_at", UTCDateTime, nullable=False),
    Column("file", Text, nullable=False),
    Column("file_bytes", BigInt, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("revision", Text, nullable=False),
    Column("row_count", BigInt, nullable=False),
    Column("custodians", JSONColumn, nullable=False),
    CheckConstraint("length(digest) = 32", name="digest"),
    sqlite_strict=True,
)
"""Append-only: what was made and verified; the files themselves may be gone."""

restorations: Final = Table(
    "restorations",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("backup_id", UUIDColumn),
    Column("state_at", UTCDateTime, nullable=False),
    Column("restored_at", UTCDateTime, nullable=False),
    Column("tid_floor_min", BigInt, nullable=False),
    Column("audit_position", BigInt, nullable=False),
    Column("meter_count", BigInt, nullable=False),
    Column("sessions_revoked", BigInt, nullable=False),
    CheckConstraint("kind IN ('backup', 'point-in-time')", name="kind"),
    CheckConstraint("restored_at >= state_at", name="order"),
    sqlite_strict=True,
)
"""Append-only."""

tid_floors: Final = Table(
    "tid_floors",
    metadata,
    Column("base_date", SmallInt, primary_key=True, autoincrement=False),
    Column("tid", BigInt, nullable=False),
    CheckConstraint("tid BETWEEN 0 AND 16777215", name="tid"),
    sqlite_strict=True,
)
"""What a meter that is registered after a restoration starts above; a trigger sees to it."""

lost_sales: Final = Table(
    "lost_sales",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("restoration_id", UUIDColumn, ForeignKey("restorations.id"), nullable=False, index=True),
    Column("partner_id", UUIDColumn, ForeignKey("partners.id"), nullable=False),
    Column("receipt_number", Text, nullable=False, unique=True),
    Column("idempotency_key", Text),
    Column("meter", Text),
    Column("amount_minor", BigInt),
    Column("stated_at", UTCDateTime, nullable=False),
    sqlite_strict=True,
)
"""Sales that a partner states and that the restored database does not know; append-only."""

reconciliation_marks: Final = Table(
    "reconciliation_marks",
    metadata,
    Column("restoration_id", UUIDColumn, ForeignKey("restorations.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("marked_at", UTCDateTime, nullable=False),
    Column("settled_at", UTCDateTime),
    CheckConstraint("kind IN ('meter', 'partner')", name="kind"),
    sqlite_strict=True,
)
"""Meters and partners whose books somebody has to compare with the world outside."""

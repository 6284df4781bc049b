"""The audit log, the queue of what is not sealed yet, and the chain that seals it."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import (
    forbid_changes,
    forbid_delete,
    forbid_truncate,
    forbid_update_of,
)
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _create_events()
    _create_chain()


def downgrade() -> None:
    for table in ("audit_keys", "audit_heads", "audit_links", "audit_queue", "audit_events"):
        op.drop_table(table)


def _create_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("at", UTCDateTime, nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("actor_id", UUIDColumn),
        sa.Column("session_id", UUIDColumn),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_events_subject", "audit_events", ["subject", "id"])
    forbid_changes(op, "audit_events")
    op.create_table(
        "audit_queue",
        sa.Column("event_id", UUIDColumn, primary_key=True),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    forbid_update_of(op, "audit_queue")
    forbid_truncate(op, "audit_queue")


def _create_chain() -> None:
    op.create_table(
        "audit_links",
        sa.Column("position", BigInt, primary_key=True, autoincrement=False),
        sa.Column("kind", SmallInt, nullable=False),
        sa.Column("event_id", UUIDColumn, nullable=False, unique=True),
        sa.Column("event_mac", sa.LargeBinary, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("position >= 1", name="position"),
        sqlite_strict=True,
    )
    forbid_changes(op, "audit_links")
    op.create_table(
        "audit_heads",
        sa.Column("position", BigInt, primary_key=True, autoincrement=False),
        sa.Column("previous_position", BigInt, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
        sa.Column("sealed_at", UTCDateTime, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("position > previous_position", name="position"),
        sqlite_strict=True,
    )
    forbid_changes(op, "audit_heads")
    op.create_table(
        "audit_keys",
        sa.Column("id", SmallInt, primary_key=True, autoincrement=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("id = 1", name="single"),
        sqlite_strict=True,
    )
    forbid_delete(op, "audit_keys")
    forbid_update_of(op, "audit_keys", ["id", "created_at"])

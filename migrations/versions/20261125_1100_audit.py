"""The audit log."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import forbid_changes
from vending.persistence.column_types import JSONColumn, UTCDateTime, UUIDColumn

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
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
        sa.Column("details", JSONColumn, nullable=False),
        sqlite_strict=True,
    )
    forbid_changes(op, "audit_events")


def downgrade() -> None:
    op.drop_table("audit_events")

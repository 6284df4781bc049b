"""Policies that two people set."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import forbid_changes
from vending.persistence.column_types import BigInt, JSONColumn, UTCDateTime, UUIDColumn

revision = "0014"
down_revision = "0013"
expands = True  # a new table that older code need not know of; it goes by its settings


def upgrade() -> None:
    op.create_table(
        "policy_versions",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", BigInt, primary_key=True),
        sa.Column("value", JSONColumn),
        sa.Column("valid_from", UTCDateTime, nullable=False),
        sa.Column("changed_by", UUIDColumn, sa.ForeignKey("operators.id"), nullable=False),
        sa.Column("approval_id", UUIDColumn, sa.ForeignKey("approvals.id"), nullable=False),
        sa.UniqueConstraint("approval_id"),
        sa.CheckConstraint("version >= 1", name="version"),
        sqlite_strict=True,
    )
    forbid_changes(op, "policy_versions")


def downgrade() -> None:
    op.drop_table("policy_versions")

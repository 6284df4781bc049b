"""Approvals: what is asked for stays as it was, and each state is reached by its own step."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import (
    create_trigger,
    drop_trigger_functions,
    forbid_delete,
    forbid_update_of,
)
from vending.persistence.column_types import JSONColumn, UTCDateTime, UUIDColumn

revision = "0008"
down_revision = "0007"

STARTS = "approvals_start_requested"
STEPS = "approvals_keep_steps"
DECISION = "approvals_keep_decision"
ASKED = (
    "id",
    "use_case",
    "subject",
    "payload",
    "digest",
    "reason",
    "requested_by",
    "requested_at",
    "requested_on",
    "expires_at",
)


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("use_case", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("payload", JSONColumn, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("requested_by", UUIDColumn, sa.ForeignKey("operators.id"), nullable=False),
        sa.Column("requested_at", UTCDateTime, nullable=False),
        sa.Column("requested_on", sa.Text),
        sa.Column("expires_at", UTCDateTime, nullable=False),
        sa.Column("decided_by", UUIDColumn, sa.ForeignKey("operators.id")),
        sa.Column("decided_at", UTCDateTime),
        sa.Column("decided_on", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("redeemed_by", UUIDColumn, sa.ForeignKey("operators.id")),
        sa.Column("redeemed_at", UTCDateTime),
        sa.CheckConstraint("decided_by <> requested_by", name="decided_by_another"),
        sa.CheckConstraint(
            "state NOT IN ('approved', 'refused', 'redeemed')"
            " OR (decided_by IS NOT NULL AND decided_at IS NOT NULL)",
            name="decided_by_somebody",
        ),
        sa.CheckConstraint(
            "(state = 'redeemed') = (redeemed_by IS NOT NULL)"
            " AND (state = 'redeemed') = (redeemed_at IS NOT NULL)",
            name="redeemed_by_somebody",
        ),
        sqlite_strict=True,
    )
    op.create_index("ix_approvals_state_requested_at", "approvals", ["state", "requested_at"])
    _create_triggers()


def downgrade() -> None:
    op.drop_table("approvals")
    drop_trigger_functions(op, STARTS, STEPS, DECISION)


def _create_triggers() -> None:
    forbid_delete(op, "approvals")
    forbid_update_of(op, "approvals", ASKED)
    create_trigger(
        op,
        name=STARTS,
        table="approvals",
        event="BEFORE INSERT",
        when="NEW.state <> 'requested'",
        refusal="approvals:start",
    )
    create_trigger(
        op,
        name=STEPS,
        table="approvals",
        event="BEFORE UPDATE",
        when="NOT ((OLD.state = 'requested'"
        " AND NEW.state IN ('approved', 'refused', 'withdrawn'))"
        " OR (OLD.state = 'approved' AND NEW.state IN ('redeemed', 'withdrawn')))",
        refusal="approvals:step",
    )
    create_trigger(
        op,
        name=DECISION,
        table="approvals",
        event="BEFORE UPDATE",
        when="OLD.decided_by IS NOT NULL AND (NEW.decided_by IS NULL"
        " OR NEW.decided_at IS NULL OR NEW.decided_by <> OLD.decided_by"
        " OR NEW.decided_at <> OLD.decided_at)",
        refusal="approvals:decision",
    )

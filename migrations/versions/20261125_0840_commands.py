"""Commands to meters, and the history of each."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import (
    create_trigger,
    drop_trigger_functions,
    forbid_changes,
    forbid_delete,
    forbid_update_of,
)
from vending.persistence.column_types import BigInt, Flag, UTCDateTime, UUIDColumn

revision = "0005"
down_revision = "0004"

FINISHED = "commands_keep_finished"
WAITS = sa.text("state IN ('queued', 'unknown')")
IS_SENT = sa.text("state = 'sent'")
NEEDS_HUMAN = sa.text("state = 'needs-human'")


def upgrade() -> None:
    _create_commands()
    _create_indices()
    _create_triggers()
    op.create_table(
        "command_changes",
        sa.Column("command_id", UUIDColumn, sa.ForeignKey("commands.id"), primary_key=True),
        sa.Column("version", BigInt, primary_key=True, autoincrement=False),
        sa.Column("at", UTCDateTime, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("attempt", BigInt, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    forbid_changes(op, "command_changes")


def downgrade() -> None:
    op.drop_table("command_changes")
    op.drop_table("commands")
    drop_trigger_functions(op, FINISHED)


def _create_commands() -> None:
    op.create_table(
        "commands",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("meter_id", UUIDColumn, sa.ForeignKey("meters.id"), nullable=False),
        sa.Column("sale_id", UUIDColumn, sa.ForeignKey("sales.id")),
        sa.Column("token_id", UUIDColumn, sa.ForeignKey("issued_tokens.id")),
        sa.Column("dedupe_key", sa.Text, nullable=False, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("version", BigInt, nullable=False),
        sa.Column("attempts", BigInt, nullable=False),
        sa.Column("unknown_tries", BigInt, nullable=False),
        sa.Column("doubtful", Flag, nullable=False),
        sa.Column("result_code", sa.Text),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.Column("due_at", UTCDateTime, nullable=False),
        sa.Column("expires_at", UTCDateTime, nullable=False),
        sa.Column("changed_at", UTCDateTime, nullable=False),
        sa.CheckConstraint(
            "version >= 1 AND attempts >= 0 AND unknown_tries >= 0", name="counts_up"
        ),
        sa.CheckConstraint(
            "(kind = 'enter-token') = (token_id IS NOT NULL)", name="enters_a_token_or_none"
        ),
        sqlite_strict=True,
    )


def _create_indices() -> None:
    op.create_index("ix_commands_meter_id_created_at", "commands", ["meter_id", "created_at"])
    op.create_index("ix_commands_sale_id", "commands", ["sale_id"])
    op.create_index("ix_commands_token_id", "commands", ["token_id"])
    op.create_index(
        "ix_commands_waiting", "commands", ["due_at"], sqlite_where=WAITS, postgresql_where=WAITS
    )
    op.create_index(
        "ix_commands_sent",
        "commands",
        ["meter_id"],
        unique=True,
        sqlite_where=IS_SENT,
        postgresql_where=IS_SENT,
    )
    op.create_index(
        "ix_commands_needs_human",
        "commands",
        ["changed_at"],
        sqlite_where=NEEDS_HUMAN,
        postgresql_where=NEEDS_HUMAN,
    )


def _create_triggers() -> None:
    forbid_delete(op, "commands")
    forbid_update_of(
        op,
        "commands",
        [
            "id",
            "kind",
            "meter_id",
            "sale_id",
            "token_id",
            "dedupe_key",
            "reason",
            "requested_by",
            "created_at",
        ],
    )
    create_trigger(
        op,
        name=FINISHED,
        table="commands",
        event="BEFORE UPDATE",
        when="OLD.state IN ('done', 'refused', 'reconciled', 'expired', 'superseded')",
        refusal="commands:finished",
    )

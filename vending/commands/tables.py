"""Rows of commands and of their history; a finished command never changes again (triggers)."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text, text

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, Flag, UTCDateTime, UUIDColumn

_WAITS = text("state IN ('queued', 'unknown')")
_IS_SENT = text("state = 'sent'")
_NEEDS_HUMAN = text("state = 'needs-human'")

commands = Table(
    "commands",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("meter_id", UUIDColumn, ForeignKey("meters.id"), nullable=False),
    Column("sale_id", UUIDColumn, ForeignKey("sales.id")),
    Column("token_id", UUIDColumn, ForeignKey("issued_tokens.id")),
    Column("key_change_set_id", UUIDColumn),
    Column("dedupe_key", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("version", BigInt, nullable=False),
    Column("attempts", BigInt, nullable=False),
    Column("unknown_tries", BigInt, nullable=False),
    Column("doubtful", Flag, nullable=False),
    Column("result_code", Text),
    Column("created_at", UTCDateTime, nullable=False),
    Column("due_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("changed_at", UTCDateTime, nullable=False),
    Column("approval_id", UUIDColumn, ForeignKey("approvals.id")),
    CheckConstraint("version >= 1 AND attempts >= 0 AND unknown_tries >= 0", name="counts_up"),
    CheckConstraint(
        "(kind = 'enter-token') = (token_id IS NOT NULL)", name="enters_a_token_or_none"
    ),
    Index(None, "meter_id", "created_at"),
    Index(None, "sale_id"),
    Index(None, "token_id"),
    Index("ix_commands_waiting", "due_at", sqlite_where=_WAITS, postgresql_where=_WAITS),
    Index(
        "ix_commands_sent",
        "meter_id",
        unique=True,
        sqlite_where=_IS_SENT,
        postgresql_where=_IS_SENT,
    ),
    Index(
        "ix_commands_needs_human",
        "changed_at",
        sqlite_where=_NEEDS_HUMAN,
        postgresql_where=_NEEDS_HUMAN,
    ),
    sqlite_strict=True,
)
"""The unique index is the one writer a meter has: two commands of it cannot both be sent."""

command_changes = Table(
    "command_changes",
    metadata,
    Column("command_id", UUIDColumn, ForeignKey("commands.id"), primary_key=True),
    Column("version", BigInt, primary_key=True, autoincrement=False),
    Column("at", UTCDateTime, nullable=False),
    Column("origin", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("attempt", BigInt, nullable=False),
    Column("code", Text, nullable=False),
    Column("actor", Text, nullable=False),
    sqlite_strict=True,
)
"""Append-only: every step of every command, and who took it."""

"""Rows of commands; a finished command never changes again."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text, text

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, Flag, UTCDateTime, UUIDColumn

commands = Table(
    "commands",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("meter_id", UUIDColumn, ForeignKey("meters.id"), nullable=False),
    Column("sale_id", UUIDColumn, ForeignKey("sales.id")),
    Column("token_id", UUIDColumn, ForeignKey("issued_tokens.id")),
    Column("dedupe_key", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("attempts", BigInt, nullable=False),
    Column("doubtful", Flag, nullable=False),
    Column("result_code", Text),
    Column("created_at", UTCDateTime, nullable=False),
    Column("due_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("changed_at", UTCDateTime, nullable=False),
    CheckConstraint("attempts >= 0", name="attempts_count_up"),
    Index(None, "meter_id", "created_at"),
    Index(None, "sale_id"),
    Index("ix_commands_due", "due_at"),
    Index(
        "ix_commands_sent",
        "meter_id",
        unique=True,
        sqlite_where=text("state = 'sent'"),
        postgresql_where=text("state = 'sent'"),
    ),
    sqlite_strict=True,
)
"""The partial unique index is the one writer a meter has: two workers cannot both have sent."""

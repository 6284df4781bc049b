"""Rows of issued tokens and of the orders that made some: nothing is edited or deleted."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn

issued_tokens = Table(
    "issued_tokens",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("sale_id", UUIDColumn, ForeignKey("sales.id")),
    Column("meter_id", UUIDColumn, ForeignKey("meters.id"), nullable=False),
    Column("meter_pan", Text, nullable=False),
    Column("base_date", SmallInt, nullable=False),
    Column("tid", BigInt),
    Column("rnd", SmallInt),
    Column("kind", Text, nullable=False),
    Column("units", BigInt, nullable=False),
    Column("sgc", Text, nullable=False),
    Column("krn", SmallInt, nullable=False),
    Column("last_four", Text, nullable=False),
    Column("sealed_digits", LargeBinary, nullable=False),
    Column("issued_at", UTCDateTime, nullable=False),
    Column("order_id", UUIDColumn, ForeignKey("token_orders.id"), unique=True),
    UniqueConstraint("meter_pan", "base_date", "tid"),
    CheckConstraint("(sale_id IS NULL) <> (order_id IS NULL)", name="of_a_sale_or_an_order"),
    CheckConstraint("(tid IS NULL) = (rnd IS NULL)", name="rnd_with_tid"),
    Index(None, "sale_id"),
    Index(None, "meter_id", "last_four"),
    sqlite_strict=True,
)
"""Append-only, one for each identifier a meter's memory may hold."""

_NOT_REFUSED = text("state <> 'refused'")
_IS_OPEN = text("state = 'open'")

token_orders = Table(
    "token_orders",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", BigInt, nullable=False),
    Column("meter_id", UUIDColumn, ForeignKey("meters.id"), nullable=False),
    Column("meter_pan", Text, nullable=False),
    Column("base_date", SmallInt, nullable=False),
    Column("tid", BigInt),
    Column("rnd", SmallInt),
    Column("sgc", Text, nullable=False),
    Column("krn", SmallInt, nullable=False),
    Column("kt", SmallInt, nullable=False),
    Column("ti", Text, nullable=False),
    Column("ea", SmallInt, nullable=False),
    Column("resource", SmallInt, nullable=False),
    Column("approval_id", UUIDColumn, ForeignKey("approvals.id"), unique=True),
    Column("sale_id", UUIDColumn, ForeignKey("sales.id")),
    # `use_alter`: tokens name their order as well, and tables are sorted by what they name.
    Column("replaces_token_id", UUIDColumn, ForeignKey("issued_tokens.id", use_alter=True)),
    Column("currency", Text),
    Column("value_minor", BigInt),
    Column("reason", Text, nullable=False),
    Column("ordered_by", UUIDColumn, ForeignKey("operators.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("result_code", Text),
    Column("created_at", UTCDateTime, nullable=False),
    Column("changed_at", UTCDateTime, nullable=False),
    CheckConstraint("purpose IN ('management', 'free-units', 'replacement')", name="purpose"),
    CheckConstraint("state IN ('open', 'issued', 'refused')", name="state"),
    CheckConstraint("(tid IS NULL) = (rnd IS NULL)", name="rnd_with_tid"),
    CheckConstraint(
        "(purpose = 'replacement') = (replaces_token_id IS NOT NULL)", name="replaces_a_token"
    ),
    CheckConstraint(
        "approval_id IS NOT NULL OR purpose = 'replacement' OR kind = 'initiate-meter-test'",
        name="takes_two",
    ),
    UniqueConstraint("meter_pan", "base_date", "tid"),
    Index(None, "meter_id", "created_at"),
    Index("ix_token_orders_open", "changed_at", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
    Index(
        "ix_token_orders_replaces",
        "replaces_token_id",
        unique=True,
        sqlite_where=_NOT_REFUSED,
        postgresql_where=_NOT_REFUSED,
    ),
    sqlite_strict=True,
)
"""An order changes its state once, from open; the database refuses one without an approval."""

"""Rows of quotes, sales and the clock mark."""

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn


def _quote_columns() -> list[Column[Any]]:
    """Return the columns of a `Quote`; quotes and sales share them."""
    amounts = ("tender", "brought_forward", "net", "vat", "carried_forward", "rounding_expense")
    return [
        Column("tariff_id", UUIDColumn, ForeignKey("tariffs.id"), nullable=False),
        Column("tariff_code", Text, nullable=False),
        Column("tariff_version", BigInt, nullable=False),
        Column("currency", Text, nullable=False),
        *(Column(f"{amount}_minor", BigInt, nullable=False) for amount in amounts),
        Column("units", BigInt, nullable=False),
        Column("units_on_token", BigInt, nullable=False),
    ]


sale_quotes = Table(
    "sale_quotes",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("partner_id", UUIDColumn, ForeignKey("partners.id"), nullable=False),
    Column("meter_id", UUIDColumn, ForeignKey("meters.id"), nullable=False),
    Column("meter_pan", Text, nullable=False),
    *_quote_columns(),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    sqlite_strict=True,
)
"""Append-only: a quote is a promise."""

sales = Table(
    "sales",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("partner_id", UUIDColumn, ForeignKey("partners.id"), nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("receipt_number", Text, nullable=False, unique=True),
    Column("meter_id", UUIDColumn, ForeignKey("meters.id"), nullable=False),
    Column("meter_pan", Text, nullable=False),
    Column("customer_id", UUIDColumn, ForeignKey("customers.id")),
    Column("quote_id", UUIDColumn, ForeignKey("sale_quotes.id"), unique=True),
    *_quote_columns(),
    Column("base_date", SmallInt, nullable=False),
    Column("tid", BigInt, nullable=False),
    Column("rnd", SmallInt, nullable=False),
    Column("sgc", Text, nullable=False),
    Column("krn", SmallInt, nullable=False),
    Column("kt", SmallInt, nullable=False),
    Column("ti", Text, nullable=False),
    Column("ea", SmallInt, nullable=False),
    Column("resource", SmallInt, nullable=False),
    Column("terminal", Text),
    Column("operator", Text),
    Column("outlet", Text),
    Column("reason_code", Text),
    Column("created_at", UTCDateTime, nullable=False),
    Column("changed_at", UTCDateTime, nullable=False),
    UniqueConstraint("partner_id", "idempotency_key"),
    UniqueConstraint("meter_pan", "base_date", "tid"),
    CheckConstraint(
        "tender_minor + brought_forward_minor = net_minor + vat_minor + carried_forward_minor",
        name="sums_to_the_tender",
    ),
    CheckConstraint("rnd BETWEEN 0 AND 15", name="rnd_is_four_bits"),
    Index(None, "meter_id", "created_at"),
    Index(None, "partner_id", "created_at"),
    Index(None, "customer_id"),
    Index(
        "ix_sales_open",
        "meter_id",
        unique=True,
        sqlite_where=text("state IN ('reserved', 'minting', 'unknown')"),
        postgresql_where=text("state IN ('reserved', 'minting', 'unknown')"),
    ),
    sqlite_strict=True,
)
"""A sale that was accepted; its sum, its identifier and its meter never change, its state does.

At most one sale of a meter is open at a time: the credit it brings forward is not taken twice.
"""

declined_sales = Table(
    "declined_sales",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("partner_id", UUIDColumn, ForeignKey("partners.id"), nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("meter", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("tender_minor", BigInt, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("declined_at", UTCDateTime, nullable=False),
    UniqueConstraint("partner_id", "idempotency_key"),
    sqlite_strict=True,
)
"""Append-only: what was refused for good, so that a failed sale does not vanish."""

refunds = Table(
    "refunds",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("sale_id", UUIDColumn, ForeignKey("sales.id"), nullable=False, index=True),
    Column("currency", Text, nullable=False),
    Column("net_minor", BigInt, nullable=False),
    Column("vat_minor", BigInt, nullable=False),
    Column("destination", Text, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("approval_id", UUIDColumn, ForeignKey("approvals.id"), unique=True),
    Column("request_key", Text, nullable=False, unique=True),
    Column("entry_id", UUIDColumn, ForeignKey("journal_entries.id"), nullable=False),
    Column("refunded_by", UUIDColumn, ForeignKey("operators.id"), nullable=False),
    Column("refunded_at", UTCDateTime, nullable=False),
    CheckConstraint("net_minor >= 0 AND vat_minor >= 0", name="not_negative"),
    CheckConstraint("net_minor + vat_minor > 0", name="not_empty"),
    CheckConstraint("destination IN ('partner', 'meter-credit')", name="destination"),
    sqlite_strict=True,
)
"""Append-only: money given back for a sale; together never more than the sale."""

clock_mark = Table(
    "clock_mark",
    metadata,
    Column("id", SmallInt, primary_key=True),
    Column("seen_at", UTCDateTime, nullable=False),
    Column("confirmations", BigInt, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
    sqlite_strict=True,
)
"""The latest time the service committed anything, to within `MARK_INTERVAL_S`."""

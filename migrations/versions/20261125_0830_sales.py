"""Quotes, sales, refused requests, issued tokens and the clock mark."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import (
    create_trigger,
    drop_trigger_functions,
    forbid_changes,
    forbid_delete,
    forbid_update_of,
)
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn

revision = "0004"
down_revision = "0003"

SALE_ENDED = "sales_stay_ended"
ENDED = "'confirmed', 'declined', 'reversed', 'written-off'"
OPEN = "state IN ('reserved', 'minting', 'unknown')"
CHANGEABLE = {"state", "reason_code", "changed_at"}


def upgrade() -> None:
    _create_quotes()
    _create_sales()
    _create_declined_sales()
    _create_tokens()
    op.create_table(
        "clock_mark",
        sa.Column("id", SmallInt, primary_key=True),
        sa.Column("seen_at", UTCDateTime, nullable=False),
        sa.Column("confirmations", BigInt, nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    for table in ("clock_mark", "issued_tokens", "declined_sales", "sales", "sale_quotes"):
        op.drop_table(table)
    drop_trigger_functions(op, SALE_ENDED)


def _quote_columns() -> list[sa.Column[object]]:
    names = ("tender", "brought_forward", "net", "vat", "carried_forward", "rounding_expense")
    amounts: list[sa.Column[object]] = [
        sa.Column(f"{name}_minor", BigInt, nullable=False) for name in names
    ]
    return [
        sa.Column("tariff_id", UUIDColumn, sa.ForeignKey("tariffs.id"), nullable=False),
        sa.Column("tariff_code", sa.Text, nullable=False),
        sa.Column("tariff_version", BigInt, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        *amounts,
        sa.Column("units", BigInt, nullable=False),
        sa.Column("units_on_token", BigInt, nullable=False),
    ]


def _create_quotes() -> None:
    op.create_table(
        "sale_quotes",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("partner_id", UUIDColumn, sa.ForeignKey("partners.id"), nullable=False),
        sa.Column("meter_id", UUIDColumn, sa.ForeignKey("meters.id"), nullable=False),
        sa.Column("meter_pan", sa.Text, nullable=False),
        *_quote_columns(),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.Column("expires_at", UTCDateTime, nullable=False),
        sqlite_strict=True,
    )
    forbid_changes(op, "sale_quotes")


def _create_sales() -> None:
    columns: list[sa.Column[object]] = [
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("partner_id", UUIDColumn, sa.ForeignKey("partners.id"), nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("receipt_number", sa.Text, nullable=False, unique=True),
        sa.Column("meter_id", UUIDColumn, sa.ForeignKey("meters.id"), nullable=False),
        sa.Column("meter_pan", sa.Text, nullable=False),
        sa.Column("customer_id", UUIDColumn, sa.ForeignKey("customers.id")),
        sa.Column("quote_id", UUIDColumn, sa.ForeignKey("sale_quotes.id"), unique=True),
        *_quote_columns(),
        sa.Column("base_date", SmallInt, nullable=False),
        sa.Column("tid", BigInt, nullable=False),
        sa.Column("rnd", SmallInt, nullable=False),
        sa.Column("sgc", sa.Text, nullable=False),
        sa.Column("krn", SmallInt, nullable=False),
        sa.Column("kt", SmallInt, nullable=False),
        sa.Column("ti", sa.Text, nullable=False),
        sa.Column("ea", SmallInt, nullable=False),
        sa.Column("resource", SmallInt, nullable=False),
        sa.Column("terminal", sa.Text),
        sa.Column("operator", sa.Text),
        sa.Column("reason_code", sa.Text),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.Column("changed_at", UTCDateTime, nullable=False),
    ]
    op.create_table(
        "sales",
        *columns,
        sa.UniqueConstraint("partner_id", "idempotency_key"),
        sa.UniqueConstraint("meter_pan", "base_date", "tid"),
        sa.CheckConstraint(
            "tender_minor + brought_forward_minor = net_minor + vat_minor + carried_forward_minor",
            name="sums_to_the_tender",
        ),
        sa.CheckConstraint("rnd BETWEEN 0 AND 15", name="rnd_is_four_bits"),
        sqlite_strict=True,
    )
    op.create_index(None, "sales", ["meter_id", "created_at"])
    op.create_index(None, "sales", ["partner_id", "created_at"])
    op.create_index(
        "ix_sales_open",
        "sales",
        ["meter_id"],
        unique=True,
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    )
    forbid_delete(op, "sales")
    forbid_update_of(op, "sales", [c.name for c in columns if c.name not in CHANGEABLE])
    create_trigger(
        op,
        name=SALE_ENDED,
        table="sales",
        event="BEFORE UPDATE",
        when=f"OLD.state IN ({ENDED})",
        refusal="sales:ended",
    )


def _create_declined_sales() -> None:
    op.create_table(
        "declined_sales",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("partner_id", UUIDColumn, sa.ForeignKey("partners.id"), nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("meter", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("tender_minor", BigInt, nullable=False),
        sa.Column("reason_code", sa.Text, nullable=False),
        sa.Column("declined_at", UTCDateTime, nullable=False),
        sa.UniqueConstraint("partner_id", "idempotency_key"),
        sqlite_strict=True,
    )
    forbid_changes(op, "declined_sales")


def _create_tokens() -> None:
    op.create_table(
        "issued_tokens",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("sale_id", UUIDColumn, sa.ForeignKey("sales.id"), nullable=False),
        sa.Column("meter_id", UUIDColumn, sa.ForeignKey("meters.id"), nullable=False),
        sa.Column("meter_pan", sa.Text, nullable=False),
        sa.Column("base_date", SmallInt, nullable=False),
        sa.Column("tid", BigInt, nullable=False),
        sa.Column("rnd", SmallInt, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("units", BigInt, nullable=False),
        sa.Column("sgc", sa.Text, nullable=False),
        sa.Column("krn", SmallInt, nullable=False),
        sa.Column("last_four", sa.Text, nullable=False),
        sa.Column("sealed_digits", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", UTCDateTime, nullable=False),
        sa.UniqueConstraint("meter_pan", "base_date", "tid"),
        sqlite_strict=True,
    )
    op.create_index(None, "issued_tokens", ["sale_id"])
    op.create_index(None, "issued_tokens", ["meter_id", "last_four"])
    forbid_changes(op, "issued_tokens")

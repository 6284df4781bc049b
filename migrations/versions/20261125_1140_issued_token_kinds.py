"""Management, free and replacement tokens; refunds; credit lines; tariff approval.

A downgrade takes back no token: while a token without a sale is there, it fails and leaves
everything as it is.
"""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import (
    create_trigger,
    drop_trigger_functions,
    forbid_changes,
    forbid_delete,
    forbid_update_of,
)
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn, is_sqlite

revision = "0010"
down_revision = "0009"

ORDER_ENDED = "token_orders_stay_ended"
DRAFT_ENDED = "tariff_drafts_stay_ended"
COMMAND_APPROVAL_STAYS = "commands_keep_approval"
ORDER_CHANGEABLE = {"state", "result_code", "changed_at"}
APPROVAL_ON_SQLITE = "ALTER TABLE commands ADD COLUMN approval_id BLOB REFERENCES approvals (id)"
NOT_REFUSED = sa.text("state <> 'refused'")
IS_OPEN = sa.text("state = 'open'")
COPIED = (
    "id, sale_id, meter_id, meter_pan, base_date, tid, rnd, kind, units, sgc, krn, last_four,"
    " sealed_digits, issued_at"
)


def upgrade() -> None:
    _create_token_orders()
    if is_sqlite(op.get_bind().dialect):
        _rebuild_tokens(widened=True)
        op.execute(APPROVAL_ON_SQLITE)
    else:
        _widen_tokens()
        op.add_column(
            "commands", sa.Column("approval_id", UUIDColumn, sa.ForeignKey("approvals.id"))
        )
    create_trigger(
        op,
        name=COMMAND_APPROVAL_STAYS,
        table="commands",
        event="BEFORE UPDATE",
        when="NEW.approval_id IS DISTINCT FROM OLD.approval_id",
        refusal="append_only:commands",
    )
    op.add_column("partners", sa.Column("credit_line_minor", BigInt))
    _create_refunds()
    _create_tariff_drafts()


def downgrade() -> None:
    on_sqlite = is_sqlite(op.get_bind().dialect)
    op.drop_table("tariff_drafts")
    op.drop_table("refunds")
    op.drop_column("partners", "credit_line_minor")
    op.execute(f"DROP TRIGGER {COMMAND_APPROVAL_STAYS}" + ("" if on_sqlite else " ON commands"))
    op.drop_column("commands", "approval_id")
    if on_sqlite:
        _rebuild_tokens(widened=False)
    else:
        _narrow_tokens()
    op.drop_table("token_orders")
    drop_trigger_functions(op, COMMAND_APPROVAL_STAYS, ORDER_ENDED, DRAFT_ENDED)


def _create_token_orders() -> None:
    columns: list[sa.Column[object]] = [
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", BigInt, nullable=False),
        sa.Column("meter_id", UUIDColumn, sa.ForeignKey("meters.id"), nullable=False),
        sa.Column("meter_pan", sa.Text, nullable=False),
        sa.Column("base_date", SmallInt, nullable=False),
        sa.Column("tid", BigInt),
        sa.Column("rnd", SmallInt),
        sa.Column("sgc", sa.Text, nullable=False),
        sa.Column("krn", SmallInt, nullable=False),
        sa.Column("kt", SmallInt, nullable=False),
        sa.Column("ti", sa.Text, nullable=False),
        sa.Column("ea", SmallInt, nullable=False),
        sa.Column("resource", SmallInt, nullable=False),
        sa.Column("approval_id", UUIDColumn, sa.ForeignKey("approvals.id"), unique=True),
        sa.Column("sale_id", UUIDColumn, sa.ForeignKey("sales.id")),
        sa.Column("replaces_token_id", UUIDColumn, sa.ForeignKey("issued_tokens.id")),
        sa.Column("currency", sa.Text),
        sa.Column("value_minor", BigInt),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("ordered_by", UUIDColumn, sa.ForeignKey("operators.id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("result_code", sa.Text),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.Column("changed_at", UTCDateTime, nullable=False),
    ]
    op.create_table(
        "token_orders",
        *columns,
        sa.CheckConstraint(
            "purpose IN ('management', 'free-units', 'replacement')", name="purpose"
        ),
        sa.CheckConstraint("state IN ('open', 'issued', 'refused')", name="state"),
        sa.CheckConstraint("(tid IS NULL) = (rnd IS NULL)", name="rnd_with_tid"),
        sa.CheckConstraint(
            "(purpose = 'replacement') = (replaces_token_id IS NOT NULL)", name="replaces_a_token"
        ),
        sa.CheckConstraint(
            "approval_id IS NOT NULL OR purpose = 'replacement' OR kind = 'initiate-meter-test'",
            name="takes_two",
        ),
        sa.UniqueConstraint("meter_pan", "base_date", "tid"),
        sqlite_strict=True,
    )
    _index_token_orders()
    forbid_delete(op, "token_orders")
    kept = [column.name for column in columns if column.name not in ORDER_CHANGEABLE]
    forbid_update_of(op, "token_orders", kept)
    create_trigger(
        op,
        name=ORDER_ENDED,
        table="token_orders",
        event="BEFORE UPDATE",
        when="OLD.state <> 'open'",
        refusal="token_orders:ended",
    )


def _index_token_orders() -> None:
    op.create_index(None, "token_orders", ["meter_id", "created_at"])
    op.create_index(
        "ix_token_orders_open",
        "token_orders",
        ["changed_at"],
        sqlite_where=IS_OPEN,
        postgresql_where=IS_OPEN,
    )
    op.create_index(
        "ix_token_orders_replaces",
        "token_orders",
        ["replaces_token_id"],
        unique=True,
        sqlite_where=NOT_REFUSED,
        postgresql_where=NOT_REFUSED,
    )


def _widen_tokens() -> None:
    for name in ("sale_id", "tid", "rnd"):
        op.alter_column("issued_tokens", name, nullable=True)
    op.add_column(
        "issued_tokens", sa.Column("order_id", UUIDColumn, sa.ForeignKey("token_orders.id"))
    )
    op.create_unique_constraint(None, "issued_tokens", ["order_id"])
    op.create_check_constraint(
        "of_a_sale_or_an_order", "issued_tokens", "(sale_id IS NULL) <> (order_id IS NULL)"
    )
    op.create_check_constraint("rnd_with_tid", "issued_tokens", "(tid IS NULL) = (rnd IS NULL)")


def _narrow_tokens() -> None:
    op.drop_constraint(op.f("ck_issued_tokens_rnd_with_tid"), "issued_tokens")
    op.drop_column("issued_tokens", "order_id")  # with its check, its key and its uniqueness
    for name in ("sale_id", "tid", "rnd"):
        op.alter_column("issued_tokens", name, nullable=False)


def _rebuild_tokens(*, widened: bool) -> None:
    """Make the table again, as SQLite changes no column; references to its rows find them again."""
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE copied_tokens AS SELECT * FROM issued_tokens")
    op.drop_table("issued_tokens")
    added: list[sa.schema.SchemaItem] = (
        [
            sa.Column("order_id", UUIDColumn, sa.ForeignKey("token_orders.id"), unique=True),
            sa.CheckConstraint(
                "(sale_id IS NULL) <> (order_id IS NULL)", name="of_a_sale_or_an_order"
            ),
            sa.CheckConstraint("(tid IS NULL) = (rnd IS NULL)", name="rnd_with_tid"),
        ]
        if widened
        else []
    )
    op.create_table(
        "issued_tokens",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("sale_id", UUIDColumn, sa.ForeignKey("sales.id"), nullable=widened),
        sa.Column("meter_id", UUIDColumn, sa.ForeignKey("meters.id"), nullable=False),
        sa.Column("meter_pan", sa.Text, nullable=False),
        sa.Column("base_date", SmallInt, nullable=False),
        sa.Column("tid", BigInt, nullable=widened),
        sa.Column("rnd", SmallInt, nullable=widened),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("units", BigInt, nullable=False),
        sa.Column("sgc", sa.Text, nullable=False),
        sa.Column("krn", SmallInt, nullable=False),
        sa.Column("last_four", sa.Text, nullable=False),
        sa.Column("sealed_digits", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", UTCDateTime, nullable=False),
        sa.UniqueConstraint("meter_pan", "base_date", "tid"),
        *added,
        sqlite_strict=True,
    )
    op.execute(f"INSERT INTO issued_tokens ({COPIED}) SELECT {COPIED} FROM copied_tokens")  # noqa: S608 # names of columns, ours
    op.execute("DROP TABLE copied_tokens")
    op.create_index(None, "issued_tokens", ["sale_id"])
    op.create_index(None, "issued_tokens", ["meter_id", "last_four"])
    forbid_changes(op, "issued_tokens")


def _create_refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("sale_id", UUIDColumn, sa.ForeignKey("sales.id"), nullable=False, index=True),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("net_minor", BigInt, nullable=False),
        sa.Column("vat_minor", BigInt, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("reason_code", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("approval_id", UUIDColumn, sa.ForeignKey("approvals.id"), unique=True),
        sa.Column("request_key", sa.Text, nullable=False, unique=True),
        sa.Column("entry_id", UUIDColumn, sa.ForeignKey("journal_entries.id"), nullable=False),
        sa.Column("refunded_by", UUIDColumn, sa.ForeignKey("operators.id"), nullable=False),
        sa.Column("refunded_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("net_minor >= 0 AND vat_minor >= 0", name="not_negative"),
        sa.CheckConstraint("net_minor + vat_minor > 0", name="not_empty"),
        sa.CheckConstraint("destination IN ('partner', 'meter-credit')", name="destination"),
        sqlite_strict=True,
    )
    forbid_changes(op, "refunds")


def _create_tariff_drafts() -> None:
    kept = [
        "id", "code", "currency", "price_per_kwh_micro", "vat_basis_points", "effective_from",
        "drafted_by", "drafted_at",
    ]  # fmt: skip
    op.create_table(
        "tariff_drafts",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("code", sa.Text, nullable=False, index=True),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("price_per_kwh_micro", BigInt, nullable=False),
        sa.Column("vat_basis_points", SmallInt, nullable=False),
        sa.Column("effective_from", UTCDateTime),
        sa.Column("drafted_by", UUIDColumn, sa.ForeignKey("operators.id"), nullable=False),
        sa.Column("drafted_at", UTCDateTime, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("approval_id", UUIDColumn, sa.ForeignKey("approvals.id"), unique=True),
        sa.Column("tariff_id", UUIDColumn, sa.ForeignKey("tariffs.id"), unique=True),
        sa.CheckConstraint("state IN ('draft', 'activated', 'withdrawn')", name="state"),
        sa.CheckConstraint(
            "(state = 'activated') = (approval_id IS NOT NULL)"
            " AND (state = 'activated') = (tariff_id IS NOT NULL)",
            name="activated_by_two",
        ),
        sqlite_strict=True,
    )
    forbid_delete(op, "tariff_drafts")
    forbid_update_of(op, "tariff_drafts", kept)
    create_trigger(
        op,
        name=DRAFT_ENDED,
        table="tariff_drafts",
        event="BEFORE UPDATE",
        when="OLD.state <> 'draft'",
        refusal="tariff_drafts:ended",
    )

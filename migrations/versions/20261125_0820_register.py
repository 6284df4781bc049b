"""Customers, meters, tariffs and partners."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import (
    create_trigger,
    drop_trigger_functions,
    forbid_changes,
    forbid_delete,
    forbid_update_of,
)
from vending.persistence.column_types import BigInt, Flag, SmallInt, UTCDateTime, UUIDColumn

revision = "0003"
down_revision = "0002"

TID_RISES = "meter_tids_rise"
REVOKED_STAYS = "api_keys_stay_revoked"
STATES = "'stock', 'installed', 'commissioned', 'blocked', 'faulty', 'removed', 'decommissioned'"


def upgrade() -> None:
    _create_customers()
    _create_tariffs()
    _create_partners()
    _create_meters()
    _create_meter_tids()


def downgrade() -> None:
    for table in (
        "meter_tids",
        "meter_state_changes",
        "meters",
        "api_keys",
        "partners",
        "tariffs",
        "consent_changes",
        "customers",
    ):
        op.drop_table(table)
    drop_trigger_functions(op, TID_RISES, REVOKED_STAYS)


def _create_customers() -> None:
    op.create_table(
        "customers",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("account_number", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("phone", sa.Text),
        sa.Column("email", sa.Text),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("consent_sms_at", UTCDateTime),
        sa.Column("consent_email_at", UTCDateTime),
        sa.Column("registered_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("length(account_number) BETWEEN 1 AND 32", name="account_number"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 120", name="name"),
        sa.CheckConstraint("language IN ('en', 'zh-CN')", name="language"),
        sqlite_strict=True,
    )
    forbid_delete(op, "customers")
    forbid_update_of(op, "customers", ["id", "account_number", "registered_at"])
    op.create_table(
        "consent_changes",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column(
            "customer_id", UUIDColumn, sa.ForeignKey("customers.id"), nullable=False, index=True
        ),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("granted", Flag, nullable=False),
        sa.Column("at", UTCDateTime, nullable=False),
        sa.CheckConstraint("channel IN ('sms', 'email')", name="channel"),
        sqlite_strict=True,
    )
    forbid_changes(op, "consent_changes")


def _create_tariffs() -> None:
    op.create_table(
        "tariffs",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("version", SmallInt, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("price_per_kwh_micro", BigInt, nullable=False),
        sa.Column("vat_basis_points", SmallInt, nullable=False),
        sa.Column("effective_from", UTCDateTime, nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("version >= 1", name="version"),
        sa.CheckConstraint("length(currency) = 3", name="currency"),
        sa.CheckConstraint("price_per_kwh_micro >= 1", name="price"),
        sa.CheckConstraint("vat_basis_points BETWEEN 0 AND 10000", name="vat"),
        sa.CheckConstraint("effective_from >= created_at", name="not_backdated"),
        sa.UniqueConstraint("code", "version"),
        sa.UniqueConstraint("code", "effective_from"),
        sqlite_strict=True,
    )
    forbid_changes(op, "tariffs")


def _create_partners() -> None:
    op.create_table(
        "partners",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("length(currency) = 3", name="currency"),
        sa.CheckConstraint("status IN ('active', 'suspended')", name="status"),
        sqlite_strict=True,
    )
    forbid_delete(op, "partners")
    forbid_update_of(op, "partners", ["id", "currency", "created_at"])
    op.create_table(
        "api_keys",
        sa.Column("prefix", sa.Text, primary_key=True),
        sa.Column(
            "partner_id", UUIDColumn, sa.ForeignKey("partners.id"), nullable=False, index=True
        ),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("last_four", sa.Text, nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.Column("revoked_at", UTCDateTime),
        sa.CheckConstraint("length(digest) = 32", name="digest"),
        sqlite_strict=True,
    )
    forbid_delete(op, "api_keys")
    forbid_update_of(op, "api_keys", ["prefix", "partner_id", "digest", "last_four", "created_at"])
    create_trigger(
        op,
        name=REVOKED_STAYS,
        table="api_keys",
        event="BEFORE UPDATE",
        when=(
            "OLD.revoked_at IS NOT NULL"
            " AND (NEW.revoked_at IS NULL OR NEW.revoked_at > OLD.revoked_at)"
        ),
        refusal="api_keys:revoked",
    )


def _create_meters() -> None:
    op.create_table(
        "meters",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("pan", sa.Text, nullable=False, unique=True),
        sa.Column("sgc", sa.Text, nullable=False),
        sa.Column("krn", SmallInt, nullable=False),
        sa.Column("kt", SmallInt, nullable=False),
        sa.Column("ti", sa.Text, nullable=False),
        sa.Column("ea", SmallInt, nullable=False),
        sa.Column("dkga", SmallInt, nullable=False),
        sa.Column("base_date", SmallInt, nullable=False),
        sa.Column("tariff_code", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("resource", SmallInt, nullable=False),
        sa.Column("profile", sa.Text),
        sa.Column("link", sa.Text),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("latitude_udeg", BigInt),
        sa.Column("longitude_udeg", BigInt),
        sa.Column("customer_id", UUIDColumn, sa.ForeignKey("customers.id"), index=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("registered_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("length(pan) = 18", name="pan"),
        sa.CheckConstraint("length(sgc) = 6", name="sgc"),
        sa.CheckConstraint("krn BETWEEN 1 AND 9", name="krn"),
        sa.CheckConstraint("kt BETWEEN 0 AND 3", name="kt"),
        sa.CheckConstraint("length(ti) = 2", name="ti"),
        sa.CheckConstraint("length(currency) = 3", name="currency"),
        sa.CheckConstraint(f"state IN ({STATES})", name="state"),
        sqlite_strict=True,
    )
    forbid_delete(op, "meters")
    forbid_update_of(op, "meters", ["id", "pan", "currency", "registered_at"])
    op.create_table(
        "meter_state_changes",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("meter_id", UUIDColumn, sa.ForeignKey("meters.id"), nullable=False, index=True),
        sa.Column("at", UTCDateTime, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    forbid_changes(op, "meter_state_changes")


def _create_meter_tids() -> None:
    op.create_table(
        "meter_tids",
        sa.Column("meter_pan", sa.Text, primary_key=True),
        sa.Column("base_date", SmallInt, primary_key=True),
        sa.Column("last_tid", BigInt, nullable=False),
        sa.CheckConstraint("last_tid BETWEEN 0 AND 16777215", name="last_tid"),
        sqlite_strict=True,
    )
    forbid_delete(op, "meter_tids")
    forbid_update_of(op, "meter_tids", ["meter_pan", "base_date"])
    create_trigger(
        op,
        name=TID_RISES,
        table="meter_tids",
        event="BEFORE UPDATE",
        when="NEW.last_tid <= OLD.last_tid",
        refusal="meter_tids:lowered",
    )

"""Backups and what a restore may have lost."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import (
    create_trigger,
    drop_trigger_functions,
    forbid_changes,
    forbid_delete,
    forbid_update_of,
)
from vending.persistence.column_types import (
    BigInt,
    JSONColumn,
    SmallInt,
    UTCDateTime,
    UUIDColumn,
    is_sqlite,
)

revision = "0013"
down_revision = "0012"
expands = True  # new tables and a trigger that older code need not know of

FLOOR_RISES = "tid_floors_rise"
STARTS_ABOVE = "meters_start_above_the_floor"


def upgrade() -> None:
    _create_custodians()
    _create_backups()
    _create_restorations()
    _create_floors()
    op.create_table(
        "schema_expansions",
        sa.Column("revision", sa.Text, primary_key=True),
        sa.Column("previous", sa.Text, nullable=False),
        sqlite_strict=True,
    )


def downgrade() -> None:
    # Without the tables' own drop: `meters` stays.
    if is_sqlite(op.get_bind().dialect):
        op.execute(f"DROP TRIGGER {STARTS_ABOVE}")
    else:
        op.execute(f"DROP TRIGGER {STARTS_ABOVE} ON meters")
        op.execute(f"DROP FUNCTION {STARTS_ABOVE}()")
    for table in (
        "schema_expansions",
        "reconciliation_marks",
        "lost_sales",
        "tid_floors",
        "restorations",
        "backups",
        "backup_custodians",
    ):
        op.drop_table(table)
    drop_trigger_functions(op, FLOOR_RISES)


def _create_custodians() -> None:
    op.create_table(
        "backup_custodians",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("added_at", UTCDateTime, nullable=False),
        sa.Column("removed_at", UTCDateTime),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 60", name="name"),
        sa.CheckConstraint("length(public_key) = 32", name="public_key"),
        sqlite_strict=True,
    )
    forbid_delete(op, "backup_custodians")
    forbid_update_of(op, "backup_custodians", ["id", "name", "public_key", "added_at"])


def _create_backups() -> None:
    op.create_table(
        "backups",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("at", UTCDateTime, nullable=False),
        sa.Column("finished_at", UTCDateTime, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("file_bytes", BigInt, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column("row_count", BigInt, nullable=False),
        sa.Column("custodians", JSONColumn, nullable=False),
        sa.CheckConstraint("length(digest) = 32", name="digest"),
        sqlite_strict=True,
    )
    forbid_changes(op, "backups")


def _create_restorations() -> None:
    op.create_table(
        "restorations",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("backup_id", UUIDColumn),
        sa.Column("state_at", UTCDateTime, nullable=False),
        sa.Column("restored_at", UTCDateTime, nullable=False),
        sa.Column("tid_floor_min", BigInt, nullable=False),
        sa.Column("audit_position", BigInt, nullable=False),
        sa.Column("meter_count", BigInt, nullable=False),
        sa.Column("sessions_revoked", BigInt, nullable=False),
        sa.CheckConstraint("kind IN ('backup', 'point-in-time')", name="kind"),
        sa.CheckConstraint("restored_at >= state_at", name="order"),
        sqlite_strict=True,
    )
    forbid_changes(op, "restorations")
    op.create_table(
        "lost_sales",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column(
            "restoration_id",
            UUIDColumn,
            sa.ForeignKey("restorations.id"),
            nullable=False,
            index=True,
        ),
        sa.Column("partner_id", UUIDColumn, sa.ForeignKey("partners.id"), nullable=False),
        sa.Column("receipt_number", sa.Text, nullable=False, unique=True),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("meter", sa.Text),
        sa.Column("amount_minor", BigInt),
        sa.Column("stated_at", UTCDateTime, nullable=False),
        sqlite_strict=True,
    )
    forbid_changes(op, "lost_sales")
    op.create_table(
        "reconciliation_marks",
        sa.Column("restoration_id", UUIDColumn, sa.ForeignKey("restorations.id"), primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("marked_at", UTCDateTime, nullable=False),
        sa.Column("settled_at", UTCDateTime),
        sa.CheckConstraint("kind IN ('meter', 'partner')", name="kind"),
        sqlite_strict=True,
    )
    forbid_delete(op, "reconciliation_marks")


def _create_floors() -> None:
    op.create_table(
        "tid_floors",
        sa.Column("base_date", SmallInt, primary_key=True, autoincrement=False),
        sa.Column("tid", BigInt, nullable=False),
        sa.CheckConstraint("tid BETWEEN 0 AND 16777215", name="tid"),
        sqlite_strict=True,
    )
    forbid_delete(op, "tid_floors")
    create_trigger(
        op,
        name=FLOOR_RISES,
        table="tid_floors",
        event="BEFORE UPDATE",
        when="NEW.tid < OLD.tid",
        refusal="tid_floors:lowered",
    )
    # A meter that was registered, and sold to, in the part that was lost comes back as a new one.
    starts_above = (
        "INSERT INTO meter_tids (meter_pan, base_date, last_tid)"
        " SELECT NEW.pan, tid_floors.base_date, tid_floors.tid FROM tid_floors WHERE true"
        " ON CONFLICT DO NOTHING"
    )
    if is_sqlite(op.get_bind().dialect):
        op.execute(
            f"CREATE TRIGGER {STARTS_ABOVE} AFTER INSERT ON meters FOR EACH ROW"
            f" BEGIN {starts_above}; END"
        )
    else:
        op.execute(
            f"CREATE FUNCTION {STARTS_ABOVE}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" {starts_above}; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {STARTS_ABOVE} AFTER INSERT ON meters FOR EACH ROW"
            f" EXECUTE FUNCTION {STARTS_ABOVE}()"
        )

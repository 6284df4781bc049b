"""Key ceremonies, ceilings and kill switches."""

from typing import Any

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
    Flag,
    JSONColumn,
    SmallInt,
    UTCDateTime,
    UUIDColumn,
    is_sqlite,
)

revision = "0009"
down_revision = "0008"

OUTLET_STAYS = "sales_outlet_stays"
RELEASED = "issue_stops_stay_released"
CEREMONY_ENDED = "key_ceremonies_stay_ended"
WIPED = "key_ceremony_components_stay_wiped"
STANDING = "released_at IS NULL"


def upgrade() -> None:
    _create_switches()
    _create_ceilings()
    _create_ceremonies()
    op.add_column("sales", sa.Column("outlet", sa.Text))
    create_trigger(
        op,
        name=OUTLET_STAYS,
        table="sales",
        event="BEFORE UPDATE OF outlet",
        when="coalesce(OLD.outlet, '') <> coalesce(NEW.outlet, '')",
        refusal="append_only:sales",
    )


def downgrade() -> None:
    on_sales = "" if is_sqlite(op.get_bind().dialect) else " ON sales"
    op.execute(f"DROP TRIGGER {OUTLET_STAYS}{on_sales}")
    op.drop_column("sales", "outlet")
    for table in (
        *("key_ceremony_components", "key_ceremonies", "ceiling_alarms"),
        *("key_uses", "key_ceilings", "issue_stops"),
    ):
        op.drop_table(table)
    drop_trigger_functions(op, OUTLET_STAYS, RELEASED, CEREMONY_ENDED, WIPED)


def _create_switches() -> None:
    op.create_table(
        "issue_stops",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("stopped_at", UTCDateTime, nullable=False),
        sa.Column("stopped_by", sa.Text, nullable=False),
        sa.Column("released_at", UTCDateTime),
        sa.Column("released_by", sa.Text),
        sa.Column("approval_id", UUIDColumn),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_issue_stops_standing",
        "issue_stops",
        ["scope", "name"],
        unique=True,
        sqlite_where=sa.text(STANDING),
        postgresql_where=sa.text(STANDING),
    )
    forbid_update_of(
        op, "issue_stops", ["id", "scope", "name", "reason", "stopped_at", "stopped_by"]
    )
    forbid_delete(op, "issue_stops")
    create_trigger(
        op,
        name=RELEASED,
        table="issue_stops",
        event="BEFORE UPDATE",
        when="OLD.released_at IS NOT NULL",
        refusal="issue_stops:released",
    )


def _create_ceilings() -> None:
    op.create_table(
        "key_ceilings",
        sa.Column("register", sa.Text, primary_key=True),
        sa.Column("use_class", sa.Text, primary_key=True),
        sa.Column("energy_wh", BigInt),
        sa.Column("money_minor", JSONColumn, nullable=False),
        sa.Column("token_count", BigInt),
        sa.Column("changed_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("energy_wh >= 0", name="energy"),
        sa.CheckConstraint("token_count >= 0", name="tokens"),
        sqlite_strict=True,
    )
    op.create_table(
        "key_uses",
        sa.Column("register", sa.Text, primary_key=True),
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("use_class", sa.Text, primary_key=True),
        sa.Column("energy_wh", BigInt, nullable=False),
        sa.Column("money_minor", JSONColumn, nullable=False),
        sa.Column("token_count", BigInt, nullable=False),
        sqlite_strict=True,
    )
    forbid_delete(op, "key_uses")
    op.create_table(
        "ceiling_alarms",
        sa.Column("register", sa.Text, primary_key=True),
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("use_class", sa.Text, primary_key=True),
        sa.Column("measure", sa.Text, primary_key=True),
        sa.Column("level", sa.Text, primary_key=True),
        sa.Column("raised_at", UTCDateTime, nullable=False),
        sqlite_strict=True,
    )
    forbid_changes(op, "ceiling_alarms")


def _create_ceremonies() -> None:
    attributes: list[sa.Column[Any]] = [
        sa.Column("sgc", sa.Text, nullable=False),
        *(
            sa.Column(name, SmallInt, nullable=False)
            for name in ("krn", "kt", "ken", "base_date", "dkga")
        ),
        sa.Column("is_demo", Flag, nullable=False),
        sa.Column("component_count", SmallInt, nullable=False),
        sa.Column("check_value", sa.Text, nullable=False),
    ]
    fixed = ["id", *(column.name for column in attributes)]
    op.create_table(
        "key_ceremonies",
        sa.Column("id", UUIDColumn, primary_key=True),
        *attributes,
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("begun_by", UUIDColumn, nullable=False),
        sa.Column("begun_by_name", sa.Text, nullable=False),
        sa.Column("begun_at", UTCDateTime, nullable=False),
        sa.Column("expires_at", UTCDateTime, nullable=False),
        sa.Column("approval_id", UUIDColumn),
        sa.Column("ended_by_name", sa.Text),
        sa.Column("ended_at", UTCDateTime),
        sa.CheckConstraint("component_count BETWEEN 2 AND 9", name="components"),
        sa.CheckConstraint("state IN ('open', 'finished', 'aborted', 'expired')", name="state"),
        sqlite_strict=True,
    )
    forbid_update_of(
        op, "key_ceremonies", [*fixed, "begun_by", "begun_by_name", "begun_at", "expires_at"]
    )
    forbid_delete(op, "key_ceremonies")
    create_trigger(
        op,
        name=CEREMONY_ENDED,
        table="key_ceremonies",
        event="BEFORE UPDATE",
        when="OLD.state <> 'open'",
        refusal="key_ceremonies:ended",
    )
    op.create_table(
        "key_ceremony_components",
        sa.Column("ceremony_id", UUIDColumn, sa.ForeignKey("key_ceremonies.id"), primary_key=True),
        sa.Column("number", SmallInt, primary_key=True),
        sa.Column("custodian_id", UUIDColumn, nullable=False),
        sa.Column("custodian_name", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("check_value", sa.Text, nullable=False),
        sa.Column("entered_at", UTCDateTime, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.UniqueConstraint("ceremony_id", "custodian_id"),
        sa.UniqueConstraint("ceremony_id", "person"),
        sqlite_strict=True,
    )
    who = ["ceremony_id", "number", "custodian_id", "custodian_name", "person"]
    forbid_update_of(op, "key_ceremony_components", [*who, "check_value", "entered_at"])
    forbid_delete(op, "key_ceremony_components")
    create_trigger(
        op,
        name=WIPED,
        table="key_ceremony_components",
        event="BEFORE UPDATE",
        when="NEW.sealed IS NOT NULL",
        refusal="key_ceremony_components:wiped",
    )

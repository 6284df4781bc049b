"""Key-change campaigns, and the commands that enter their sets."""

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
    JSONColumn,
    SmallInt,
    UTCDateTime,
    UUIDColumn,
)

revision = "0011"
down_revision = "0010"

IS_OUT = sa.text("step IN ('issued', 'delivered', 'needs-chase')")
IS_PLANNED = sa.text("step = 'planned'")
HAS_SALE = sa.text("sale_id IS NOT NULL")
ENDED = "campaigns_keep_ended"
ENTERED = "campaign_meters_keep_entered"


def upgrade() -> None:
    _create_campaigns()
    _create_meters()
    _create_sets()
    _create_steps()
    op.add_column("commands", sa.Column("key_change_set_id", UUIDColumn))
    forbid_delete(op, "campaigns")
    forbid_update_of(
        op,
        "campaigns",
        ["id", "filter", "target", "channels", "created_by", "created_at", "reason"],
    )
    create_trigger(
        op,
        name=ENDED,
        table="campaigns",
        event="BEFORE UPDATE",
        when="OLD.state IN ('finished', 'cancelled')",
        refusal="campaigns:ended",
    )
    forbid_delete(op, "campaign_meters")
    forbid_update_of(op, "campaign_meters", ["campaign_id", "meter_id"])
    create_trigger(
        op,
        name=ENTERED,
        table="campaign_meters",
        event="BEFORE UPDATE",
        when="OLD.step IN ('entered', 'skipped')",
        refusal="campaign_meters:settled",
    )
    forbid_changes(op, "key_change_sets")
    forbid_changes(op, "campaign_steps")


def downgrade() -> None:
    op.drop_column("commands", "key_change_set_id")
    op.drop_table("campaign_steps")
    op.drop_table("key_change_sets")
    op.drop_table("campaign_meters")
    op.drop_table("campaigns")
    drop_trigger_functions(op, ENDED, ENTERED)


def _create_campaigns() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("filter", JSONColumn, nullable=False),
        sa.Column("target", JSONColumn, nullable=False),
        sa.Column("channels", JSONColumn, nullable=False),
        sa.Column("chase_after_days", BigInt, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("meter_count", BigInt),
        sa.Column("digest", sa.Text),
        sa.Column("approval_id", UUIDColumn),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.Column("started_at", UTCDateTime),
        sa.Column("ended_at", UTCDateTime),
        sa.Column("changed_at", UTCDateTime, nullable=False),
        sa.CheckConstraint(
            "state IN ('draft', 'running', 'paused', 'finished', 'cancelled')", name="state"
        ),
        sqlite_strict=True,
    )


def _create_meters() -> None:
    op.create_table(
        "campaign_meters",
        sa.Column("campaign_id", UUIDColumn, sa.ForeignKey("campaigns.id"), primary_key=True),
        sa.Column("meter_id", UUIDColumn, sa.ForeignKey("meters.id"), primary_key=True),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("evidence", sa.Text),
        sa.Column("changed_at", UTCDateTime, nullable=False),
        sa.CheckConstraint(
            "step IN ('planned', 'issued', 'delivered', 'needs-chase', 'entered', 'skipped',"
            " 'failed', 'withdrawn')",
            name="step",
        ),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_campaign_meters_planned",
        "campaign_meters",
        ["campaign_id", "meter_id"],
        sqlite_where=IS_PLANNED,
        postgresql_where=IS_PLANNED,
    )
    op.create_index(
        "ix_campaign_meters_out",
        "campaign_meters",
        ["meter_id"],
        unique=True,
        sqlite_where=IS_OUT,
        postgresql_where=IS_OUT,
    )


def _key_columns(side: str) -> list[sa.Column[Any]]:
    return [
        sa.Column(f"{side}_sgc", sa.Text, nullable=False),
        sa.Column(f"{side}_krn", SmallInt, nullable=False),
        sa.Column(f"{side}_kt", SmallInt, nullable=False),
        sa.Column(f"{side}_ti", sa.Text, nullable=False),
        sa.Column(f"{side}_base_date", SmallInt, nullable=False),
    ]


def _create_sets() -> None:
    op.create_table(
        "key_change_sets",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("campaign_id", UUIDColumn, sa.ForeignKey("campaigns.id"), nullable=False),
        sa.Column("meter_id", UUIDColumn, sa.ForeignKey("meters.id"), nullable=False),
        sa.Column("meter_pan", sa.Text, nullable=False),
        sa.Column("ea", SmallInt, nullable=False),
        *_key_columns("old"),
        *_key_columns("new"),
        sa.Column("new_dkga", SmallInt, nullable=False),
        sa.Column("section_count", SmallInt, nullable=False),
        sa.Column("sealed_sections", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", UTCDateTime, nullable=False),
        sa.UniqueConstraint("meter_id", "campaign_id"),
        sqlite_strict=True,
    )


def _create_steps() -> None:
    op.create_table(
        "campaign_steps",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("campaign_id", UUIDColumn, sa.ForeignKey("campaigns.id"), nullable=False),
        sa.Column("meter_id", UUIDColumn, sa.ForeignKey("meters.id"), nullable=False),
        sa.Column("at", UTCDateTime, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("sale_id", UUIDColumn),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_campaign_steps_campaign_id_meter_id_at",
        "campaign_steps",
        ["campaign_id", "meter_id", "at"],
    )
    op.create_index(
        "ix_campaign_steps_sale_id",
        "campaign_steps",
        ["sale_id"],
        sqlite_where=HAS_SALE,
        postgresql_where=HAS_SALE,
    )

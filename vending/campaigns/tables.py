"""Rows of campaigns, their meters, the sets made for them (append-only) and each step."""

from typing import Any, Final

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

from vending.campaigns.model import OUTSTANDING_STEPS, CampaignState, MeterStep
from vending.persistence.base import metadata
from vending.persistence.column_types import (
    BigInt,
    JSONColumn,
    SmallInt,
    UTCDateTime,
    UUIDColumn,
)

_OUT: Final = ", ".join(f"'{step}'" for step in OUTSTANDING_STEPS)
IS_OUT: Final = text(f"step IN ({_OUT})")
"""As the partial index writes it: with parameters in its place SQLite would not use the index."""
IS_PLANNED: Final = text("step = 'planned'")
_CAMPAIGN_STATES: Final = ", ".join(f"'{state}'" for state in CampaignState)
_STEPS: Final = ", ".join(f"'{step}'" for step in MeterStep)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("filter", JSONColumn, nullable=False),
    Column("target", JSONColumn, nullable=False),
    Column("channels", JSONColumn, nullable=False),
    Column("chase_after_days", BigInt, nullable=False),
    Column("reason", Text, nullable=False),
    Column("meter_count", BigInt),
    Column("digest", Text),
    Column("approval_id", UUIDColumn),
    Column("created_by", Text, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("started_at", UTCDateTime),
    Column("ended_at", UTCDateTime),
    Column("changed_at", UTCDateTime, nullable=False),
    CheckConstraint(f"state IN ({_CAMPAIGN_STATES})", name="state"),
    sqlite_strict=True,
)

campaign_meters = Table(
    "campaign_meters",
    metadata,
    Column("campaign_id", UUIDColumn, ForeignKey("campaigns.id"), primary_key=True),
    Column("meter_id", UUIDColumn, ForeignKey("meters.id"), primary_key=True),
    Column("step", Text, nullable=False),
    Column("code", Text),
    Column("evidence", Text),
    Column("changed_at", UTCDateTime, nullable=False),
    CheckConstraint(f"step IN ({_STEPS})", name="step"),
    Index(
        "ix_campaign_meters_planned",
        "campaign_id",
        "meter_id",
        sqlite_where=IS_PLANNED,
        postgresql_where=IS_PLANNED,
    ),
    Index(
        "ix_campaign_meters_out",
        "meter_id",
        unique=True,
        sqlite_where=IS_OUT,
        postgresql_where=IS_OUT,
    ),
    sqlite_strict=True,
)
"""The unique index keeps two sets from being out for one meter, whatever campaigns overlap."""


def _key_columns(side: str) -> list[Column[Any]]:
    return [
        Column(f"{side}_sgc", Text, nullable=False),
        Column(f"{side}_krn", SmallInt, nullable=False),
        Column(f"{side}_kt", SmallInt, nullable=False),
        Column(f"{side}_ti", Text, nullable=False),
        Column(f"{side}_base_date", SmallInt, nullable=False),
    ]


key_change_sets = Table(
    "key_change_sets",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("campaign_id", UUIDColumn, ForeignKey("campaigns.id"), nullable=False),
    Column("meter_id", UUIDColumn, ForeignKey("meters.id"), nullable=False),
    Column("meter_pan", Text, nullable=False),
    Column("ea", SmallInt, nullable=False),
    *_key_columns("old"),
    *_key_columns("new"),
    Column("new_dkga", SmallInt, nullable=False),
    Column("section_count", SmallInt, nullable=False),
    Column("sealed_sections", LargeBinary, nullable=False),
    Column("issued_at", UTCDateTime, nullable=False),
    UniqueConstraint("meter_id", "campaign_id"),
    sqlite_strict=True,
)
"""Append-only: a set is made once and never again in another way."""

campaign_steps = Table(
    "campaign_steps",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("campaign_id", UUIDColumn, ForeignKey("campaigns.id"), nullable=False),
    Column("meter_id", UUIDColumn, ForeignKey("meters.id"), nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("origin", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("code", Text),
    Column("actor", Text, nullable=False),
    Column("sale_id", UUIDColumn),
    Index(None, "campaign_id", "meter_id", "at"),
    Index(
        "ix_campaign_steps_sale_id",
        "sale_id",
        sqlite_where=text("sale_id IS NOT NULL"),
        postgresql_where=text("sale_id IS NOT NULL"),
    ),
    sqlite_strict=True,
)
"""Append-only. What was issued stands in `key_change_sets`: no step repeats it."""

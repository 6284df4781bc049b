"""Rows of kill switches, ceilings, counts, alarms and key ceremonies."""

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
from vending.persistence.column_types import (
    BigInt,
    Flag,
    JSONColumn,
    SmallInt,
    UTCDateTime,
    UUIDColumn,
)

issue_stops = Table(
    "issue_stops",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("scope", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("stopped_at", UTCDateTime, nullable=False),
    Column("stopped_by", Text, nullable=False),
    Column("released_at", UTCDateTime),
    Column("released_by", Text),
    Column("approval_id", UUIDColumn),
    Index(
        "ix_issue_stops_standing",
        "scope",
        "name",
        unique=True,
        sqlite_where=text("released_at IS NULL"),
        postgresql_where=text("released_at IS NULL"),
    ),
    sqlite_strict=True,
)
"""A row a stop; nothing of it changes but its release, once."""

key_ceilings = Table(
    "key_ceilings",
    metadata,
    Column("register", Text, primary_key=True),
    Column("use_class", Text, primary_key=True),
    Column("energy_wh", BigInt),
    Column("money_minor", JSONColumn, nullable=False),
    Column("token_count", BigInt),
    Column("changed_at", UTCDateTime, nullable=False),
    CheckConstraint("energy_wh >= 0", name="energy"),
    CheckConstraint("token_count >= 0", name="tokens"),
    sqlite_strict=True,
)
"""The ceilings in force; what they were before is in the audit log."""

key_uses = Table(
    "key_uses",
    metadata,
    Column("register", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("use_class", Text, primary_key=True),
    Column("energy_wh", BigInt, nullable=False),
    Column("money_minor", JSONColumn, nullable=False),
    Column("token_count", BigInt, nullable=False),
    sqlite_strict=True,
)
"""What each key was used for, a row a day and class; the hot row of every batch."""

ceiling_alarms = Table(
    "ceiling_alarms",
    metadata,
    Column("register", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("use_class", Text, primary_key=True),
    Column("measure", Text, primary_key=True),
    Column("level", Text, primary_key=True),
    Column("raised_at", UTCDateTime, nullable=False),
    sqlite_strict=True,
)
"""Append-only: one alarm a day, class, measure and level."""

key_ceremonies = Table(
    "key_ceremonies",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("sgc", Text, nullable=False),
    Column("krn", SmallInt, nullable=False),
    Column("kt", SmallInt, nullable=False),
    Column("ken", SmallInt, nullable=False),
    Column("base_date", SmallInt, nullable=False),
    Column("dkga", SmallInt, nullable=False),
    Column("is_demo", Flag, nullable=False),
    Column("component_count", SmallInt, nullable=False),
    Column("check_value", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("begun_by", UUIDColumn, nullable=False),
    Column("begun_by_name", Text, nullable=False),
    Column("begun_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("approval_id", UUIDColumn),
    Column("ended_by_name", Text),
    Column("ended_at", UTCDateTime),
    CheckConstraint("component_count BETWEEN 2 AND 9", name="components"),
    CheckConstraint("state IN ('open', 'finished', 'aborted', 'expired')", name="state"),
    sqlite_strict=True,
)

key_ceremony_components = Table(
    "key_ceremony_components",
    metadata,
    Column("ceremony_id", UUIDColumn, ForeignKey("key_ceremonies.id"), primary_key=True),
    Column("number", SmallInt, primary_key=True),
    Column("custodian_id", UUIDColumn, nullable=False),
    Column("custodian_name", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("check_value", Text, nullable=False),
    Column("entered_at", UTCDateTime, nullable=False),
    Column("sealed", LargeBinary),
    UniqueConstraint("ceremony_id", "custodian_id"),
    UniqueConstraint("ceremony_id", "person"),
    sqlite_strict=True,
)
"""Who entered what; `sealed` is emptied when the ceremony ends."""

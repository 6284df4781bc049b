"""Rows of issued tokens: append-only, one for each identifier a meter's memory may hold."""

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table, Text, UniqueConstraint

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn

issued_tokens = Table(
    "issued_tokens",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("sale_id", UUIDColumn, ForeignKey("sales.id"), nullable=False),
    Column("meter_id", UUIDColumn, ForeignKey("meters.id"), nullable=False),
    Column("meter_pan", Text, nullable=False),
    Column("base_date", SmallInt, nullable=False),
    Column("tid", BigInt, nullable=False),
    Column("rnd", SmallInt, nullable=False),
    Column("kind", Text, nullable=False),
    Column("units", BigInt, nullable=False),
    Column("sgc", Text, nullable=False),
    Column("krn", SmallInt, nullable=False),
    Column("last_four", Text, nullable=False),
    Column("sealed_digits", LargeBinary, nullable=False),
    Column("issued_at", UTCDateTime, nullable=False),
    UniqueConstraint("meter_pan", "base_date", "tid"),
    Index(None, "sale_id"),
    Index(None, "meter_id", "last_four"),
    sqlite_strict=True,
)

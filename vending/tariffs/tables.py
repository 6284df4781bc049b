"""The rows of tariff versions and of drafts; triggers refuse to change or remove a version."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text, UniqueConstraint

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn

tariffs = Table(
    "tariffs",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("code", Text, nullable=False),
    Column("version", SmallInt(), nullable=False),
    Column("currency", Text, nullable=False),
    Column("price_per_kwh_micro", BigInt(), nullable=False),
    Column("vat_basis_points", SmallInt(), nullable=False),
    Column("effective_from", UTCDateTime(), nullable=False),
    Column("created_at", UTCDateTime(), nullable=False),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("length(currency) = 3", name="currency"),
    CheckConstraint("price_per_kwh_micro >= 1", name="price"),
    CheckConstraint("vat_basis_points BETWEEN 0 AND 10000", name="vat"),
    CheckConstraint("effective_from >= created_at", name="not_backdated"),
    UniqueConstraint("code", "version"),
    UniqueConstraint("code", "effective_from"),
    sqlite_strict=True,
)
"""Versions that two people have activated: what is here sells when its time comes."""

tariff_drafts = Table(
    "tariff_drafts",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("code", Text, nullable=False, index=True),
    Column("currency", Text, nullable=False),
    Column("price_per_kwh_micro", BigInt(), nullable=False),
    Column("vat_basis_points", SmallInt(), nullable=False),
    Column("effective_from", UTCDateTime()),
    Column("drafted_by", UUIDColumn(), ForeignKey("operators.id"), nullable=False),
    Column("drafted_at", UTCDateTime(), nullable=False),
    Column("state", Text, nullable=False),
    Column("approval_id", UUIDColumn(), ForeignKey("approvals.id"), unique=True),
    Column("tariff_id", UUIDColumn(), ForeignKey("tariffs.id"), unique=True),
    CheckConstraint("state IN ('draft', 'activated', 'withdrawn')", name="state"),
    CheckConstraint(
        "(state = 'activated') = (approval_id IS NOT NULL)"
        " AND (state = 'activated') = (tariff_id IS NOT NULL)",
        name="activated_by_two",
    ),
    sqlite_strict=True,
)
"""Terms wait here and sell nothing; only their state changes, once."""

"""The rows of tariff versions; triggers of the schema refuse to change or remove one."""

from sqlalchemy import CheckConstraint, Column, Table, Text, UniqueConstraint

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

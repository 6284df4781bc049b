"""The rows of partners and of their API keys."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, LargeBinary, Table, Text

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, UTCDateTime, UUIDColumn

partners = Table(
    "partners",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", UTCDateTime(), nullable=False),
    Column("credit_line_minor", BigInt()),
    CheckConstraint("length(currency) = 3", name="currency"),
    CheckConstraint("status IN ('active', 'suspended')", name="status"),
    sqlite_strict=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("prefix", Text, primary_key=True),
    Column("partner_id", UUIDColumn(), ForeignKey("partners.id"), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False),
    Column("last_four", Text, nullable=False),
    Column("created_at", UTCDateTime(), nullable=False),
    Column("revoked_at", UTCDateTime()),
    CheckConstraint("length(digest) = 32", name="digest"),
    sqlite_strict=True,
)

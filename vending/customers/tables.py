"""The rows of customers; an erased one never changes again, a change of consent is appended."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text

from vending.persistence.base import metadata
from vending.persistence.column_types import Flag, UTCDateTime, UUIDColumn

customers = Table(
    "customers",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("account_number", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("phone", Text),
    Column("email", Text),
    Column("language", Text, nullable=False),
    Column("consent_sms_at", UTCDateTime()),
    Column("consent_email_at", UTCDateTime()),
    Column("registered_at", UTCDateTime(), nullable=False),
    Column("erased_at", UTCDateTime()),
    CheckConstraint("length(account_number) BETWEEN 1 AND 32", name="account_number"),
    CheckConstraint("length(name) BETWEEN 1 AND 120", name="name"),
    CheckConstraint("language IN ('en', 'zh-CN')", name="language"),
    sqlite_strict=True,
)

consent_changes = Table(
    "consent_changes",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("customer_id", UUIDColumn(), ForeignKey("customers.id"), nullable=False, index=True),
    Column("channel", Text, nullable=False),
    Column("granted", Flag(), nullable=False),
    Column("at", UTCDateTime(), nullable=False),
    CheckConstraint("channel IN ('sms', 'email')", name="channel"),
    sqlite_strict=True,
)

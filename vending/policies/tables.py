"""Rows of policies; triggers keep each as it was written."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, JSONColumn, UTCDateTime, UUIDColumn

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", BigInt, primary_key=True),
    Column("value", JSONColumn),
    Column("valid_from", UTCDateTime, nullable=False),
    Column("changed_by", UUIDColumn, ForeignKey("operators.id"), nullable=False),
    Column("approval_id", UUIDColumn, ForeignKey("approvals.id"), nullable=False, unique=True),
    CheckConstraint("version >= 1", name="version"),
    sqlite_strict=True,
)
"""Append-only: the newest version of a name holds; a name without a row has its default."""

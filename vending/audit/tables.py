"""The rows of the chain; none of them says who did what, that is in `audit_events`."""

from typing import Final

from sqlalchemy import CheckConstraint, Column, LargeBinary, Table

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn

KEY_ID: Final = 1

audit_links: Final = Table(
    "audit_links",
    metadata,
    Column("position", BigInt, primary_key=True, autoincrement=False),
    Column("kind", SmallInt, nullable=False),
    Column("event_id", UUIDColumn, nullable=False, unique=True),
    Column("event_mac", LargeBinary, nullable=False),
    Column("link", LargeBinary, nullable=False),
    CheckConstraint("position >= 1", name="position"),
    sqlite_strict=True,
)

audit_heads: Final = Table(
    "audit_heads",
    metadata,
    Column("position", BigInt, primary_key=True, autoincrement=False),
    Column("previous_position", BigInt, nullable=False),
    Column("link", LargeBinary, nullable=False),
    Column("sealed_at", UTCDateTime, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    CheckConstraint("position > previous_position", name="position"),
    sqlite_strict=True,
)

audit_keys: Final = Table(
    "audit_keys",
    metadata,
    Column("id", SmallInt, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    CheckConstraint("id = 1", name="single"),
    sqlite_strict=True,
)

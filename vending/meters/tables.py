"""The rows of meters, of their changes of state, and of the last TID each was given."""

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text

from vending.meters.model import MeterState
from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn

_STATES: Final = ", ".join(f"'{state}'" for state in MeterState)

meters = Table(
    "meters",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("pan", Text, nullable=False, unique=True),
    Column("sgc", Text, nullable=False),
    Column("krn", SmallInt(), nullable=False),
    Column("kt", SmallInt(), nullable=False),
    Column("ti", Text, nullable=False),
    Column("ea", SmallInt(), nullable=False),
    Column("dkga", SmallInt(), nullable=False),
    Column("base_date", SmallInt(), nullable=False),
    Column("tariff_code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("resource", SmallInt(), nullable=False),
    Column("profile", Text),
    Column("link", Text),
    Column("location", Text, nullable=False),
    Column("latitude_udeg", BigInt()),
    Column("longitude_udeg", BigInt()),
    Column("customer_id", UUIDColumn(), ForeignKey("customers.id"), index=True),
    Column("state", Text, nullable=False),
    Column("registered_at", UTCDateTime(), nullable=False),
    CheckConstraint("length(pan) = 18", name="pan"),
    CheckConstraint("length(sgc) = 6", name="sgc"),
    CheckConstraint("krn BETWEEN 1 AND 9", name="krn"),
    CheckConstraint("kt BETWEEN 0 AND 3", name="kt"),
    CheckConstraint("length(ti) = 2", name="ti"),
    CheckConstraint("length(currency) = 3", name="currency"),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    sqlite_strict=True,
)

meter_state_changes = Table(
    "meter_state_changes",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("meter_id", UUIDColumn(), ForeignKey("meters.id"), nullable=False, index=True),
    Column("at", UTCDateTime(), nullable=False),
    Column("origin", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_strict=True,
)

meter_tids = Table(
    "meter_tids",
    metadata,
    Column("meter_pan", Text, primary_key=True),
    Column("base_date", SmallInt(), primary_key=True),
    Column("last_tid", BigInt(), nullable=False),
    CheckConstraint("last_tid BETWEEN 0 AND 16777215", name="last_tid"),
    sqlite_strict=True,
)

"""Where keys are stored: one header row, one row a vending key, whole numbers and bytes only.

Nothing here needs parsing before it was authenticated: a damaged value must reach the check of
its seal, and not stop a column type on the way.
"""

from typing import Final

from sqlalchemy import CheckConstraint, Column, LargeBinary, Table

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, SmallInt

HEADER_ID: Final = 1

key_store_header: Final = Table(
    "key_store_header",
    metadata,
    Column("id", SmallInt, primary_key=True, autoincrement=False),
    Column("store_id", LargeBinary, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("generation", BigInt, nullable=False),
    Column("created_at_us", BigInt, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    CheckConstraint("id = 1", name="single"),
    CheckConstraint("generation >= 1", name="generation"),
    sqlite_strict=True,
)

vending_keys: Final = Table(
    "vending_keys",
    metadata,
    Column("sgc", BigInt, primary_key=True, autoincrement=False),
    Column("krn", SmallInt, primary_key=True, autoincrement=False),
    Column("kt", SmallInt, primary_key=True, autoincrement=False),
    Column("ken", SmallInt, nullable=False),
    Column("base_year", SmallInt, nullable=False),
    Column("dkga", SmallInt, nullable=False),
    Column("is_demo", SmallInt, nullable=False),
    Column("component_count", SmallInt, nullable=False),
    Column("check_value", LargeBinary, nullable=False),
    Column("imported_at_us", BigInt, nullable=False),
    Column("retired_at_us", BigInt, nullable=True),
    Column("sealed", LargeBinary, nullable=False),
    CheckConstraint("sgc BETWEEN 0 AND 999999", name="sgc"),
    CheckConstraint("krn BETWEEN 1 AND 9", name="krn"),
    CheckConstraint("kt BETWEEN 1 AND 3", name="kt"),
    CheckConstraint("ken BETWEEN 0 AND 255", name="ken"),
    CheckConstraint("base_year IN (1993, 2014, 2035)", name="base_year"),
    CheckConstraint("dkga IN (2, 4)", name="dkga"),
    CheckConstraint("is_demo IN (0, 1)", name="is_demo"),
    sqlite_strict=True,
)

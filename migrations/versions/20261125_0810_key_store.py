"""The key store: its header, and the vending keys, sealed."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.column_types import BigInt, SmallInt

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "key_store_header",
        sa.Column("id", SmallInt, primary_key=True, autoincrement=False),
        sa.Column("store_id", sa.LargeBinary, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.Column("generation", BigInt, nullable=False),
        sa.Column("created_at_us", BigInt, nullable=False),
        sa.Column("manifest", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("id = 1", name="single"),
        sa.CheckConstraint("generation >= 1", name="generation"),
        sqlite_strict=True,
    )
    op.create_table(
        "vending_keys",
        sa.Column("sgc", BigInt, primary_key=True, autoincrement=False),
        sa.Column("krn", SmallInt, primary_key=True, autoincrement=False),
        sa.Column("kt", SmallInt, primary_key=True, autoincrement=False),
        sa.Column("ken", SmallInt, nullable=False),
        sa.Column("base_year", SmallInt, nullable=False),
        sa.Column("dkga", SmallInt, nullable=False),
        sa.Column("is_demo", SmallInt, nullable=False),
        sa.Column("component_count", SmallInt, nullable=False),
        sa.Column("check_value", sa.LargeBinary, nullable=False),
        sa.Column("imported_at_us", BigInt, nullable=False),
        sa.Column("retired_at_us", BigInt, nullable=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("sgc BETWEEN 0 AND 999999", name="sgc"),
        sa.CheckConstraint("krn BETWEEN 1 AND 9", name="krn"),
        sa.CheckConstraint("kt BETWEEN 1 AND 3", name="kt"),
        sa.CheckConstraint("ken BETWEEN 0 AND 255", name="ken"),
        sa.CheckConstraint("base_year IN (1993, 2014, 2035)", name="base_year"),
        sa.CheckConstraint("dkga IN (2, 4)", name="dkga"),
        sa.CheckConstraint("is_demo IN (0, 1)", name="is_demo"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("vending_keys")
    op.drop_table("key_store_header")

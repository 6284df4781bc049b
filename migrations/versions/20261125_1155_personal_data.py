"""Erasure of personal data, and finding a customer's sales."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import create_trigger, drop_trigger_functions
from vending.persistence.column_types import UTCDateTime, is_sqlite

revision = "0012"
down_revision = "0011"

ERASED_STAYS = "customers_stay_erased"


def upgrade() -> None:
    op.add_column("customers", sa.Column("erased_at", UTCDateTime))
    create_trigger(
        op,
        name=ERASED_STAYS,
        table="customers",
        event="BEFORE UPDATE",
        when="OLD.erased_at IS NOT NULL",
        refusal="customers:erased",
    )
    op.create_index(None, "sales", ["customer_id"])


def downgrade() -> None:
    on_sqlite = is_sqlite(op.get_bind().dialect)
    op.drop_index("ix_sales_customer_id", table_name="sales")
    op.execute(f"DROP TRIGGER {ERASED_STAYS}" + ("" if on_sqlite else " ON customers"))
    drop_trigger_functions(op, ERASED_STAYS)
    op.drop_column("customers", "erased_at")

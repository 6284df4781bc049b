"""Idempotency keys, outbox and the ledger."""

from alembic import op

from vending.persistence.append_only import create_shared_function, drop_shared_function

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_shared_function(op)


def downgrade() -> None:
    drop_shared_function(op)

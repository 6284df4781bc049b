"""Idempotency keys, outbox and the ledger."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import (
    create_shared_function,
    create_trigger,
    drop_shared_function,
    drop_trigger_functions,
    forbid_changes,
    forbid_delete,
    forbid_truncate,
    forbid_update_of,
)
from vending.persistence.column_types import BigInt, JSONColumn, SmallInt, UTCDateTime, UUIDColumn

revision = "0001"
down_revision = None

ANSWER = "idempotency_keys_keep_answer"
WAITING = "outbox_keep_waiting"


def upgrade() -> None:
    create_shared_function(op)
    _create_idempotency_keys()
    _create_outbox()
    _create_accounts()
    _create_journal()


def downgrade() -> None:
    for table in (
        "postings",
        "journal_entries",
        "ledger_balances",
        "ledger_accounts",
        "outbox",
        "idempotency_keys",
    ):
        op.drop_table(table)
    drop_trigger_functions(op, "journal_entries_seal", ANSWER, WAITING)
    drop_shared_function(op)


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("partner_id", UUIDColumn, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("claimed_at", UTCDateTime, nullable=False),
        sa.Column("status", SmallInt),
        sa.Column("body", sa.LargeBinary),
        sa.Column("answered_at", UTCDateTime),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 255", name="key_length"),
        sa.CheckConstraint("length(fingerprint) = 32", name="fingerprint_length"),
        sa.CheckConstraint(
            "(status IS NULL) = (body IS NULL) AND (status IS NULL) = (answered_at IS NULL)",
            name="whole_answer",
        ),
        sqlite_strict=True,
    )
    forbid_delete(op, "idempotency_keys")
    forbid_update_of(op, "idempotency_keys", ["partner_id", "key", "fingerprint", "claimed_at"])
    create_trigger(
        op,
        name=ANSWER,
        table="idempotency_keys",
        event="BEFORE UPDATE",
        when="OLD.status IS NOT NULL",
        refusal="idempotency:answered",
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("payload", JSONColumn, nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.Column("due_at", UTCDateTime, nullable=False),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("done_at", UTCDateTime),
        sa.Column("parked_at", UTCDateTime),
        sa.Column("last_failure", sa.Text),
        sa.CheckConstraint("attempt_count >= 0", name="attempt_count"),
        sa.CheckConstraint("done_at IS NULL OR parked_at IS NULL", name="one_end"),
        sqlite_strict=True,
    )
    waits = sa.text("done_at IS NULL AND parked_at IS NULL")
    op.create_index(
        "ix_outbox_due_at", "outbox", ["due_at", "id"], postgresql_where=waits, sqlite_where=waits
    )
    forbid_update_of(op, "outbox", ["id", "topic", "payload", "created_at"])
    forbid_truncate(op, "outbox")
    create_trigger(
        op,
        name=WAITING,
        table="outbox",
        event="BEFORE DELETE",
        when="OLD.done_at IS NULL",
        refusal="outbox:waiting",
    )


def _create_accounts() -> None:
    op.create_table(
        "ledger_accounts",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.CheckConstraint("kind IN ('asset', 'liability', 'income', 'expense')", name="kind"),
        sa.CheckConstraint("length(currency) = 3", name="currency"),
        sa.UniqueConstraint("code", "currency"),
        sqlite_strict=True,
    )
    forbid_changes(op, "ledger_accounts")
    op.create_table(
        "ledger_balances",
        sa.Column("account_code", sa.Text, sa.ForeignKey("ledger_accounts.code"), primary_key=True),
        sa.Column("floor_minor", BigInt, nullable=False),
        sa.Column("balance_minor", BigInt, nullable=False),
        sa.CheckConstraint("balance_minor >= floor_minor", name="floor"),
        sqlite_strict=True,
    )
    forbid_update_of(op, "ledger_balances", ["account_code"])
    forbid_delete(op, "ledger_balances")


def _create_journal() -> None:
    op.create_table(
        "journal_entries",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("at", UTCDateTime, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False, index=True),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("posting_count", SmallInt, nullable=False),
        sa.Column("reverses", UUIDColumn, sa.ForeignKey("journal_entries.id"), unique=True),
        sa.CheckConstraint("posting_count BETWEEN 2 AND 1000", name="posting_count"),
        sa.UniqueConstraint("id", "posting_count", "currency"),
        sqlite_strict=True,
    )
    op.create_table(
        "postings",
        sa.Column("entry_id", UUIDColumn, primary_key=True),
        sa.Column("line_number", SmallInt, primary_key=True),
        sa.Column("posting_count", SmallInt, nullable=False),
        sa.Column("account_code", sa.Text, nullable=False, index=True),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("minor", BigInt, nullable=False),
        sa.CheckConstraint("line_number BETWEEN 1 AND posting_count", name="line_number"),
        sa.CheckConstraint("minor <> 0", name="minor"),
        sa.ForeignKeyConstraint(
            ["entry_id", "posting_count", "currency"],
            ["journal_entries.id", "journal_entries.posting_count", "journal_entries.currency"],
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.ForeignKeyConstraint(
            ["account_code", "currency"], ["ledger_accounts.code", "ledger_accounts.currency"]
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    forbid_changes(op, "journal_entries")
    forbid_changes(op, "postings")
    _create_seal()


# PostgreSQL looks once at all entries of a statement: a batch of sales is one statement. The
# lateral subquery keeps the plan on the primary key, whatever the tables' sizes when it is made.
SEAL_ON_SQLITE = """
CREATE TRIGGER journal_entries_seal BEFORE INSERT ON journal_entries FOR EACH ROW BEGIN
  SELECT RAISE(ABORT, 'ledger:unbalanced')
  FROM (SELECT count(*) AS lines, sum(minor) AS total FROM postings WHERE entry_id = NEW.id)
  WHERE lines <> NEW.posting_count OR total <> 0;
END
"""
SEAL_FUNCTION_ON_POSTGRESQL = """
CREATE FUNCTION journal_entries_seal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF EXISTS (
    SELECT FROM sealed CROSS JOIN LATERAL (
      SELECT count(*) AS lines, sum(minor) AS total FROM postings WHERE entry_id = sealed.id
    ) AS found
    WHERE found.lines <> sealed.posting_count OR found.total <> 0
  ) THEN
    RAISE EXCEPTION 'ledger:unbalanced' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$
"""
SEAL_ON_POSTGRESQL = """
CREATE TRIGGER journal_entries_seal AFTER INSERT ON journal_entries
REFERENCING NEW TABLE AS sealed FOR EACH STATEMENT EXECUTE FUNCTION journal_entries_seal()
"""


def _create_seal() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(SEAL_ON_SQLITE)
    else:
        op.execute(SEAL_FUNCTION_ON_POSTGRESQL)
        op.execute(SEAL_ON_POSTGRESQL)

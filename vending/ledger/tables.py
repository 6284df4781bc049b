"""The rows of the ledger, and the wall around them.

Postings are written first, the entry last. Its insert is the seal: a trigger counts and sums the
postings there are. What keeps an entry sealed needs no trigger: each posting carries the number
of postings of its entry and its own line number between 1 and that, so a further one finds every
line taken. The keys to `journal_entries` are deferred to the end of the transaction, so postings
without an entry cannot be committed.

Only an account with a floor has a balance row; revenue and tax accounts have none, since a row
that every sale must update is a queue.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    UniqueConstraint,
)

from vending.ledger.model import POSTINGS_MAX
from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn

ledger_accounts = Table(
    "ledger_accounts",
    metadata,
    Column("code", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("currency", Text, nullable=False),
    CheckConstraint("kind IN ('asset', 'liability', 'income', 'expense')", name="kind"),
    CheckConstraint("length(currency) = 3", name="currency"),
    UniqueConstraint("code", "currency"),
    sqlite_strict=True,
)

ledger_balances = Table(
    "ledger_balances",
    metadata,
    Column("account_code", Text, ForeignKey("ledger_accounts.code"), primary_key=True),
    Column("floor_minor", BigInt, nullable=False),
    Column("balance_minor", BigInt, nullable=False),
    CheckConstraint("balance_minor >= floor_minor", name="floor"),
    sqlite_strict=True,
)

journal_entries = Table(
    "journal_entries",
    metadata,
    Column("id", UUIDColumn, primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reference", Text, nullable=False, index=True),
    Column("currency", Text, nullable=False),
    Column("posting_count", SmallInt, nullable=False),
    Column("reverses", UUIDColumn, ForeignKey("journal_entries.id"), unique=True),
    CheckConstraint(f"posting_count BETWEEN 2 AND {POSTINGS_MAX}", name="posting_count"),
    UniqueConstraint("id", "posting_count", "currency"),
    sqlite_strict=True,
)

postings = Table(
    "postings",
    metadata,
    Column("entry_id", UUIDColumn, primary_key=True),
    Column("line_number", SmallInt, primary_key=True),
    Column("posting_count", SmallInt, nullable=False),
    Column("account_code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("minor", BigInt, nullable=False),
    CheckConstraint("line_number BETWEEN 1 AND posting_count", name="line_number"),
    CheckConstraint("minor <> 0", name="minor"),
    ForeignKeyConstraint(
        ["entry_id", "posting_count", "currency"],
        ["journal_entries.id", "journal_entries.posting_count", "journal_entries.currency"],
        deferrable=True,
        initially="DEFERRED",
    ),
    ForeignKeyConstraint(
        ["account_code", "currency"], ["ledger_accounts.code", "ledger_accounts.currency"]
    ),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
Index("ix_postings_account_code", postings.c.account_code)

"""The rows of operators, of what they sign in with, and of their sessions."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from vending.persistence.base import metadata
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn

operators = Table(
    "operators",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("person", Text, nullable=False),
    Column("person_key", Text, nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("password_hash", Text),
    Column("activation_digest", LargeBinary, unique=True),
    Column("activation_ends_at", UTCDateTime()),
    Column("openid_issuer", Text),
    Column("openid_subject", Text),
    Column("created_at", UTCDateTime(), nullable=False),
    CheckConstraint("length(name) BETWEEN 2 AND 64", name="name"),
    CheckConstraint("length(person) BETWEEN 1 AND 120", name="person"),
    CheckConstraint("state IN ('invited', 'active', 'locked')", name="state"),
    CheckConstraint(
        "(activation_digest IS NULL) = (activation_ends_at IS NULL)", name="activation"
    ),
    CheckConstraint("(openid_issuer IS NULL) = (openid_subject IS NULL)", name="openid"),
    UniqueConstraint("openid_issuer", "openid_subject"),
    sqlite_strict=True,
)

operator_roles = Table(
    "operator_roles",
    metadata,
    Column("operator_id", UUIDColumn(), ForeignKey("operators.id"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("granted_at", UTCDateTime(), nullable=False),
    sqlite_strict=True,
)

operator_authenticators = Table(
    "operator_authenticators",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("operator_id", UUIDColumn(), ForeignKey("operators.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("sealed_secret", LargeBinary),
    Column("last_step", BigInt),
    Column("credential_id", LargeBinary, unique=True),
    Column("public_key", LargeBinary),
    Column("sign_count", BigInt),
    Column("added_at", UTCDateTime(), nullable=False),
    Column("used_at", UTCDateTime()),
    Column("revoked_at", UTCDateTime()),
    CheckConstraint("kind IN ('totp', 'passkey')", name="kind"),
    CheckConstraint(
        "(kind = 'totp') = (sealed_secret IS NOT NULL AND last_step IS NOT NULL)", name="totp"
    ),
    CheckConstraint(
        "(kind = 'passkey') = (credential_id IS NOT NULL AND public_key IS NOT NULL"
        " AND sign_count IS NOT NULL)",
        name="passkey",
    ),
    sqlite_strict=True,
)

operator_recovery_codes = Table(
    "operator_recovery_codes",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("operator_id", UUIDColumn(), ForeignKey("operators.id"), nullable=False, index=True),
    Column("made_at", UTCDateTime(), nullable=False),
    Column("used_at", UTCDateTime()),
    Column("revoked_at", UTCDateTime()),
    CheckConstraint("length(digest) = 32", name="digest"),
    sqlite_strict=True,
)

operator_devices = Table(
    "operator_devices",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("seen_at", UTCDateTime(), nullable=False),
    CheckConstraint("length(digest) = 32", name="digest"),
    sqlite_strict=True,
)

operator_known_devices = Table(
    "operator_known_devices",
    metadata,
    Column("operator_id", UUIDColumn(), ForeignKey("operators.id"), primary_key=True),
    Column("device_id", UUIDColumn(), ForeignKey("operator_devices.id"), primary_key=True),
    Column("since", UTCDateTime(), nullable=False),
    sqlite_strict=True,
)

operator_sessions = Table(
    "operator_sessions",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("operator_id", UUIDColumn(), ForeignKey("operators.id"), nullable=False, index=True),
    Column("device_id", Text),
    Column("source", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("opened_at", UTCDateTime(), nullable=False),
    Column("seen_at", UTCDateTime(), nullable=False),
    Column("idle_limit_s", BigInt, nullable=False),
    Column("fresh_until", UTCDateTime(), nullable=False),
    Column("ends_at", UTCDateTime(), nullable=False),
    Column("revoked_at", UTCDateTime()),
    CheckConstraint("length(digest) = 32", name="digest"),
    CheckConstraint("idle_limit_s > 0", name="idle_limit"),
    CheckConstraint("ends_at > opened_at", name="ends"),
    CheckConstraint(
        "method IN ('totp', 'passkey', 'recovery-code', 'openid', 'activation')", name="method"
    ),
    sqlite_strict=True,
)

operator_challenges = Table(
    "operator_challenges",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("operator_id", UUIDColumn(), ForeignKey("operators.id")),
    Column("sealed", LargeBinary, nullable=False),
    Column("tries", SmallInt, nullable=False),
    Column("made_at", UTCDateTime(), nullable=False),
    Column("ends_at", UTCDateTime(), nullable=False, index=True),
    Column("used_at", UTCDateTime()),
    CheckConstraint("length(digest) = 32", name="digest"),
    CheckConstraint("ends_at > made_at", name="ends"),
    sqlite_strict=True,
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("id", UUIDColumn(), primary_key=True),
    Column("at", UTCDateTime(), nullable=False, index=True),
    Column("operator_id", UUIDColumn(), ForeignKey("operators.id"), index=True),
    Column("source", Text, nullable=False),
    Column("device_id", Text),
    Column("method", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    sqlite_strict=True,
)

sign_in_throttles = Table(
    "sign_in_throttles",
    metadata,
    Column("track", LargeBinary, primary_key=True),
    Column("failures", BigInt, nullable=False),
    Column("failed_at", UTCDateTime(), nullable=False, index=True),
    Column("closed_until", UTCDateTime()),
    CheckConstraint("length(track) = 32", name="track"),
    CheckConstraint("failures >= 0", name="failures"),
    sqlite_strict=True,
)

"""Operators, their authenticators and sessions."""

import sqlalchemy as sa
from alembic import op

from vending.persistence.append_only import (
    create_trigger,
    drop_trigger_functions,
    forbid_changes,
    forbid_delete,
    forbid_truncate,
    forbid_update_of,
)
from vending.persistence.column_types import BigInt, SmallInt, UTCDateTime, UUIDColumn

revision = "0007"
down_revision = "0006"

CODE_STAYS_USED = "recovery_codes_stay_used"
SESSION_STAYS_REVOKED = "sessions_stay_revoked"
STEP_RISES = "authenticators_step_rises"
AUTHENTICATOR_STAYS_REVOKED = "authenticators_stay_revoked"
TRIGGERS = (
    CODE_STAYS_USED,
    SESSION_STAYS_REVOKED,
    STEP_RISES,
    AUTHENTICATOR_STAYS_REVOKED,
)


def upgrade() -> None:
    _create_operators()
    _create_authenticators()
    _create_recovery_codes()
    _create_devices()
    _create_sessions()
    _create_challenges()
    _create_attempts()


def downgrade() -> None:
    for table in (
        "sign_in_throttles",
        "sign_in_attempts",
        "operator_challenges",
        "operator_sessions",
        "operator_known_devices",
        "operator_devices",
        "operator_recovery_codes",
        "operator_authenticators",
        "operator_roles",
        "operators",
    ):
        op.drop_table(table)
    drop_trigger_functions(op, *TRIGGERS)


def _create_operators() -> None:
    op.create_table(
        "operators",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("person_key", sa.Text, nullable=False, index=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("activation_digest", sa.LargeBinary, unique=True),
        sa.Column("activation_ends_at", UTCDateTime),
        sa.Column("openid_issuer", sa.Text),
        sa.Column("openid_subject", sa.Text),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 2 AND 64", name="name"),
        sa.CheckConstraint("length(person) BETWEEN 1 AND 120", name="person"),
        sa.CheckConstraint("state IN ('invited', 'active', 'locked')", name="state"),
        sa.CheckConstraint(
            "(activation_digest IS NULL) = (activation_ends_at IS NULL)", name="activation"
        ),
        sa.CheckConstraint("(openid_issuer IS NULL) = (openid_subject IS NULL)", name="openid"),
        sa.UniqueConstraint("openid_issuer", "openid_subject"),
        sqlite_strict=True,
    )
    forbid_delete(op, "operators")
    # Who an account belongs to decides whether two accounts count as one person.
    forbid_update_of(op, "operators", ["id", "name", "person", "person_key", "created_at"])
    op.create_table(
        "operator_roles",
        sa.Column("operator_id", UUIDColumn, sa.ForeignKey("operators.id"), primary_key=True),
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("granted_at", UTCDateTime, nullable=False),
        sqlite_strict=True,
    )
    forbid_update_of(op, "operator_roles")
    forbid_truncate(op, "operator_roles")


def _create_authenticators() -> None:
    op.create_table(
        "operator_authenticators",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column(
            "operator_id", UUIDColumn, sa.ForeignKey("operators.id"), nullable=False, index=True
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary),
        sa.Column("last_step", BigInt),
        sa.Column("credential_id", sa.LargeBinary, unique=True),
        sa.Column("public_key", sa.LargeBinary),
        sa.Column("sign_count", BigInt),
        sa.Column("added_at", UTCDateTime, nullable=False),
        sa.Column("used_at", UTCDateTime),
        sa.Column("revoked_at", UTCDateTime),
        sa.CheckConstraint("kind IN ('totp', 'passkey')", name="kind"),
        sa.CheckConstraint(
            "(kind = 'totp') = (sealed_secret IS NOT NULL AND last_step IS NOT NULL)", name="totp"
        ),
        sa.CheckConstraint(
            "(kind = 'passkey') = (credential_id IS NOT NULL AND public_key IS NOT NULL"
            " AND sign_count IS NOT NULL)",
            name="passkey",
        ),
        sqlite_strict=True,
    )
    forbid_delete(op, "operator_authenticators")
    forbid_update_of(
        op, "operator_authenticators", ["id", "operator_id", "kind", "credential_id", "public_key"]
    )
    create_trigger(
        op,
        name=STEP_RISES,
        table="operator_authenticators",
        event="BEFORE UPDATE",
        when="NEW.last_step < OLD.last_step",
        refusal="operator_authenticators:step_lowered",
    )
    create_trigger(
        op,
        name=AUTHENTICATOR_STAYS_REVOKED,
        table="operator_authenticators",
        event="BEFORE UPDATE",
        when="OLD.revoked_at IS NOT NULL",
        refusal="operator_authenticators:revoked",
    )


def _create_recovery_codes() -> None:
    op.create_table(
        "operator_recovery_codes",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column(
            "operator_id", UUIDColumn, sa.ForeignKey("operators.id"), nullable=False, index=True
        ),
        sa.Column("made_at", UTCDateTime, nullable=False),
        sa.Column("used_at", UTCDateTime),
        sa.Column("revoked_at", UTCDateTime),
        sa.CheckConstraint("length(digest) = 32", name="digest"),
        sqlite_strict=True,
    )
    forbid_delete(op, "operator_recovery_codes")
    forbid_update_of(op, "operator_recovery_codes", ["digest", "operator_id", "made_at"])
    create_trigger(
        op,
        name=CODE_STAYS_USED,
        table="operator_recovery_codes",
        event="BEFORE UPDATE",
        when="OLD.used_at IS NOT NULL OR OLD.revoked_at IS NOT NULL",
        refusal="operator_recovery_codes:used",
    )


def _create_devices() -> None:
    op.create_table(
        "operator_devices",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("seen_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("length(digest) = 32", name="digest"),
        sqlite_strict=True,
    )
    forbid_changes(op, "operator_devices")
    op.create_table(
        "operator_known_devices",
        sa.Column("operator_id", UUIDColumn, sa.ForeignKey("operators.id"), primary_key=True),
        sa.Column("device_id", UUIDColumn, sa.ForeignKey("operator_devices.id"), primary_key=True),
        sa.Column("since", UTCDateTime, nullable=False),
        sqlite_strict=True,
    )


def _create_sessions() -> None:
    op.create_table(
        "operator_sessions",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column(
            "operator_id", UUIDColumn, sa.ForeignKey("operators.id"), nullable=False, index=True
        ),
        sa.Column("device_id", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("opened_at", UTCDateTime, nullable=False),
        sa.Column("seen_at", UTCDateTime, nullable=False),
        sa.Column("idle_limit_s", BigInt, nullable=False),
        sa.Column("fresh_until", UTCDateTime, nullable=False),
        sa.Column("ends_at", UTCDateTime, nullable=False),
        sa.Column("revoked_at", UTCDateTime),
        sa.CheckConstraint("length(digest) = 32", name="digest"),
        sa.CheckConstraint("idle_limit_s > 0", name="idle_limit"),
        sa.CheckConstraint("ends_at > opened_at", name="ends"),
        sa.CheckConstraint(
            "method IN ('totp', 'passkey', 'recovery-code', 'openid', 'activation')", name="method"
        ),
        sqlite_strict=True,
    )
    forbid_delete(op, "operator_sessions")
    forbid_update_of(
        op,
        "operator_sessions",
        ["id", "digest", "operator_id", "device_id", "method", "opened_at", "ends_at"],
    )
    create_trigger(
        op,
        name=SESSION_STAYS_REVOKED,
        table="operator_sessions",
        event="BEFORE UPDATE",
        when="OLD.revoked_at IS NOT NULL",
        refusal="operator_sessions:revoked",
    )


def _create_challenges() -> None:
    op.create_table(
        "operator_challenges",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("operator_id", UUIDColumn, sa.ForeignKey("operators.id")),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("tries", SmallInt, nullable=False),
        sa.Column("made_at", UTCDateTime, nullable=False),
        sa.Column("ends_at", UTCDateTime, nullable=False, index=True),
        sa.Column("used_at", UTCDateTime),
        sa.CheckConstraint("length(digest) = 32", name="digest"),
        sa.CheckConstraint("ends_at > made_at", name="ends"),
        sqlite_strict=True,
    )


def _create_attempts() -> None:
    op.create_table(
        "sign_in_attempts",
        sa.Column("id", UUIDColumn, primary_key=True),
        sa.Column("at", UTCDateTime, nullable=False, index=True),
        sa.Column("operator_id", UUIDColumn, sa.ForeignKey("operators.id"), index=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    forbid_update_of(op, "sign_in_attempts", ["id", "at", "operator_id", "source", "method"])
    op.create_table(
        "sign_in_throttles",
        sa.Column("track", sa.LargeBinary, primary_key=True),
        sa.Column("failures", BigInt, nullable=False),
        sa.Column("failed_at", UTCDateTime, nullable=False, index=True),
        sa.Column("closed_until", UTCDateTime),
        sa.CheckConstraint("length(track) = 32", name="track"),
        sa.CheckConstraint("failures >= 0", name="failures"),
        sqlite_strict=True,
    )

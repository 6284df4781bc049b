"""Management, free and replacement tokens; refunds; credit lines; tariff approval."""

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass

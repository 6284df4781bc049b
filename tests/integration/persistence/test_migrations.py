"""Migrations up and down on both engines."""

from vending.persistence import migrate
from vending.persistence.engine import Database


def test_upgrade_reaches_the_head_and_downgrade_leaves_nothing(empty_database: Database) -> None:
    assert migrate.current_revision(empty_database) is None
    migrate.upgrade(empty_database)
    assert migrate.current_revision(empty_database) == migrate.head_revision()
    migrate.downgrade(empty_database, "base")
    assert migrate.current_revision(empty_database) is None


def test_database_is_migrated(database: Database) -> None:
    migrate.require_head(database)

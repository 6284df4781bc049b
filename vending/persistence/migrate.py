"""Runs the migrations: Alembic without an ini file, one transaction, one migrator at a time."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from vending.persistence.engine import Database, EngineKind
from vending.persistence.errors import SchemaMismatchError

MIGRATION_LOCK: Final = 0x76656E64
"""Key of PostgreSQL's advisory lock: a second migrator waits, then finds nothing to do."""

LOCK_TIMEOUT_MS: Final = 1_000
"""A migration that cannot have its table in a second gives way to the sales that hold it."""

_BESIDE_THIS_MODULE: Final = Path(__file__).parent / "migrations"
_PROJECT_ROOT: Final = Path(__file__).parents[2] / "migrations"


def script_folder() -> Path:
    """Return the folder of the migrations: packaged in a wheel, or of the working tree."""
    return _BESIDE_THIS_MODULE if _BESIDE_THIS_MODULE.is_dir() else _PROJECT_ROOT


def head_revision() -> str:
    """Return the revision this release works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the release carries its migrations"
    return head


def current_revision(database: Database) -> str | None:
    """Return the revision the database is at; None: no migration was run yet."""
    with database.read() as connection:
        return revision_of(connection)


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the tables up to the revision; all of it or nothing."""
    with database.unit_of_work() as uow:
        _prepare(database, uow.connection)
        command.upgrade(_config(uow.connection), revision)
        uow.commit()


def upgrade_within(connection: Connection, revision: str = "head") -> None:
    """Bring the tables up to the revision in the caller's transaction, on a database of its own."""
    command.upgrade(_config(connection), revision)


def downgrade_within(connection: Connection, revision: str) -> None:
    """Take the tables back to the revision in the caller's transaction."""
    command.downgrade(_config(connection), revision)


def is_known(revision: str) -> bool:
    """Return whether this release has the revision."""
    scripts = ScriptDirectory.from_config(_config())
    return revision in {script.revision for script in scripts.walk_revisions()}


def downgrade(database: Database, revision: str) -> None:
    """Take the tables back to the revision, `base` for none at all; rows in them are lost."""
    with database.unit_of_work() as uow:
        _prepare(database, uow.connection)
        command.downgrade(_config(uow.connection), revision)
        uow.commit()


def require_head(database: Database) -> None:
    """Check that the tables are those of this release.

    Raises:
        SchemaMismatchError: They are older or newer.
    """
    found = current_revision(database)
    wanted = head_revision()
    if found != wanted:
        raise SchemaMismatchError(found=found, wanted=wanted)


def revision_of(connection: Connection) -> str | None:
    """Return the revision a connection sees; None: no migration was run yet."""
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(script_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _prepare(database: Database, connection: Connection) -> None:
    if database.dialect is EngineKind.POSTGRESQL:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")

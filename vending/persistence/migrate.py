"""Runs the migrations while sales go on: Alembic without an ini file, one migrator at a time.

Each revision is a transaction of its own. On PostgreSQL it waits a second for its tables and no
longer, because whoever comes behind a waiting migration waits too; it then gives way to the sales
and tries again. An advisory lock lets a second migrator wait, then find nothing to do. On SQLite
the write lock does both.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from vending.persistence.compatibility import (
    EXPANDS,
    forget_expansion,
    note_expansion,
    serves_previous,
)
from vending.persistence.engine import Database, EngineKind
from vending.persistence.errors import DatabaseBusyError, SchemaMismatchError

MIGRATION_LOCK: Final = 0x76656E64
"""Key of PostgreSQL's advisory lock: a second migrator waits, then finds nothing to do."""

LOCK_TIMEOUT_MS: Final = 1_000
"""A migration that cannot have its table in a second gives way to the sales that hold it."""

STATEMENT_TIMEOUT_MS: Final = 20_000
"""What takes longer holds its table for too long: fill and index in pieces, then contract."""

TRIES_MAX: Final = 30
PAUSE_S: Final = 1

_BASE: Final = "base"
_BESIDE_THIS_MODULE: Final = Path(__file__).parent / "migrations"
_PROJECT_ROOT: Final = Path(__file__).parents[2] / "migrations"


def script_folder() -> Path:
    """Return the folder of the migrations: packaged in a wheel, or of the working tree."""
    return _BESIDE_THIS_MODULE if _BESIDE_THIS_MODULE.is_dir() else _PROJECT_ROOT


@lru_cache(maxsize=4)
def head_revision(folder: Path | None = None) -> str:
    """Return the revision this release works with; its files stay the same while it runs."""
    head = _scripts(folder).get_current_head()
    assert head is not None, "the release carries its migrations"
    return head


def is_known(revision: str) -> bool:
    """Return whether this release has the revision."""
    return revision in {script.revision for script in _scripts(None).walk_revisions()}


def current_revision(database: Database) -> str | None:
    """Return the revision the database is at; None: no migration was run yet."""
    with database.read() as connection:
        return revision_of(connection)


def revision_of(connection: Connection) -> str | None:
    """Return the revision a connection sees; None: no migration was run yet."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(
    database: Database,
    revision: str = "head",
    *,
    folder: Path | None = None,
    tries_max: int = TRIES_MAX,
    pause_s: float = PAUSE_S,
) -> None:
    """Bring the tables up to the revision, step by step; each step is all there or not at all.

    Raises:
        DatabaseBusyError: Sales held a table through every try; the steps before it are done.
        DatabaseUnavailableError: The database cannot be reached.
        CommandError: There is no way up to the revision.
    """
    pause = threading.Event()
    while _patiently(lambda: _step_up(database, revision, folder), tries_max, pause_s, pause):
        pass


def downgrade(
    database: Database,
    revision: str,
    *,
    folder: Path | None = None,
    tries_max: int = TRIES_MAX,
    pause_s: float = PAUSE_S,
) -> None:
    """Take the tables back to the revision, `base` for none at all; rows in them are lost.

    Raises:
        DatabaseBusyError: Sales held a table through every try; the steps before it are done.
        DatabaseUnavailableError: The database cannot be reached.
        CommandError: There is no way down to the revision.
    """
    pause, target = threading.Event(), _absolute(database, revision, folder)
    while _patiently(lambda: _step_down(database, target, folder), tries_max, pause_s, pause):
        pass


def upgrade_within(connection: Connection, revision: str = "head") -> None:
    """Bring the tables up in the caller's transaction, where nobody sells: a restore.

    Raises:
        CommandError: There is no way up to the revision.
    """
    for script in _way_up(connection, revision, _scripts(None)):
        _apply(connection, script, None)


def downgrade_within(connection: Connection, revision: str) -> None:
    """Take the tables back in the caller's transaction, where nobody sells.

    Raises:
        CommandError: There is no way down to the revision.
    """
    command.downgrade(_config(connection, None), revision)


def require_head(database: Database) -> None:
    """Check that the tables are those of this release, or one revision newer and marked for it.

    Raises:
        SchemaMismatchError: They are older, or too new.
    """
    wanted = head_revision()
    with database.read() as connection:
        found = revision_of(connection)
        if found == wanted or (found is not None and serves_previous(connection, found, wanted)):
            return
    raise SchemaMismatchError(found=found, wanted=wanted)


def _patiently(
    step: Callable[[], bool], tries_max: int, pause_s: float, pause: threading.Event
) -> bool:
    """Run a step, again after each time it gave way; return whether there is another."""
    for _ in range(tries_max - 1):
        try:
            return step()
        except DatabaseBusyError:
            pause.wait(pause_s)
    return step()


def _step_up(database: Database, revision: str, folder: Path | None) -> bool:
    scripts = _scripts(folder)
    with _migrating(database) as connection:
        way = _way_up(connection, revision, scripts)
        if not way:
            return False
        _apply(connection, way[0], folder)
    return len(way) > 1


def _step_down(database: Database, revision: str, folder: Path | None) -> bool:
    scripts = _scripts(folder)
    with _migrating(database) as connection:
        way = _way_down(connection, revision, scripts)
        if not way:
            return False
        forget_expansion(connection, way[0].revision)
        command.downgrade(_config(connection, folder), _below(way[0]))
    return len(way) > 1


def _apply(connection: Connection, script: Script, folder: Path | None) -> None:
    command.upgrade(_config(connection, folder), script.revision)
    if getattr(script.module, EXPANDS, False):
        assert isinstance(script.down_revision, str), "the chain has no branches"
        note_expansion(connection, script.revision, script.down_revision)


def _way_up(connection: Connection, revision: str, scripts: ScriptDirectory) -> list[Script]:
    """Return the steps from here to the revision, in their order."""
    found, wanted = revision_of(connection), scripts.get_revision(revision).revision
    return [] if wanted == found else list(scripts.iterate_revisions(wanted, found or _BASE))[::-1]


def _way_down(connection: Connection, revision: str, scripts: ScriptDirectory) -> list[Script]:
    """Return the steps that are taken back to come to the revision, in their order."""
    found = revision_of(connection)
    wanted = revision if revision == _BASE else scripts.get_revision(revision).revision
    return [] if found in {None, wanted} else list(scripts.iterate_revisions(found, wanted))


def _below(script: Script) -> str:
    below = script.down_revision
    assert below is None or isinstance(below, str), "the chain has no branches"
    return below or _BASE


def _absolute(database: Database, revision: str, folder: Path | None) -> str:
    """Return the revision that `-1` or `-2` stand for, now and in every step to come.

    Raises:
        CommandError: There are not as many to go back.
    """
    if not (revision.startswith("-") and revision[1:].isdecimal()):
        return revision
    with database.read() as connection:
        way = _way_down(connection, _BASE, _scripts(folder))
    count = int(revision[1:])
    if not 1 <= count <= len(way):
        message = f"there are {len(way)} revisions to go back"
        raise CommandError(message)
    return _below(way[count - 1])


@contextmanager
def _migrating(database: Database) -> Iterator[Connection]:
    """Yield a connection that is the only migrator; what it did is committed at the end."""
    with database.unit_of_work() as uow:
        connection = uow.connection
        if database.dialect is EngineKind.POSTGRESQL:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")
        yield connection
        uow.commit()


def _scripts(folder: Path | None) -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None, folder))


def _config(connection: Connection | None, folder: Path | None) -> Config:
    config = Config()
    location = str(folder or script_folder()).replace("%", "%%")
    config.set_main_option("script_location", location)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

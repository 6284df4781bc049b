"""What makes a committed sale survive a crash, checked on an open connection.

PostgreSQL   fsync, full_page_writes and synchronous_commit are on
SQLite       the library is free of the WAL-reset fault, or no write-ahead log is used
             (`vending.persistence.sqlite_library`); synchronous is FULL or EXTRA;
             foreign keys are enforced
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Final

from sqlalchemy import Connection

from vending.persistence.column_types import is_sqlite
from vending.persistence.sqlite_library import WAL_SAFE_VERSION, name_library

SQLITE_STRICT_VERSION: Final = (3, 37, 0)
"""The first with STRICT tables; RETURNING (3.35) and UPDATE FROM (3.33) are older."""

_SYNCHRONOUS_NAMES: Final = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
_SYNCHRONOUS_FULL: Final = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One setting that was looked at."""

    setting: str
    found: str
    wanted: str
    is_safe: bool


def list_findings(connection: Connection) -> list[Finding]:
    """Return what was checked on this database, the unsafe points included."""
    if is_sqlite(connection.dialect):
        return _sqlite_findings(connection)
    return _postgresql_findings(connection)


def judge_sqlite_library(library: ModuleType, journal_mode: str) -> Finding:
    """Return whether a library may be used with a journal mode, before any file is opened."""
    version: tuple[int, ...] = library.sqlite_version_info
    is_wal = journal_mode == "wal"
    least = WAL_SAFE_VERSION if is_wal else SQLITE_STRICT_VERSION
    return Finding(
        f"SQLite library with journal mode {journal_mode}",
        f"{_dotted(version)} of {name_library(library)}",
        f"{_dotted(least)} or later" + (", or journal mode delete" if is_wal else ""),
        is_safe=version >= least,
    )


def judge_sqlite(*, journal_mode: str, synchronous: int, has_foreign_keys: bool) -> list[Finding]:
    """Return the verdicts on the settings of one SQLite connection."""
    return [
        Finding(
            "SQLite journal mode",
            journal_mode,
            "wal or delete",
            is_safe=journal_mode in {"wal", "delete"},
        ),
        Finding(
            "SQLite synchronous",
            _SYNCHRONOUS_NAMES.get(synchronous, str(synchronous)),
            "FULL or EXTRA",
            is_safe=synchronous >= _SYNCHRONOUS_FULL,
        ),
        Finding(
            "SQLite foreign_keys",
            "on" if has_foreign_keys else "off",
            "on",
            is_safe=has_foreign_keys,
        ),
    ]


def judge_postgresql(settings: dict[str, str]) -> list[Finding]:
    """Return the verdicts on PostgreSQL's settings."""
    allowed = {
        "fsync": ("on",),
        "full_page_writes": ("on",),
        "synchronous_commit": ("on", "remote_apply"),
    }
    return [
        Finding(
            f"PostgreSQL {name}",
            settings[name],
            " or ".join(values),
            is_safe=settings[name] in values,
        )
        for name, values in allowed.items()
    ]


def _sqlite_findings(connection: Connection) -> list[Finding]:
    def pragma(name: str) -> object:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()

    library = connection.dialect.dbapi
    assert isinstance(library, ModuleType), "the engine was given a module"
    journal_mode = str(pragma("journal_mode"))
    return [
        judge_sqlite_library(library, journal_mode),
        *judge_sqlite(
            journal_mode=journal_mode,
            synchronous=int(str(pragma("synchronous"))),
            has_foreign_keys=pragma("foreign_keys") == 1,
        ),
    ]


def _postgresql_findings(connection: Connection) -> list[Finding]:
    rows = connection.exec_driver_sql(
        "SELECT name, setting FROM pg_settings"
        " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
    )
    return judge_postgresql({row.name: row.setting for row in rows})


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)

"""What makes a committed sale survive a crash, checked on an open connection.

PostgreSQL   fsync, full_page_writes and synchronous_commit are on
SQLite       the library is free of the WAL-reset fault (3.7.0 to 3.51.2: two connections
             that write or checkpoint at once can corrupt the file) or no log is used;
             synchronous is FULL or EXTRA; foreign keys are enforced
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from vending.persistence.column_types import is_sqlite

SQLITE_WAL_SAFE_VERSION: Final = (3, 51, 3)
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


def judge_sqlite(
    *, version: tuple[int, ...], journal_mode: str, synchronous: int, has_foreign_keys: bool
) -> list[Finding]:
    """Return the verdicts on one SQLite connection; pure, so that old libraries can be judged."""
    is_wal = journal_mode == "wal"
    least = SQLITE_WAL_SAFE_VERSION if is_wal else SQLITE_STRICT_VERSION
    return [
        Finding(
            f"SQLite library with journal mode {journal_mode}",
            _dotted(version),
            f"{_dotted(least)} or later" + (", or journal mode delete" if is_wal else ""),
            is_safe=version >= least,
        ),
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

    version = str(connection.exec_driver_sql("SELECT sqlite_version()").scalar_one())
    return judge_sqlite(
        version=tuple(int(part) for part in version.split(".")),
        journal_mode=str(pragma("journal_mode")),
        synchronous=int(str(pragma("synchronous"))),
        has_foreign_keys=pragma("foreign_keys") == 1,
    )


def _postgresql_findings(connection: Connection) -> list[Finding]:
    rows = connection.exec_driver_sql(
        "SELECT name, setting FROM pg_settings"
        " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
    )
    return judge_postgresql({row.name: row.setting for row in rows})


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)

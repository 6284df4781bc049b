"""Which SQLite is used: the library of the wheel `pysqlite3`, or the one Python comes with.

SQLite 3.7.0 to 3.51.2 has the WAL-reset fault: two connections that write or checkpoint a
write-ahead log at once can corrupt the file. The wheel brings a library without it, but for x86_64
alone. Python's own `sqlite3` uses the library of the system, mostly one with the fault; such a
library runs with a rollback journal, which the fault does not concern:

    library                        journal mode    synchronous
    3.51.3 or later                wal             FULL
    older                          delete          EXTRA
"""

import sqlite3.dbapi2
from enum import StrEnum
from importlib import import_module
from types import ModuleType
from typing import Final

WHEEL: Final = "pysqlite3.dbapi2"
STANDARD: Final[ModuleType] = sqlite3.dbapi2
WAL_SAFE_VERSION: Final = (3, 51, 3)


class JournalMode(StrEnum):
    """How SQLite survives a crash: a write-ahead log, or a rollback journal."""

    WAL = "wal"
    DELETE = "delete"


def choose_library(wheel: str = WHEEL) -> ModuleType:
    """Return the wheel's module where it can be imported, else Python's own."""
    try:
        return import_module(wheel)
    except ImportError:
        return STANDARD


def choose_journal_mode(version: tuple[int, ...]) -> JournalMode:
    """Return the faster mode of those that are safe with this version of the library."""
    return JournalMode.WAL if version >= WAL_SAFE_VERSION else JournalMode.DELETE


def name_library(library: ModuleType) -> str:
    """Return what an operator calls the library."""
    package = library.__name__.partition(".")[0]
    return "Python's sqlite3" if package == "sqlite3" else f"the wheel {package}"

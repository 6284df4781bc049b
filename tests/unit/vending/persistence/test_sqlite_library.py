import platform

import pytest

from vending.persistence.sqlite_library import (
    STANDARD,
    JournalMode,
    choose_journal_mode,
    choose_library,
    name_library,
)


def test_wheel_is_chosen_where_there_is_one() -> None:
    has_wheel = platform.machine() == "x86_64"
    expected = "the wheel pysqlite3" if has_wheel else "Python's sqlite3"
    assert name_library(choose_library()) == expected


def test_the_library_of_python_is_chosen_where_there_is_no_wheel() -> None:
    chosen = choose_library("no_such_wheel.dbapi2")
    assert chosen is STANDARD
    assert name_library(chosen) == "Python's sqlite3"


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), JournalMode.DELETE),
        ((3, 51, 2), JournalMode.DELETE),
        ((3, 51, 3), JournalMode.WAL),
        ((3, 53, 4), JournalMode.WAL),
    ],
)
def test_a_log_is_written_only_where_the_library_is_free_of_the_fault(
    version: tuple[int, ...], mode: JournalMode
) -> None:
    assert choose_journal_mode(version) is mode

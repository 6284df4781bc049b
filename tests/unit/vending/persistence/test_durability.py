from types import ModuleType

import pytest

from vending.persistence.durability import (
    Finding,
    judge_postgresql,
    judge_sqlite,
    judge_sqlite_library,
)


def unsafe(findings: list[Finding]) -> list[str]:
    return [finding.setting for finding in findings if not finding.is_safe]


@pytest.mark.parametrize(
    ("version", "journal_mode", "synchronous", "has_foreign_keys", "faults"),
    [
        ((3, 53, 4), "wal", 2, True, []),
        ((3, 51, 3), "wal", 2, True, []),
        ((3, 51, 2), "wal", 2, True, ["SQLite library with journal mode wal"]),
        ((3, 40, 1), "wal", 2, True, ["SQLite library with journal mode wal"]),
        ((3, 40, 1), "delete", 3, True, []),
        ((3, 36, 9), "delete", 3, True, ["SQLite library with journal mode delete"]),
        ((3, 53, 4), "wal", 1, True, ["SQLite synchronous"]),
        ((3, 53, 4), "delete", 0, True, ["SQLite synchronous"]),
        ((3, 53, 4), "memory", 2, True, ["SQLite journal mode"]),
        ((3, 53, 4), "wal", 2, False, ["SQLite foreign_keys"]),
    ],
)
def test_sqlite_is_judged(
    version: tuple[int, ...],
    journal_mode: str,
    synchronous: int,
    has_foreign_keys: bool,  # noqa: FBT001 # a column of the table above
    faults: list[str],
) -> None:
    library = ModuleType("pysqlite3.dbapi2")
    vars(library)["sqlite_version_info"] = version
    findings = [
        judge_sqlite_library(library, journal_mode),
        *judge_sqlite(
            journal_mode=journal_mode, synchronous=synchronous, has_foreign_keys=has_foreign_keys
        ),
    ]
    assert unsafe(findings) == faults


@pytest.mark.parametrize(
    ("changed", "faults"),
    [
        ({}, []),
        ({"synchronous_commit": "remote_apply"}, []),
        ({"fsync": "off"}, ["PostgreSQL fsync"]),
        ({"full_page_writes": "off"}, ["PostgreSQL full_page_writes"]),
        ({"synchronous_commit": "off"}, ["PostgreSQL synchronous_commit"]),
        ({"synchronous_commit": "local"}, ["PostgreSQL synchronous_commit"]),
        ({"synchronous_commit": "remote_write"}, ["PostgreSQL synchronous_commit"]),
    ],
)
def test_postgresql_is_judged(changed: dict[str, str], faults: list[str]) -> None:
    safe = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
    assert unsafe(judge_postgresql(safe | changed)) == faults


def test_a_finding_says_what_to_write_instead() -> None:
    finding = judge_postgresql(
        {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "off"}
    )[-1]
    assert (finding.found, finding.wanted) == ("off", "on or remote_apply")

"""SQLite of Python itself with a rollback journal, as on a machine without the wheel."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.shop import build_shop
from vending.ledger.service import verify
from vending.persistence import migrate
from vending.persistence.engine import Database, create_database, durability_report
from vending.persistence.errors import UnsafeDatabaseError
from vending.persistence.sqlite_library import STANDARD, JournalMode
from vending.sales.model import Answer
from vending.sales.service.vend import vend
from vending.values.clock import FixedClock

WRITER = """
import sys
from vending.persistence.engine import create_database
from vending.persistence.sqlite_library import STANDARD, JournalMode

database = create_database(sys.argv[1], library=STANDARD, journal_mode=JournalMode.DELETE)
first, count = int(sys.argv[2]), int(sys.argv[3])
for number in range(first, first + count):
    with database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("INSERT INTO notes (id) VALUES (?)", (number,))
        if number == first:
            print("writing", flush=True)
        uow.commit()
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'vending.sqlite3'}"


@pytest.fixture
def standard(url: str) -> Iterator[Database]:
    database = create_database(url, library=STANDARD, journal_mode=JournalMode.DELETE)
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def notes(standard: Database) -> Database:
    with standard.unit_of_work() as uow:
        uow.connection.exec_driver_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY) STRICT")
        uow.commit()
    return standard


def start_writer(url: str, first: int, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, url, str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


@pytest.fixture
def faulty_library() -> ModuleType:
    """The library of Python, of a version that has the fault whatever this machine has."""
    library = ModuleType(STANDARD.__name__)
    vars(library).update(vars(STANDARD) | {"sqlite_version_info": (3, 40, 1)})
    return library


def test_a_faulty_library_keeps_a_rollback_journal(faulty_library: ModuleType, url: str) -> None:
    database = create_database(url, library=faulty_library)
    findings = {finding.setting: finding for finding in durability_report(database)}
    database.close()
    assert findings["SQLite journal mode"].found == JournalMode.DELETE


def test_the_rollback_journal_is_synced_with_its_folder(standard: Database) -> None:
    findings = {finding.setting: finding for finding in durability_report(standard)}
    assert findings["SQLite journal mode"].found == JournalMode.DELETE
    assert findings["SQLite synchronous"].found == "EXTRA"
    assert all(finding.is_safe for finding in findings.values())


def test_a_log_with_a_faulty_library_is_refused_before_the_file_is_made(
    faulty_library: ModuleType, url: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsafeDatabaseError) as refused:
        create_database(url, library=faulty_library, journal_mode=JournalMode.WAL)
    assert "3.40.1" in str(refused.value.facts["found"])
    assert "3.51.3" in str(refused.value.facts["wanted"])
    assert list(tmp_path.iterdir()) == []


def test_a_sale_is_made_once(standard: Database, fixed_clock: FixedClock, tmp_path: Path) -> None:
    shop = build_shop(standard, fixed_clock, tmp_path)
    first = vend([shop.request("k1")], shop.desk)[0]
    again = vend([shop.request("k1")], shop.desk)[0]
    assert isinstance(first, Answer)
    assert isinstance(again, Answer)
    assert (again.body, again.replayed) == (first.body, True)
    with standard.read() as connection:
        assert verify(connection) == []


def test_processes_take_turns_and_lose_nothing(notes: Database, url: str) -> None:
    for writer in [start_writer(url, first, 20) for first in (0, 1_000)]:
        writer.communicate(timeout=200)
        assert writer.returncode == 0
    with notes.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM notes").scalar_one() == 40


def test_a_writer_that_is_killed_leaves_a_whole_file(notes: Database, url: str) -> None:
    writer = start_writer(url, 0, 100_000)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"writing\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=200)
    with notes.unit_of_work() as uow:
        uow.connection.exec_driver_sql("INSERT INTO notes (id) VALUES (-1)")
        uow.commit()
    with notes.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"

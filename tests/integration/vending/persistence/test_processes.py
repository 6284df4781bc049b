"""Several processes on one SQLite file: the service, its worker, a command."""

import subprocess
import sys

from vending.persistence.engine import Database

WRITER = """
import sys
from vending.persistence.engine import DatabaseLimits, create_database

database = create_database(sys.argv[1], limits=DatabaseLimits(lock_timeout_ms=100_000))
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 50):
    with database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("INSERT INTO notes (id) VALUES (?)", (number,))
        uow.commit()
database.close()
"""


def test_processes_take_turns_and_lose_nothing(sqlite_database: Database, sqlite_url: str) -> None:
    with sqlite_database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY) STRICT")
        uow.commit()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, sqlite_url, str(first)])
        for first in (0, 1_000, 2_000)
    ]
    assert [writer.wait(200) for writer in writers] == [0, 0, 0]
    with sqlite_database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM notes").scalar_one() == 150
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"

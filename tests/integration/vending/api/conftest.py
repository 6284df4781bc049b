from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import Counter, open_counter
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


@pytest.fixture
def counter(database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Iterator[Counter]:
    """On SQLite and on PostgreSQL."""
    with open_counter(database, fixed_clock, tmp_path) as opened:
        yield opened


@pytest.fixture
def sqlite_counter(
    sqlite_database: Database, fixed_clock: FixedClock, tmp_path: Path
) -> Iterator[Counter]:
    """For what does not depend on the database."""
    with open_counter(sqlite_database, fixed_clock, tmp_path) as opened:
        yield opened

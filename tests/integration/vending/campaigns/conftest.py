from pathlib import Path

import pytest

from tests.support.campaigns import Fleet
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


@pytest.fixture
def fleet(database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Fleet:
    return Fleet(database, fixed_clock, tmp_path, 4)

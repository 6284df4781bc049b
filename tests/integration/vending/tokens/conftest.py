"""A shop whose tokens are looked at."""

from pathlib import Path

import pytest

from tests.support.shop import Shop, build_shop
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


@pytest.fixture
def shop(database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Shop:
    return build_shop(database, fixed_clock, tmp_path)

"""A town with meters and tokens to deliver."""

import pytest

from tests.support.deliveries import Town
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


@pytest.fixture
def town(database: Database, fixed_clock: FixedClock) -> Town:
    return Town(database, fixed_clock)

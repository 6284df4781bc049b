"""A shop on each database, and what a test asks of it."""

from pathlib import Path

import pytest

from tests.support.shop import Shop, build_shop
from tests.support.slow_security_module import SlowSecurityModule
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


@pytest.fixture
def shop(database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Shop:
    return build_shop(database, fixed_clock, tmp_path, meter_count=3)


@pytest.fixture
def module(shop: Shop) -> SlowSecurityModule:
    return SlowSecurityModule(shop.desk.security_module)

"""A town, and meters in memory that do as planned."""

import pytest

from tests.support.deliveries import ScriptedGateway, Town, make_delivery
from vending.delivery.service import Delivery
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


@pytest.fixture
def town(database: Database, fixed_clock: FixedClock) -> Town:
    return Town(database, fixed_clock)


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
def delivery(town: Town, gateway: ScriptedGateway) -> Delivery:
    return make_delivery(town, gateway)

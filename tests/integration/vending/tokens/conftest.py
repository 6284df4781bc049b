"""A shop whose tokens are looked at."""

from pathlib import Path

import pytest

from tests.support.people import sign_in_as
from tests.support.shop import Shop, build_shop
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.tokens.service.desk import TokenDesk
from vending.values.clock import FixedClock


@pytest.fixture
def shop(database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Shop:
    return build_shop(database, fixed_clock, tmp_path)


@pytest.fixture
def desk(shop: Shop) -> TokenDesk:
    return shop.container().token_desk


@pytest.fixture
def clerk(shop: Shop) -> SignedIn:
    return sign_in_as(shop.database, shop.clock, Role.CUSTOMER_SERVICE, name="clerk")


@pytest.fixture
def engineer(shop: Shop) -> SignedIn:
    return sign_in_as(shop.database, shop.clock, Role.ENGINEER, name="engineer")

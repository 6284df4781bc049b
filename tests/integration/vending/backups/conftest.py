from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.postgres_server import PostgresServer
from tests.support.backups import make_custodians, name_custodians
from tests.support.shop import Shop, build_desk, build_shop
from tests.support.vending_keys import DUTK_2014
from vending.backups.custodian_keys import CustodianKey
from vending.keystore.service import create_store, import_components, open_store
from vending.keystore.store import OpenKeyStore
from vending.keystore.unlocking import KeyFile
from vending.persistence.engine import Database
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock


@dataclass
class Utility:
    """A shop whose keys are in its database, and two custodians."""

    shop: Shop
    store: OpenKeyStore
    folder: Path
    custodians: list[CustodianKey]


@pytest.fixture
def custodians(tmp_path: Path) -> list[CustodianKey]:
    return make_custodians(tmp_path / "custodians", "anna", "bela", "chen")


@pytest.fixture
def utility(
    database: Database, fixed_clock: FixedClock, tmp_path: Path, custodians: list[CustodianKey]
) -> Utility:
    folder = tmp_path / "live"
    folder.mkdir()
    shop = build_shop(database, fixed_clock, folder)
    store = create_store(
        database, KeyFile.create(folder / "keystore.key"), data_folder=folder, clock=fixed_clock
    )
    store, _ = import_components(database, store, DUTK_2014, by=SYSTEM, clock=fixed_clock)
    shop.store, shop.desk = store, build_desk(database, fixed_clock, store)
    name_custodians(database, custodians, fixed_clock)
    return Utility(shop, store, folder, custodians)


def opened_store(database: Database, folder: Path) -> OpenKeyStore:
    return open_store(database, KeyFile(folder / "keystore.key"), data_folder=folder)


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Addresses of empty databases of either engine."""
    with ExitStack() as stack:

        def make(engine: str) -> str:
            if engine == "sqlite":
                return f"sqlite:///{tmp_path / 'restored.sqlite3'}"
            server = request.getfixturevalue("postgres_server")
            assert isinstance(server, PostgresServer)
            return stack.enter_context(server.fresh_database())

        yield make

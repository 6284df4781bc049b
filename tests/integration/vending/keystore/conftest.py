"""A key store in each of the two databases, made cheaply."""

from pathlib import Path

import pytest

from tests.support.key_store_place import KeyStorePlace
from tests.support.vending_keys import DUTK_1993, DUTK_2014
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


@pytest.fixture
def place(database: Database, tmp_path: Path, fixed_clock: FixedClock) -> KeyStorePlace:
    folder = tmp_path / "data"
    folder.mkdir()
    return KeyStorePlace(database, folder, fixed_clock)


@pytest.fixture
def filled(place: KeyStorePlace) -> KeyStorePlace:
    """A place whose store holds two keys, at generation 3."""
    place.take_in(place.create(), DUTK_1993, DUTK_2014)
    return place

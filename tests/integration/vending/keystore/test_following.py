import threading

import pytest

from tests.support.key_store_place import KeyStorePlace
from tests.support.vending_keys import DUTK_1993, DUTK_2014
from vending.keystore import service
from vending.keystore.following import NOT_FOLLOWED, KeyStoreFollower
from vending.keystore.store import OpenKeyStore
from vending.keystore.tables import vending_keys
from vending.values.actor import SYSTEM


class Module:
    """Stands where a security module does: keeps what it is told to use."""

    def __init__(self) -> None:
        self.used: list[OpenKeyStore] = []
        self.told = threading.Event()

    def use(self, store: OpenKeyStore) -> None:
        self.used.append(store)
        self.told.set()


@pytest.fixture
def module() -> Module:
    return Module()


def follower_of(place: KeyStorePlace, module: Module) -> KeyStoreFollower:
    store = place.take_in(place.create(), DUTK_2014)
    return KeyStoreFollower(place.database, store, use=module.use)


def bring_in(place: KeyStorePlace) -> None:
    service.import_components(place.database, place.open(), DUTK_1993, by=SYSTEM, clock=place.clock)


def test_store_that_did_not_change_drops_no_derived_keys(
    place: KeyStorePlace, module: Module
) -> None:
    follower = follower_of(place, module)
    follower.follow()
    assert (module.used, follower.problem) == ([], None)


def test_change_of_another_process_is_taken_over_once(place: KeyStorePlace, module: Module) -> None:
    follower = follower_of(place, module)
    bring_in(place)
    follower.follow()
    follower.follow()
    assert module.used == [follower.store]
    assert len(follower.store.list_keys()) == 2


def test_damage_is_noted_and_the_verified_keys_stay(place: KeyStorePlace, module: Module) -> None:
    follower = follower_of(place, module)
    before = follower.store
    rows = place.read_rows()
    place.overwrite(vending_keys, {"ken": 254})
    follower.follow()
    assert follower.problem == "key_store_corrupt"
    assert (follower.store, module.used) == (before, [])
    place.write_rows(rows)
    follower.follow()
    assert follower.problem is None


def test_thread_follows_until_the_block_ends(place: KeyStorePlace, module: Module) -> None:
    follower = follower_of(place, module)
    with follower.following(interval_s=0.01):
        bring_in(place)
        assert module.told.wait(100)
    assert follower.problem is None
    assert [each for each in threading.enumerate() if each.name == "key-store"] == []


def test_thread_that_dies_is_noted(
    place: KeyStorePlace, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = follower_of(place, module)
    died = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: died.set())
    monkeypatch.setattr(module, "use", None)
    broken = KeyStoreFollower(place.database, follower.store, use=fail)
    bring_in(place)
    with broken.following(interval_s=0.01):
        assert died.wait(100)
    assert broken.problem == NOT_FOLLOWED


def fail(store: OpenKeyStore) -> None:
    raise RuntimeError(repr(store))

"""Making, opening, filling and changing a key store, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from tests.support.key_store_place import CHEAP, KeyStorePlace
from tests.support.vending_keys import (
    DDTK_2014,
    DEMO,
    DUTK_1993,
    DUTK_2014,
    DUTK_2035,
    register_of,
)
from vending.keystore import service
from vending.keystore.errors import (
    CheckValueError,
    KeyExistsError,
    KeyNotFoundError,
    KeyRetiredError,
    KeyStoreExistsError,
    KeyStoreMissingError,
    UnlockKindError,
    WrongKeyFileError,
    WrongPassphraseError,
)
from vending.keystore.port import CreditTokenRequest
from vending.keystore.sealing import Purpose
from vending.keystore.software import SoftwareSecurityModule
from vending.keystore.tables import vending_keys
from vending.keystore.unlocking import KeyFile, Passphrase
from vending.sts.keys import TI, EncryptionAlgorithm
from vending.sts.pan import MeterPAN
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import Resource
from vending.values.actor import SYSTEM

CREDIT = CreditTokenRequest(
    pan=MeterPAN("600727000000000009"),
    ti=TI("01"),
    ea=EncryptionAlgorithm.STA,
    base_date=BaseDate.Y2014,
    resource=Resource.ELECTRICITY,
    units=1,
    tid=TokenIdentifier(85_740),
    rnd=5,
)


IMPOSSIBLE = (
    {"sgc": 1_000_000},
    {"krn": 0},
    {"krn": 10},
    {"kt": 0},
    {"kt": 4},
    {"ken": 256},
    {"base_year": 2000},
    {"dkga": 3},
    {"is_demo": 2},
)


# --- making and opening ------------------------------------------------------------------------
def test_fresh_store_opens_empty(place: KeyStorePlace) -> None:
    created = place.create()
    opened = place.open()
    assert opened.list_keys() == []
    assert opened.generation == created.generation
    assert opened.generation.number == 1


def test_store_is_missing_until_it_is_made(place: KeyStorePlace) -> None:
    with pytest.raises(KeyStoreMissingError):
        place.open()
    with pytest.raises(KeyStoreMissingError):
        place.check()


def test_store_is_made_once(place: KeyStorePlace) -> None:
    first = place.create()
    with pytest.raises(KeyStoreExistsError):
        place.create()
    assert place.open().generation == first.generation


def test_store_made_by_two_at_once_is_made_once(place: KeyStorePlace) -> None:
    barrier = Barrier(2)

    def make() -> str:
        barrier.wait(100)
        try:
            place.create()
        except KeyStoreExistsError as refusal:
            return refusal.code
        return "made"

    with ThreadPoolExecutor(2) as threads:
        outcomes = [threads.submit(make) for _ in range(2)]
        assert sorted(outcome.result(30) for outcome in outcomes) == ["key_store_exists", "made"]
    assert place.open().list_keys() == []


def test_wrong_passphrase_is_told(filled: KeyStorePlace) -> None:
    filled.passphrase = Passphrase("incorrect horse battery")
    with pytest.raises(WrongPassphraseError):
        filled.open()
    with pytest.raises(WrongPassphraseError):
        filled.check()


def test_store_opens_with_its_key_file_and_no_other(place: KeyStorePlace, tmp_path: Path) -> None:
    right, wrong = KeyFile.create(tmp_path / "1.key"), KeyFile.create(tmp_path / "2.key")
    folder = place.data_folder
    service.create_store(place.database, right, data_folder=folder, clock=place.clock)
    service.open_store(place.database, right, data_folder=folder)
    with pytest.raises(WrongKeyFileError):
        service.open_store(place.database, wrong, data_folder=folder)
    with pytest.raises(UnlockKindError):
        place.open()


def test_store_with_the_recommended_cost_opens(place: KeyStorePlace) -> None:
    made = service.create_store(
        place.database, place.passphrase, data_folder=place.data_folder, clock=place.clock
    )
    assert place.open().generation == made.generation


# --- keys --------------------------------------------------------------------------------------
def test_imported_key_is_there_after_opening_again(place: KeyStorePlace) -> None:
    _, shown = service.import_components(
        place.database, place.create(), DUTK_2014, by=SYSTEM, clock=place.clock
    )
    opened = place.open()
    assert service.list_keys(opened) == [shown]
    assert shown.register == register_of(DUTK_2014)
    assert shown.imported_at == place.clock.now()
    assert shown.component_count == 2
    assert opened.generation.number == 2


def test_imported_key_issues_the_published_token(filled: KeyStorePlace) -> None:
    module = SoftwareSecurityModule(filled.open(), demo_allowed=False)
    assert module.vend(register_of(DUTK_2014), CREDIT) == "70630503470028726114"


def test_stored_rows_hold_no_key(filled: KeyStorePlace) -> None:
    stored = repr(filled.read_rows()).lower()
    assert repr(bytes.fromhex("abababab"))[2:-1] not in stored
    assert repr(bytes.fromhex("9494949494"))[2:-1] not in stored


def test_key_is_imported_once(filled: KeyStorePlace) -> None:
    store = filled.open()
    with pytest.raises(KeyExistsError) as refused:
        filled.take_in(store, DUTK_2014)
    assert refused.value.facts == {"register": "201457/1/DUTK"}
    assert filled.open().generation == store.generation


def test_refused_import_changes_nothing(filled: KeyStorePlace) -> None:
    before = filled.read_rows()
    wrong = replace(DUTK_2035, check_value="000000")
    with pytest.raises(CheckValueError):
        filled.take_in(filled.open(), wrong)
    assert filled.read_rows() == before


def test_demonstration_key_is_marked(filled: KeyStorePlace) -> None:
    store = filled.take_in(filled.open(), DEMO)
    assert store.describe(register_of(DEMO)).is_demo
    assert filled.open().describe(register_of(DEMO)).is_demo


def test_store_held_open_takes_in_what_others_changed_meanwhile(filled: KeyStorePlace) -> None:
    stale = filled.open()
    filled.take_in(filled.open(), DUTK_2035)
    both = filled.take_in(stale, DDTK_2014)
    assert both.find(register_of(DUTK_2035)) is not None
    assert both.generation.number == 5
    assert filled.open().generation == both.generation


def test_store_held_open_is_reloaded(filled: KeyStorePlace) -> None:
    held = filled.open()
    filled.take_in(filled.open(), DUTK_2035)
    assert held.find(register_of(DUTK_2035)) is None
    reloaded = service.reload_store(filled.database, held)
    assert reloaded.find(register_of(DUTK_2035)) is not None


def test_keys_imported_by_two_at_once_are_both_there(filled: KeyStorePlace) -> None:
    store = filled.open()
    with ThreadPoolExecutor(2) as threads:
        imports = [
            threads.submit(filled.take_in, store, brought) for brought in (DUTK_2035, DDTK_2014)
        ]
        assert {done.result(30).generation.number for done in imports} == {4, 5}
    assert len(filled.open().list_keys()) == 4


def test_retired_key_issues_no_more(filled: KeyStorePlace) -> None:
    filled.clock.advance(timedelta(days=1))
    register = register_of(DUTK_2014)
    service.retire_key(filled.database, filled.open(), register, by=SYSTEM, clock=filled.clock)
    opened = filled.open()
    assert opened.describe(register).retired_at == filled.clock.now()
    with pytest.raises(KeyRetiredError):
        SoftwareSecurityModule(opened, demo_allowed=False).vend(register, CREDIT)


def test_key_retired_twice_keeps_its_first_date(filled: KeyStorePlace) -> None:
    register = register_of(DUTK_2014)
    first = service.retire_key(
        filled.database, filled.open(), register, by=SYSTEM, clock=filled.clock
    )
    filled.clock.advance(timedelta(days=1))
    again = service.retire_key(filled.database, first, register, by=SYSTEM, clock=filled.clock)
    assert again.generation == first.generation
    assert filled.open().describe(register) == first.describe(register)


def test_unknown_key_is_not_retired(filled: KeyStorePlace) -> None:
    with pytest.raises(KeyNotFoundError):
        service.retire_key(
            filled.database, filled.open(), register_of(DUTK_2035), by=SYSTEM, clock=filled.clock
        )


# --- passphrase --------------------------------------------------------------------------------
def test_changed_passphrase_opens_the_same_keys_and_seals(filled: KeyStorePlace) -> None:
    store = filled.open()
    sealed = store.sealer(Purpose.ISSUED_TOKENS).seal(b"7063", associated=b"sale 1")
    following = Passphrase("another horse battery")
    changed = service.change_unlock(
        filled.database, store, following, by=SYSTEM, clock=filled.clock, cost=CHEAP
    )
    with pytest.raises(WrongPassphraseError):
        filled.open()
    filled.passphrase = following
    opened = filled.open()
    assert opened.generation == changed.generation
    assert opened.list_keys() == store.list_keys()
    sealer = opened.sealer(Purpose.ISSUED_TOKENS)
    assert sealer.open(sealed, associated=b"sale 1") == b"7063"


def test_passphrase_gives_way_to_a_key_file(filled: KeyStorePlace, tmp_path: Path) -> None:
    file = KeyFile.create(tmp_path / "store.key")
    service.change_unlock(filled.database, filled.open(), file, by=SYSTEM, clock=filled.clock)
    opened = service.open_store(filled.database, file, data_folder=filled.data_folder)
    assert len(opened.list_keys()) == 2


# --- the database's own wall -------------------------------------------------------------------
def test_database_refuses_attributes_that_no_key_has(filled: KeyStorePlace) -> None:
    good = filled.read_rows()["vending_keys"][0] | {"krn": 5}
    for change in IMPOSSIBLE:
        with filled.database.unit_of_work() as uow, pytest.raises(IntegrityError):
            uow.connection.execute(insert(vending_keys).values(**(good | change)))


def test_imports_of_one_key_do_not_disturb_the_other(filled: KeyStorePlace) -> None:
    before = filled.read_rows()["vending_keys"]
    filled.take_in(filled.open(), DUTK_2035)
    after = filled.read_rows()["vending_keys"]
    assert [row for row in after if row in before] == before
    assert register_of(DUTK_1993).sgc.digits == "123456"

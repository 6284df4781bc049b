from pathlib import Path

import pytest
from pydantic import SecretStr

from vending.bootstrap import (
    KeyStoreSecretMissingError,
    NotInitialisedError,
    build_container,
    open_database,
    unlock_of,
)
from vending.keystore.errors import WeakPassphraseError
from vending.keystore.service import create_store
from vending.keystore.unlocking import KeyFile, Passphrase
from vending.persistence import migrate
from vending.persistence.engine import create_database
from vending.persistence.errors import SchemaMismatchError
from vending.settings import Settings
from vending.values.clock import FixedClock, SystemClock


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def initialise(settings: Settings, clock: FixedClock) -> None:
    database = create_database(settings.effective_database_url)
    migrate.upgrade(database)
    unlock = KeyFile.create(settings.own_key_file)
    create_store(database, unlock, data_folder=settings.data_dir, clock=clock)
    database.close()


def test_container_has_what_a_process_works_with(
    settings: Settings, fixed_clock: FixedClock
) -> None:
    initialise(settings, fixed_clock)
    container = build_container(settings, clock=fixed_clock)
    assert container.clock is container.desk.clock is fixed_clock
    assert container.desk.database is container.database
    assert container.desk.security_module is container.security_module
    assert container.store.list_keys() == []
    assert 0 <= container.desk.draw_rnd() < 16
    container.close()


def test_clock_is_that_of_the_machine_unless_another_is_given(
    settings: Settings, fixed_clock: FixedClock
) -> None:
    initialise(settings, fixed_clock)
    container = build_container(settings)
    assert isinstance(container.clock, SystemClock)
    container.close()


def test_database_that_was_not_made_is_refused_and_not_made(settings: Settings) -> None:
    with pytest.raises(NotInitialisedError, match="there is no installation in"):
        open_database(settings)
    assert list(settings.data_dir.iterdir()) == []


def test_tables_of_another_release_are_refused(settings: Settings, fixed_clock: FixedClock) -> None:
    initialise(settings, fixed_clock)
    database = open_database(settings)
    migrate.downgrade(database, "base")
    database.close()
    with pytest.raises(SchemaMismatchError):
        build_container(settings)


# --- what opens the key store, in this order -----------------------------------------------------
def test_named_key_file_comes_first(tmp_path: Path) -> None:
    named = tmp_path / "named.key"
    settings = Settings(
        data_dir=tmp_path, key_store_key_file=named, key_store_passphrase=SecretStr("x" * 20)
    )
    unlock = unlock_of(settings)
    assert isinstance(unlock, KeyFile)
    assert unlock.path == named


def test_passphrase_comes_before_the_own_key_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, key_store_passphrase=SecretStr("x" * 20))
    KeyFile.create(settings.own_key_file)
    assert isinstance(unlock_of(settings), Passphrase)


def test_own_key_file_is_used_when_nothing_is_set(settings: Settings) -> None:
    KeyFile.create(settings.own_key_file)
    unlock = unlock_of(settings)
    assert isinstance(unlock, KeyFile)
    assert unlock.path == settings.own_key_file


def test_nothing_at_all_is_refused(settings: Settings) -> None:
    with pytest.raises(KeyStoreSecretMissingError):
        unlock_of(settings)


def test_short_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeakPassphraseError):
        unlock_of(Settings(data_dir=tmp_path, key_store_passphrase=SecretStr("short")))

from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.support.attached_module import SETTINGS, attached_bench
from tests.support.softhsm import LIBRARY, PIN, SoftHSM
from tests.support.vending_keys import DKGA04_HEX, DUTK_2014, divided, register_of
from vending.bootstrap import (
    KeyStoreSecretMissingError,
    NotInitialisedError,
    build_container,
    open_database,
    unlock_of,
)
from vending.keystore.components import KeyImport
from vending.keystore.errors import WeakPassphraseError
from vending.keystore.module_errors import ModuleSettingError
from vending.keystore.service import create_store, import_components
from vending.keystore.unlocking import KeyFile, Passphrase, TokenUnlock
from vending.persistence import migrate
from vending.persistence.engine import create_database
from vending.persistence.errors import SchemaMismatchError
from vending.settings import Settings
from vending.values.actor import SYSTEM
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


# --- the security module --------------------------------------------------------------------------
@pytest.fixture
def token_settings(settings: Settings, softhsm: SoftHSM) -> Settings:
    return settings.model_copy(
        update={
            "security_module": "pkcs11",
            "pkcs11_library": LIBRARY,
            "pkcs11_token": softhsm.make_token(),
            "pkcs11_pin": SecretStr(PIN),
        }
    )


def test_token_opens_the_store_and_takes_in_its_keys(
    token_settings: Settings, fixed_clock: FixedClock
) -> None:
    database = create_database(token_settings.effective_database_url)
    migrate.upgrade(database)
    unlock = unlock_of(token_settings)
    assert isinstance(unlock, TokenUnlock)
    create_store(database, unlock, data_folder=token_settings.data_dir, clock=fixed_clock)
    database.close()
    container = build_container(token_settings, clock=fixed_clock)
    brought = KeyImport(attributes=DUTK_2014.attributes, components=divided(DKGA04_HEX))
    changed, shown = import_components(
        container.database, container.store, brought, by=SYSTEM, clock=fixed_clock
    )
    assert changed.token_key_id(shown.register) is not None
    container.key_store.follow()
    assert container.has_keys
    assert container.security_module.describe(shown.register) == shown
    container.close()


def test_attached_module_needs_no_key_here(settings: Settings, fixed_clock: FixedClock) -> None:
    initialise(settings, fixed_clock)
    with attached_bench() as bench:
        container = build_container(
            settings.model_copy(
                update={
                    "security_module": "attached",
                    "module_port": bench.address,
                    "module_timeout_ms": 60_000,
                    "module_registers": f"{SETTINGS[0].number}=201457/1/2/2014",
                }
            ),
            clock=fixed_clock,
        )
        assert container.has_keys
        register = register_of(DUTK_2014)
        assert container.security_module.describe(register).attributes == DUTK_2014.attributes
        container.close()


def test_module_without_its_settings_is_refused(
    settings: Settings, fixed_clock: FixedClock
) -> None:
    initialise(settings, fixed_clock)
    for chosen in ("pkcs11", "attached"):
        with pytest.raises(ModuleSettingError):
            build_container(
                settings.model_copy(update={"security_module": chosen}), clock=fixed_clock
            )

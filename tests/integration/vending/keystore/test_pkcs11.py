"""Vending keys and the root key in a token of SoftHSM2."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pkcs11
import pytest

from tests.support.softhsm import LIBRARY, SoftHSM
from tests.support.vending_keys import (
    DKGA02_HEX,
    DKGA04_HEX,
    DUTK_1993,
    DUTK_2014,
    divided,
    register_of,
    store_in_memory,
)
from vending.keystore import pkcs11 as ours
from vending.keystore.components import KeyImport
from vending.keystore.errors import ModuleUnavailableError, UnlockKindError, WrongPassphraseError
from vending.keystore.module_errors import (
    KeyInTokenError,
    TokenKeyMissingError,
    TokenLibraryError,
    TokenMissingError,
    TokenPinError,
)
from vending.keystore.pkcs11 import PKCS11Token
from vending.keystore.port import CreditTokenRequest
from vending.keystore.redaction import Secret
from vending.keystore.sealing import Purpose
from vending.keystore.service import (
    activate_root,
    change_unlock,
    check,
    create_store,
    import_components,
    open_store,
    prepare_root,
    retire_key,
)
from vending.keystore.software import SoftwareSecurityModule
from vending.keystore.store import OpenKeyStore
from vending.keystore.token_module import PKCS11SecurityModule
from vending.keystore.unlocking import Argon2Cost, Passphrase, TokenUnlock
from vending.persistence.engine import Database
from vending.sts.keys import TI, EncryptionAlgorithm
from vending.sts.pan import MeterPAN
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import Resource
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock

REGISTER = register_of(DUTK_2014)
TOKEN = "70630503470028726114"
CHEAP = Argon2Cost(time_cost=1, memory_kib=64, parallelism=1)
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


@pytest.fixture
def token(softhsm: SoftHSM) -> PKCS11Token:
    return softhsm.token()


@pytest.fixture
def store(token: PKCS11Token, tmp_path: Path) -> OpenKeyStore:
    return store_in_memory(tmp_path, keeper=token.store_key)


@pytest.fixture
def module(store: OpenKeyStore, token: PKCS11Token) -> PKCS11SecurityModule:
    return PKCS11SecurityModule(store, token, demo_allowed=False)


# --- keys that stay inside ------------------------------------------------------------------------
def test_vending_key_cannot_be_read_out_of_the_token(
    store: OpenKeyStore, token: PKCS11Token
) -> None:
    key_id = store.token_key_id(REGISTER)
    assert key_id is not None
    assert token.authenticate(key_id, b"")
    session = token._session
    assert session is not None
    held = session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, id=key_id)
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        _ = held[pkcs11.Attribute.VALUE]
    for forbidden in ("ENCRYPT", "DECRYPT", "WRAP", "UNWRAP", "DERIVE", "EXTRACTABLE"):
        assert held[pkcs11.Attribute[forbidden]] is False


def test_key_store_holds_no_part_of_a_key_in_the_token(store: OpenKeyStore) -> None:
    assert store.token_key_id(REGISTER) is not None
    software = SoftwareSecurityModule(store, demo_allowed=False)
    with pytest.raises(KeyInTokenError) as refused:
        software.vend(REGISTER, CREDIT)
    assert refused.value.facts == {"register": "201457/1/DUTK"}


def test_dkga02_key_stays_sealed_in_the_store(store: OpenKeyStore) -> None:
    register = register_of(DUTK_1993)
    assert store.token_key_id(register) is None
    assert store.vending_key(register).material.hex() == DKGA02_HEX


def test_each_key_is_told_with_its_place(module: PKCS11SecurityModule) -> None:
    places = module.check_keys()
    assert places[REGISTER]
    assert not places[register_of(DUTK_1993)]


def test_another_token_of_the_same_label_does_not_serve(
    store: OpenKeyStore, softhsm: SoftHSM
) -> None:
    other = PKCS11SecurityModule(store, softhsm.token(), demo_allowed=False)
    with pytest.raises(TokenKeyMissingError):
        other.vend(REGISTER, CREDIT)
    with pytest.raises(TokenKeyMissingError):
        other.check_keys()


def test_object_that_holds_another_key_is_found(
    store: OpenKeyStore, token: PKCS11Token, module: PKCS11SecurityModule
) -> None:
    key_id = store.token_key_id(REGISTER)
    assert key_id is not None
    token.authenticate(key_id, b"")
    session = token._session
    assert session is not None
    session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, id=key_id).destroy()
    ours._create_hmac_key(session, Secret(bytes(20)), key_id=key_id, label="planted")
    token.close()
    with pytest.raises(TokenKeyMissingError, match="201457/1/DUTK"):
        module.check_keys()
    with pytest.raises(TokenKeyMissingError, match="201457/1/DUTK"):
        module.vend(REGISTER, CREDIT)


# --- sessions and PINs ----------------------------------------------------------------------------
def test_restarted_token_is_opened_again(module: PKCS11SecurityModule, softhsm: SoftHSM) -> None:
    assert module.vend(REGISTER, CREDIT) == TOKEN
    softhsm.restart()
    assert module.vend(REGISTER, CREDIT) == TOKEN


def test_wrong_pin_is_tried_once_and_never_again(softhsm: SoftHSM) -> None:
    label = softhsm.make_token()
    wrong = softhsm.token(label, pin="0000-0000")
    with pytest.raises(TokenPinError) as refused:
        wrong.make_root_key()
    assert refused.value.facts == {"problem": "PinIncorrect"}
    assert "0000" not in repr(refused.value)
    opened_before = count_openings(wrong)
    for _ in range(20):
        with pytest.raises(TokenPinError):
            wrong.make_root_key()
    assert opened_before() == 0
    assert softhsm.token(label).make_root_key(), "the token is not locked"


def count_openings(token: PKCS11Token) -> Callable[[], int]:
    """How often the token was really asked to log in since."""
    library = pkcs11.lib(str(LIBRARY))
    (found,) = library.get_tokens(token_label=token.label)
    before = found.flags & pkcs11.TokenFlag.USER_PIN_COUNT_LOW

    def changed() -> int:
        (again,) = library.get_tokens(token_label=token.label)
        return int((again.flags & pkcs11.TokenFlag.USER_PIN_COUNT_LOW) != before)

    return changed


def test_token_that_one_more_wrong_pin_would_lock_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[str] = []
    almost_locked = SimpleNamespace(
        flags=pkcs11.TokenFlag.USER_PIN_FINAL_TRY,
        open=lambda **given: tries.append(str(given)),
    )
    library = SimpleNamespace(get_tokens=lambda **_given: [almost_locked])
    monkeypatch.setattr(pkcs11, "lib", lambda _path: library)
    token = PKCS11Token(LIBRARY, "token", Secret(b"1234"))
    with pytest.raises(TokenPinError, match="would lock it"):
        token.make_root_key()
    with pytest.raises(TokenPinError, match="would lock it"):
        token.make_root_key()
    assert tries == []


def test_token_that_is_not_there_is_told_by_its_label(softhsm: SoftHSM) -> None:
    with pytest.raises(TokenMissingError) as refused:
        softhsm.token("no such token").make_root_key()
    assert refused.value.facts == {"label": "no such token", "count": 0}


def test_library_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing = PKCS11Token(tmp_path / "none.so", "token", Secret(b"1234"))
    with pytest.raises(TokenLibraryError) as refused:
        missing.make_root_key()
    assert "VENDING_PKCS11_LIBRARY" in refused.value.remedy


def test_missing_extra_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "HAS_PKCS11", False)
    with pytest.raises(TokenLibraryError) as refused:
        PKCS11Token(LIBRARY, "token", Secret(b"1234")).make_root_key()
    assert "pip install prepaid-vending[pkcs11]" in refused.value.remedy
    assert "python-pkcs11" in str(refused.value)


def test_token_that_fails_is_unavailable(token: PKCS11Token) -> None:
    def fail(_session: object) -> bytes:
        raise pkcs11.exceptions.DeviceError

    with pytest.raises(ModuleUnavailableError):
        token._use(fail)


def test_two_readers_of_one_token_share_its_login(softhsm: SoftHSM, token: PKCS11Token) -> None:
    key_id = token.make_root_key()
    second = softhsm.token(token.label)
    assert repr(second) == f"PKCS11Token({token.label!r})"
    one, other = token.derive_root(key_id), second.derive_root(key_id)
    sealed = one.wrap_root(other.sealer(Purpose.ROOT_KEY), associated=b"")
    assert other.sealer(Purpose.ROOT_KEY).open(sealed, associated=b"")
    second.close()
    second.close()
    assert other.sealer(Purpose.ROOT_KEY).open(
        token.derive_root(key_id).wrap_root(one.sealer(Purpose.ROOT_KEY), associated=b""),
        associated=b"",
    )


# --- the whole store ------------------------------------------------------------------------------
@pytest.fixture
def unlock(token: PKCS11Token) -> TokenUnlock:
    return TokenUnlock(token)


def brought() -> KeyImport:
    return KeyImport(attributes=DUTK_2014.attributes, components=divided(DKGA04_HEX))


def test_store_that_a_token_opens_takes_keys_into_it_and_sells(
    database: Database,
    token: PKCS11Token,
    unlock: TokenUnlock,
    tmp_path: Path,
    fixed_clock: FixedClock,
) -> None:
    create_store(database, unlock, data_folder=tmp_path, clock=fixed_clock)
    opened = open_store(database, unlock, data_folder=tmp_path).with_keeper(token.store_key)
    changed, shown = import_components(database, opened, brought(), by=SYSTEM, clock=fixed_clock)
    assert changed.token_key_id(shown.register) is not None
    assert PKCS11SecurityModule(changed, token, demo_allowed=False).vend(REGISTER, CREDIT) == TOKEN
    retired = retire_key(database, changed, REGISTER, by=SYSTEM, clock=fixed_clock)
    assert retired.token_key_id(REGISTER) == changed.token_key_id(REGISTER)
    assert check(database, unlock, data_folder=tmp_path) == []
    again = open_store(database, unlock, data_folder=tmp_path)
    assert again.describe(REGISTER).retired_at is not None
    assert repr(unlock) == f"TokenUnlock({token!r})"


def test_another_token_does_not_open_the_store(
    sqlite_database: Database,
    unlock: TokenUnlock,
    softhsm: SoftHSM,
    tmp_path: Path,
    fixed_clock: FixedClock,
) -> None:
    create_store(sqlite_database, unlock, data_folder=tmp_path, clock=fixed_clock)
    with pytest.raises(TokenKeyMissingError):
        open_store(sqlite_database, TokenUnlock(softhsm.token()), data_folder=tmp_path)
    with pytest.raises(UnlockKindError) as refused:
        open_store(sqlite_database, Passphrase("a passphrase of words"), data_folder=tmp_path)
    assert refused.value.facts == {"wanted": "PKCS#11 token"}


def test_store_moves_from_a_passphrase_to_a_token_and_back(
    sqlite_database: Database, unlock: TokenUnlock, tmp_path: Path, fixed_clock: FixedClock
) -> None:
    words = Passphrase("a passphrase of words")
    create_store(sqlite_database, words, data_folder=tmp_path, clock=fixed_clock, cost=CHEAP)
    store = open_store(sqlite_database, words, data_folder=tmp_path)
    store = change_unlock(sqlite_database, store, unlock, by=SYSTEM, clock=fixed_clock)
    assert open_store(sqlite_database, unlock, data_folder=tmp_path).list_keys() == []
    with pytest.raises(UnlockKindError):
        open_store(sqlite_database, words, data_folder=tmp_path)
    change_unlock(sqlite_database, store, words, cost=CHEAP, by=SYSTEM, clock=fixed_clock)
    assert open_store(sqlite_database, words, data_folder=tmp_path).list_keys() == []
    with pytest.raises(WrongPassphraseError):
        open_store(sqlite_database, Passphrase("other words than these"), data_folder=tmp_path)


def test_root_key_is_rotated_under_a_token_and_keys_stay_in_it(
    sqlite_database: Database,
    token: PKCS11Token,
    unlock: TokenUnlock,
    tmp_path: Path,
    fixed_clock: FixedClock,
) -> None:
    create_store(sqlite_database, unlock, data_folder=tmp_path, clock=fixed_clock)
    store = open_store(sqlite_database, unlock, data_folder=tmp_path).with_keeper(token.store_key)
    store, shown = import_components(
        sqlite_database, store, brought(), by=SYSTEM, clock=fixed_clock
    )
    key_id = store.token_key_id(shown.register)
    store = prepare_root(sqlite_database, store, by=SYSTEM, clock=fixed_clock)
    store = activate_root(sqlite_database, store, by=SYSTEM, clock=fixed_clock)
    again = open_store(sqlite_database, unlock, data_folder=tmp_path)
    assert again.token_key_id(shown.register) == key_id
    assert PKCS11SecurityModule(again, token, demo_allowed=False).vend(REGISTER, CREDIT) == TOKEN

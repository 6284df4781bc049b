from itertools import combinations
from pathlib import Path

import pytest

from tests.support.backups import CHEAP, make_custodians
from vending.backups.custodian_keys import (
    create_key_file,
    load_key_file,
    name_in_key_file,
    parse_public_key,
    unwrap,
    wrap,
)
from vending.backups.errors import (
    CustodianKeyFileError,
    CustodianNameError,
    CustodianPassphraseError,
    CustodianPublicKeyError,
)
from vending.keystore.errors import SealBrokenError
from vending.keystore.redaction import Secret
from vending.keystore.unlocking import Passphrase

CONTENT = bytes(range(32))
PASSPHRASE = Passphrase("five words nobody has guessed")


@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_two_open_and_nobody_alone(tmp_path: Path, count: int) -> None:
    keys = make_custodians(tmp_path, *"abcde"[:count])
    publics = [key.public_key for key in keys]
    wrapped = wrap(Secret(CONTENT), publics, bound=b"one backup")
    assert len(wrapped.pairs) == count * (count - 1) // 2
    for pair in combinations(keys, 2):
        opened = unwrap(wrapped, publics, pair, bound=b"one backup")
        assert opened is not None
        assert opened.reveal() == CONTENT
    for key in keys:
        assert unwrap(wrapped, publics, [key, key], bound=b"one backup") is None


def test_a_wrapped_key_opens_in_its_own_backup_only(tmp_path: Path) -> None:
    keys = make_custodians(tmp_path, "a", "b")
    publics = [key.public_key for key in keys]
    wrapped = wrap(Secret(CONTENT), publics, bound=b"one backup")
    with pytest.raises(SealBrokenError):
        unwrap(wrapped, publics, keys, bound=b"another backup")


def test_key_file_is_its_owners_alone_and_shows_no_key(tmp_path: Path) -> None:
    path = tmp_path / "anna.key"
    public_key = create_key_file(path, "anna", PASSPHRASE, cost=CHEAP)
    assert path.stat().st_mode & 0o777 == 0o600
    assert name_in_key_file(path) == "anna"
    key = load_key_file(path, PASSPHRASE)
    assert key.public_key == public_key == parse_public_key(public_key.hex())
    assert repr(key) == "CustodianKey(anna)"
    with pytest.raises(CustodianKeyFileError):
        create_key_file(path, "anna", PASSPHRASE, cost=CHEAP)
    with pytest.raises(CustodianPassphraseError):
        load_key_file(path, Passphrase("another passphrase"))
    path.chmod(0o640)
    with pytest.raises(CustodianKeyFileError, match="0640"):
        load_key_file(path, PASSPHRASE)


def test_an_altered_key_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "anna.key"
    create_key_file(path, "anna", PASSPHRASE, cost=CHEAP)
    whole = path.read_text("ascii")
    for altered in (whole.replace("anna", "bela"), whole[:-1], whole + "x", ""):
        path.write_text(altered, "ascii")
        with pytest.raises((CustodianKeyFileError, CustodianPassphraseError)):
            load_key_file(path, PASSPHRASE)
    path.write_text(whole.replace("argon2id 1 8 1", "argon2id 9999 999999999 999"), "ascii")
    with pytest.raises(CustodianKeyFileError, match="damaged"):
        load_key_file(path, PASSPHRASE)


@pytest.mark.parametrize("text", ["", "zz", "00" * 31, "00" * 32, "01" + "00" * 31])
def test_a_public_key_that_protects_nothing_is_refused(text: str) -> None:
    with pytest.raises(CustodianPublicKeyError):
        parse_public_key(text)


@pytest.mark.parametrize("name", ["", " anna", "anna\n", "a" * 61, "an\u200bna", "../anna"])
def test_a_name_that_hides_something_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CustodianNameError):
        create_key_file(tmp_path / "key", name, PASSPHRASE, cost=CHEAP)

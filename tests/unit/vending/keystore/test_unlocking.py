"""Passphrases are stretched; key files are private, plain and 32 bytes long."""

import os
from pathlib import Path

import pytest

from vending.keystore.errors import KeyFileError, WeakPassphraseError
from vending.keystore.sealing import Purpose
from vending.keystore.unlocking import RECOMMENDED_COST, Argon2Cost, KeyFile, Passphrase

CHEAP = Argon2Cost(time_cost=1, memory_kib=8, parallelism=1)
SALT = b"0123456789abcdef"


def test_passphrase_gives_the_same_key_for_the_same_salt_and_cost() -> None:
    first = Passphrase("correct horse battery").stretch(SALT, CHEAP)
    second = Passphrase("correct horse battery").stretch(SALT, CHEAP)
    assert first.authenticate(b"x", Purpose.HEADER) == second.authenticate(b"x", Purpose.HEADER)


@pytest.mark.parametrize(
    ("text", "salt", "cost"),
    [
        ("correct horse batterz", SALT, CHEAP),
        ("correct horse battery", SALT[::-1], CHEAP),
        ("correct horse battery", SALT, Argon2Cost(2, 8, 1)),
        ("correct horse battery", SALT, Argon2Cost(1, 16, 1)),
        ("correct horse battery", SALT, Argon2Cost(1, 16, 2)),
    ],
)
def test_passphrase_gives_another_key_for_other_input(
    text: str, salt: bytes, cost: Argon2Cost
) -> None:
    known = Passphrase("correct horse battery").stretch(SALT, CHEAP)
    other = Passphrase(text).stretch(salt, cost)
    assert known.authenticate(b"x", Purpose.HEADER) != other.authenticate(b"x", Purpose.HEADER)


def test_passphrase_means_the_same_from_a_keyboard_that_composes_otherwise() -> None:
    composed = Passphrase("caf\u00e9 caf\u00e9 caf\u00e9").stretch(SALT, CHEAP)
    decomposed = Passphrase("cafe\u0301 cafe\u0301 cafe\u0301").stretch(SALT, CHEAP)
    assert composed.authenticate(b"x", Purpose.HEADER) == decomposed.authenticate(
        b"x", Purpose.HEADER
    )


def test_passphrase_of_eleven_characters_is_refused() -> None:
    with pytest.raises(WeakPassphraseError) as refused:
        Passphrase("a" * 11)
    assert refused.value.facts == {"length_min": 12}
    assert "aaa" not in str(refused.value)


def test_passphrase_that_is_no_text_is_refused_and_not_told() -> None:
    bytes_of_another_encoding = b"correct horse \xff".decode("utf-8", "surrogateescape")
    with pytest.raises(WeakPassphraseError) as refused:
        Passphrase(bytes_of_another_encoding)
    assert "horse" not in repr(refused.value)
    assert refused.value.__context__ is None


def test_passphrase_never_prints() -> None:
    assert repr(Passphrase("correct horse battery")) == "Passphrase(***)"


@pytest.mark.parametrize(
    "cost",
    [
        Argon2Cost(0, 8, 1),
        Argon2Cost(65, 8, 1),
        Argon2Cost(1, 7, 1),
        Argon2Cost(1, 1024 * 1024 + 1, 1),
        Argon2Cost(1, 8, 0),
        Argon2Cost(1, 1024, 17),
        Argon2Cost(1, 15, 2),
    ],
)
def test_cost_out_of_bounds_is_not_sane(cost: Argon2Cost) -> None:
    assert not cost.is_sane()


@pytest.mark.parametrize("cost", [CHEAP, RECOMMENDED_COST, Argon2Cost(64, 1024 * 1024, 16)])
def test_cost_inside_the_bounds_is_sane(cost: Argon2Cost) -> None:
    assert cost.is_sane()


def test_key_file_is_made_private_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    KeyFile.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size == 32
    first = KeyFile(path).load().authenticate(b"x", Purpose.HEADER)
    assert first == KeyFile(path).load().authenticate(b"x", Purpose.HEADER)


def test_key_files_made_twice_differ(tmp_path: Path) -> None:
    one, other = tmp_path / "1.key", tmp_path / "2.key"
    KeyFile.create(one)
    KeyFile.create(other)
    assert one.read_bytes() != other.read_bytes()


def test_key_file_is_not_written_over_an_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    path.write_bytes(b"precious")
    with pytest.raises(KeyFileError, match="File exists"):
        KeyFile.create(path)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o777])
def test_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "store.key"
    KeyFile.create(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode 0{mode:o} lets others in"):
        KeyFile(path).load()


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_key_file_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "store.key"
    path.write_bytes(b"k" * length)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="does not hold 32 bytes"):
        KeyFile(path).load()


def test_key_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        KeyFile(tmp_path / "none.key").load()


def test_key_file_that_is_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyFileError, match="not a plain file"):
        KeyFile(path).load()


def test_key_file_prints_its_path_and_no_key(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    assert repr(KeyFile.create(path)) == f"KeyFile('{path}')"

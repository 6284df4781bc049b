"""The companion file knows the newest generation, and an older store does not pass it."""

import os
from pathlib import Path

import pytest

from vending.keystore.errors import (
    Damage,
    GenerationFileError,
    GenerationUnknownError,
    KeyStoreCorruptError,
)
from vending.keystore.generation import FILE_NAME, Generation, GenerationFile
from vending.keystore.redaction import Secret
from vending.keystore.sealing import Keyring

KEYRING = Keyring(Secret(bytes(32)))
STORE = bytes(range(16))
FIFTH = Generation(STORE, 5, b"\x0a" * 32)


@pytest.fixture
def file(tmp_path: Path) -> GenerationFile:
    file = GenerationFile(tmp_path)
    file.overwrite(FIFTH, KEYRING)
    return file


def test_store_of_the_same_generation_passes(file: GenerationFile) -> None:
    before = file.path.read_bytes()
    file.check(file.read(), FIFTH, KEYRING)
    assert file.path.read_bytes() == before


def test_newer_store_passes_and_moves_the_file_forward(file: GenerationFile) -> None:
    newer = Generation(STORE, 7, b"\x0b" * 32)
    file.check(file.read(), newer, KEYRING)
    with pytest.raises(KeyStoreCorruptError) as refused:
        file.check(file.read(), FIFTH, KEYRING)
    assert refused.value.damage is Damage.ROLLED_BACK


def test_older_store_is_refused(file: GenerationFile) -> None:
    with pytest.raises(KeyStoreCorruptError) as refused:
        file.check(file.read(), Generation(STORE, 4, b"\x0a" * 32), KEYRING)
    assert refused.value.damage is Damage.ROLLED_BACK


def test_other_history_of_the_same_generation_is_refused(file: GenerationFile) -> None:
    with pytest.raises(KeyStoreCorruptError) as refused:
        file.check(file.read(), Generation(STORE, 5, b"\x0b" * 32), KEYRING)
    assert refused.value.damage is Damage.ROLLED_BACK


def test_file_of_another_store_is_refused(file: GenerationFile) -> None:
    with pytest.raises(KeyStoreCorruptError) as refused:
        file.check(file.read(), Generation(STORE[::-1], 6, b"\x0a" * 32), KEYRING)
    assert refused.value.damage is Damage.GENERATION_FILE


def test_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(GenerationUnknownError) as refused:
        GenerationFile(tmp_path).check(None, FIFTH, KEYRING)
    assert refused.value.path == str(tmp_path / FILE_NAME)


def test_file_with_any_one_bit_flipped_is_refused(file: GenerationFile) -> None:
    good = file.path.read_bytes()
    newer = Generation(STORE, 99, b"\x0a" * 32)
    for bit in range(len(good) * 8):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        file.path.write_bytes(bytes(flipped))
        with pytest.raises(KeyStoreCorruptError) as refused:
            file.check(file.read(), newer, KEYRING)
        assert refused.value.damage is Damage.GENERATION_FILE


@pytest.mark.parametrize("cut", [0, 1, 50, -1])
def test_file_cut_short_is_refused(file: GenerationFile, cut: int) -> None:
    file.path.write_bytes(file.path.read_bytes()[:cut])
    with pytest.raises(KeyStoreCorruptError):
        file.check(file.read(), FIFTH, KEYRING)


def test_file_with_a_leading_zero_is_refused(file: GenerationFile) -> None:
    text = file.path.read_text().replace("generation 5", "generation 05")
    file.path.write_text(text)
    with pytest.raises(KeyStoreCorruptError):
        file.check(file.read(), FIFTH, KEYRING)


def test_file_written_under_another_key_is_refused(file: GenerationFile) -> None:
    with pytest.raises(KeyStoreCorruptError):
        file.check(file.read(), FIFTH, Keyring.generate())


def test_file_that_another_process_moved_on_is_not_set_back(file: GenerationFile) -> None:
    held = file.read()
    newest = Generation(STORE, 9, b"\x0c" * 32)
    file.overwrite(newest, KEYRING)
    file.check(held, Generation(STORE, 6, b"\x0b" * 32), KEYRING)
    file.check(file.read(), newest, KEYRING)


def test_file_of_a_fresh_store_is_made(tmp_path: Path) -> None:
    file = GenerationFile(tmp_path)
    assert file.read() is None
    file.advance(FIFTH, KEYRING)
    file.check(file.read(), FIFTH, KEYRING)


def test_write_leaves_no_other_file_behind(file: GenerationFile) -> None:
    assert [path.name for path in file.path.parent.iterdir()] == [FILE_NAME]
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_failed_write_keeps_what_is_there_and_no_scrap(file: GenerationFile) -> None:
    folder = file.path.parent
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(GenerationFileError) as refused:
        file.overwrite(FIFTH, KEYRING)
    assert refused.value.path == str(file.path)
    assert "directory" in refused.value.why
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_file_that_cannot_be_read_is_refused_by_name(file: GenerationFile) -> None:
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(GenerationFileError):
        file.read()


def test_missing_data_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(GenerationFileError) as refused:
        GenerationFile(tmp_path / "none").advance(FIFTH, KEYRING)
    assert refused.value.why == "No such file or directory"


def test_generation_file_prints_its_path(tmp_path: Path) -> None:
    assert repr(GenerationFile(tmp_path)) == f"GenerationFile('{tmp_path / FILE_NAME}')"


def test_pipe_in_the_place_of_the_file_is_refused_and_not_waited_for(file: GenerationFile) -> None:
    file.path.unlink()
    os.mkfifo(file.path)
    with pytest.raises(GenerationFileError) as refused:
        file.read()
    assert refused.value.path == str(file.path)

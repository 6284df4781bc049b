"""The header blob gives the root key to the right key only, and tells damage from a wrong one."""

import hashlib
from pathlib import Path

import pytest

from vending.keystore import envelope
from vending.keystore.errors import (
    Damage,
    KeyFileError,
    KeyStoreCorruptError,
    UnlockKindError,
    WrongKeyFileError,
    WrongPassphraseError,
)
from vending.keystore.sealing import Keyring, Purpose
from vending.keystore.unlocking import Argon2Cost, KeyFile, Passphrase

CHEAP = Argon2Cost(time_cost=1, memory_kib=8, parallelism=1)
STORE_ID = b"store-id-16bytes"


@pytest.fixture
def root() -> Keyring:
    return Keyring.generate()


@pytest.fixture
def passphrase() -> Passphrase:
    return Passphrase("correct horse battery")


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    return KeyFile.create(tmp_path / "store.key")


@pytest.fixture
def blob(root: Keyring, passphrase: Passphrase) -> bytes:
    return envelope.wrap(root, passphrase, store_id=STORE_ID, cost=CHEAP)


def mended(body: bytes) -> bytes:
    """A body with the digest that needs no key, as an attacker would mend it."""
    return body + hashlib.sha256(body).digest()


def test_envelope_gives_the_root_key_to_its_passphrase(
    root: Keyring, passphrase: Passphrase, blob: bytes
) -> None:
    opened = envelope.unwrap(blob, passphrase, store_id=STORE_ID)
    assert opened.authenticate(b"x", Purpose.HEADER) == root.authenticate(b"x", Purpose.HEADER)
    assert len(blob) == envelope.ENVELOPE_BYTES == 158


def test_envelope_gives_the_root_key_to_its_key_file(root: Keyring, key_file: KeyFile) -> None:
    blob = envelope.wrap(root, key_file, store_id=STORE_ID, cost=CHEAP)
    opened = envelope.unwrap(blob, KeyFile(key_file.path), store_id=STORE_ID)
    assert opened.authenticate(b"x", Purpose.HEADER) == root.authenticate(b"x", Purpose.HEADER)


def test_wrong_passphrase_is_told_apart_from_damage(blob: bytes) -> None:
    with pytest.raises(WrongPassphraseError):
        envelope.unwrap(blob, Passphrase("incorrect horse battery"), store_id=STORE_ID)


def test_wrong_key_file_is_told_apart_from_damage(
    root: Keyring, key_file: KeyFile, tmp_path: Path
) -> None:
    blob = envelope.wrap(root, key_file, store_id=STORE_ID, cost=CHEAP)
    other = KeyFile.create(tmp_path / "other.key")
    with pytest.raises(WrongKeyFileError):
        envelope.unwrap(blob, other, store_id=STORE_ID)


def test_missing_key_file_is_named(root: Keyring, key_file: KeyFile) -> None:
    blob = envelope.wrap(root, key_file, store_id=STORE_ID, cost=CHEAP)
    key_file.path.unlink()
    with pytest.raises(KeyFileError):
        envelope.unwrap(blob, key_file, store_id=STORE_ID)


def test_key_file_for_a_store_with_passphrase_is_refused(blob: bytes, key_file: KeyFile) -> None:
    with pytest.raises(UnlockKindError, match="opens with a passphrase"):
        envelope.unwrap(blob, key_file, store_id=STORE_ID)


def test_passphrase_for_a_store_with_key_file_is_refused(
    root: Keyring, key_file: KeyFile, passphrase: Passphrase
) -> None:
    blob = envelope.wrap(root, key_file, store_id=STORE_ID, cost=CHEAP)
    with pytest.raises(UnlockKindError, match="opens with a key file"):
        envelope.unwrap(blob, passphrase, store_id=STORE_ID)


def test_every_single_flipped_bit_is_named_damage_and_never_a_wrong_passphrase(
    blob: bytes, passphrase: Passphrase
) -> None:
    for bit in range(len(blob) * 8):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(KeyStoreCorruptError) as refused:
            envelope.unwrap(bytes(flipped), passphrase, store_id=STORE_ID)
        assert refused.value.damage is Damage.HEADER


def test_every_single_flipped_bit_is_refused_when_the_digest_was_mended(
    blob: bytes, passphrase: Passphrase
) -> None:
    body = blob[:-32]
    # Bits of the cost are left out: they would ask for real work. Bounds are tested on their own.
    costs = range(5 * 8, 17 * 8)
    for bit in (bit for bit in range(len(body) * 8) if bit not in costs):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((KeyStoreCorruptError, WrongPassphraseError, UnlockKindError)):
            envelope.unwrap(mended(bytes(flipped)), passphrase, store_id=STORE_ID)


def test_cost_beyond_the_bounds_is_refused_before_it_is_paid(
    blob: bytes, passphrase: Passphrase
) -> None:
    body = bytearray(blob[:-32])
    body[9:13] = (2**31).to_bytes(4)
    with pytest.raises(KeyStoreCorruptError):
        envelope.unwrap(mended(bytes(body)), passphrase, store_id=STORE_ID)


def test_root_key_altered_under_a_mended_digest_is_damage(
    blob: bytes, passphrase: Passphrase
) -> None:
    body = bytearray(blob[:-32])
    body[-1] ^= 1
    with pytest.raises(KeyStoreCorruptError):
        envelope.unwrap(mended(bytes(body)), passphrase, store_id=STORE_ID)


def test_envelope_cut_at_any_length_is_damage(blob: bytes, passphrase: Passphrase) -> None:
    for length in range(len(blob)):
        with pytest.raises(KeyStoreCorruptError):
            envelope.unwrap(blob[:length], passphrase, store_id=STORE_ID)


def test_envelope_of_another_store_is_damage(blob: bytes, passphrase: Passphrase) -> None:
    with pytest.raises(KeyStoreCorruptError):
        envelope.unwrap(blob, passphrase, store_id=STORE_ID[::-1])

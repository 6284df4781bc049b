"""Sealed values open where they belong, and nowhere and in no way else."""

import pytest

from vending.keystore.errors import SealBrokenError
from vending.keystore.redaction import Secret
from vending.keystore.sealing import (
    SEAL_OVERHEAD_BYTES,
    Keyring,
    Purpose,
    Sealer,
    associate,
)

ROOT = Secret(bytes(range(32)))
TOKEN = b"70630503470028726114"
PLACE = associate("sale", 7)


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(ROOT)


@pytest.fixture
def sealer(keyring: Keyring) -> Sealer:
    return keyring.sealer(Purpose.ISSUED_TOKENS)


def test_sealed_value_opens_with_the_same_key_and_place(sealer: Sealer) -> None:
    sealed = sealer.seal(TOKEN, associated=PLACE)
    again = Keyring(ROOT).sealer(Purpose.ISSUED_TOKENS)
    assert again.open(sealed, associated=PLACE) == TOKEN


def test_sealed_value_is_longer_by_version_nonce_and_tag(sealer: Sealer) -> None:
    assert len(sealer.seal(TOKEN, associated=PLACE)) == len(TOKEN) + SEAL_OVERHEAD_BYTES


def test_sealing_twice_gives_different_bytes(sealer: Sealer) -> None:
    assert sealer.seal(TOKEN, associated=PLACE) != sealer.seal(TOKEN, associated=PLACE)


def test_sealed_value_with_any_one_bit_flipped_does_not_open(sealer: Sealer) -> None:
    sealed = sealer.seal(TOKEN, associated=PLACE)
    for bit in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealBrokenError):
            sealer.open(bytes(flipped), associated=PLACE)


def test_sealed_value_cut_at_any_length_does_not_open(sealer: Sealer) -> None:
    sealed = sealer.seal(TOKEN, associated=PLACE)
    for length in range(len(sealed)):
        with pytest.raises(SealBrokenError):
            sealer.open(sealed[:length], associated=PLACE)


def test_sealed_value_with_a_byte_more_does_not_open(sealer: Sealer) -> None:
    with pytest.raises(SealBrokenError):
        sealer.open(sealer.seal(TOKEN, associated=PLACE) + b"\0", associated=PLACE)


def test_sealed_value_moved_to_another_record_does_not_open(sealer: Sealer) -> None:
    with pytest.raises(SealBrokenError) as refused:
        sealer.open(sealer.seal(TOKEN, associated=PLACE), associated=associate("sale", 8))
    assert refused.value.facts == {"purpose": "issued tokens"}


@pytest.mark.parametrize("other", [p for p in Purpose if p is not Purpose.ISSUED_TOKENS])
def test_sealed_value_does_not_open_for_another_purpose(
    keyring: Keyring, sealer: Sealer, other: Purpose
) -> None:
    sealed = sealer.seal(TOKEN, associated=PLACE)
    with pytest.raises(SealBrokenError):
        keyring.sealer(other).open(sealed, associated=PLACE)


def test_sealed_value_does_not_open_under_another_root_key(sealer: Sealer) -> None:
    sealed = sealer.seal(TOKEN, associated=PLACE)
    with pytest.raises(SealBrokenError):
        Keyring.generate().sealer(Purpose.ISSUED_TOKENS).open(sealed, associated=PLACE)


def test_generated_roots_differ() -> None:
    message = b"same"
    first = Keyring.generate().authenticate(message, Purpose.HEADER)
    assert first != Keyring.generate().authenticate(message, Purpose.HEADER)


def test_authenticator_differs_by_purpose(keyring: Keyring) -> None:
    macs = {keyring.authenticate(b"same", purpose) for purpose in Purpose}
    assert len(macs) == len(Purpose)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("1",), (1,)),
        (("1",), (b"1",)),
        ((1, 23), (12, 3)),
        (("",), ()),
        ((-1,), (1,)),
    ],
)
def test_associated_data_of_different_fields_differs(
    one: tuple[str | int | bytes, ...], other: tuple[str | int | bytes, ...]
) -> None:
    assert associate(*one) != associate(*other)


def test_keyring_and_sealer_print_no_key(keyring: Keyring, sealer: Sealer) -> None:
    assert repr(keyring) == "Keyring(sealed)"
    assert repr(sealer) == "Sealer(issued tokens)"

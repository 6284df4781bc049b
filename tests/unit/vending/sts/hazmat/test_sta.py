import hashlib

import pytest

from tests.vectors.sts import naive_sts
from vending.sts.bits import Bits64
from vending.sts.hazmat.sta import STA


def test_encrypts_the_worked_example() -> None:
    cipher = STA(bytes.fromhex("87f3ecbb2e46b48f"))
    assert cipher.encrypt(Bits64(0x05014EEC00013188)) == 0xD431F4B09E0E9F62
    assert cipher.decrypt(Bits64(0xD431F4B09E0E9F62)) == 0x05014EEC00013188


@pytest.mark.parametrize("seed", range(40))
def test_agrees_with_the_bitwise_form_on_many_keys_and_blocks(seed: int) -> None:
    noise = hashlib.sha256(bytes([seed])).digest()
    key, block = noise[:8], int.from_bytes(noise[-8:], "big")
    encrypted = STA(key).encrypt(Bits64(block))
    assert naive_sts.sta_encrypt(naive_sts.from_hex(key.hex()), naive_sts.bits(block, 64)) == (
        naive_sts.bits(encrypted, 64)
    )
    assert STA(key).decrypt(encrypted) == block


@pytest.mark.parametrize("place", range(64))
def test_every_key_bit_matters(place: int) -> None:
    key = int.from_bytes(b"12345678", "big")
    flipped = (key ^ 1 << place).to_bytes(8, "big")
    assert STA(flipped).encrypt(Bits64(1)) != STA(b"12345678").encrypt(Bits64(1))

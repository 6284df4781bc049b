import hashlib

import pytest

from tests.vectors.sts import naive_sts
from vending.sts.hazmat.des import encrypt_block


def test_textbook_vector() -> None:
    key, block = bytes.fromhex("133457799BBCDFF1"), bytes.fromhex("0123456789ABCDEF")
    assert encrypt_block(key, block).hex() == "85e813540f0ab405"


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_the_bitwise_form(seed: int) -> None:
    noise = hashlib.sha256(bytes([seed])).digest()
    key, block = noise[:8], noise[8:16]
    expected = naive_sts.des_encrypt(naive_sts.from_hex(key.hex()), naive_sts.from_hex(block.hex()))
    assert encrypt_block(key, block).hex() == naive_sts.to_hex(expected)


def test_parity_bits_of_the_key_do_not_count() -> None:
    assert encrypt_block(b"\xaa" * 8, bytes(8)) == encrypt_block(b"\xab" * 8, bytes(8))

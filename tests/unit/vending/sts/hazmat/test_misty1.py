import hashlib

import pytest

from tests.vectors.sts import naive_sts
from vending.sts.bits import Bits64
from vending.sts.hazmat.misty1 import _S7, _S9, MISTY1

RFC_KEY = bytes.fromhex("00112233445566778899aabbccddeeff")


@pytest.mark.parametrize(
    ("plain", "encrypted"),
    [(0x0123456789ABCDEF, 0x8B1DA5F56AB3D07C), (0xFEDCBA9876543210, 0x04B68240B13BE95D)],
)
def test_vectors_of_rfc_2994(plain: int, encrypted: int) -> None:
    assert MISTY1(RFC_KEY).encrypt(Bits64(plain)) == encrypted
    assert MISTY1(RFC_KEY).decrypt(Bits64(encrypted)) == plain


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_the_bitwise_form_on_many_keys_and_blocks(seed: int) -> None:
    noise = hashlib.sha256(bytes([seed])).digest()
    key, block = noise[:16], int.from_bytes(noise[-8:], "big")
    encrypted = MISTY1(key).encrypt(Bits64(block))
    assert naive_sts.misty1_encrypt(naive_sts.from_hex(key.hex()), naive_sts.bits(block, 64)) == (
        naive_sts.bits(encrypted, 64)
    )
    assert MISTY1(key).decrypt(encrypted) == block


@pytest.mark.parametrize(("table", "width", "degree"), [(_S7, 7, 3), (_S9, 9, 2)])
def test_substitution_tables_are_permutations_of_the_degree_of_the_rfc(
    table: tuple[int, ...], width: int, degree: int
) -> None:
    """A mistyped entry cannot hide: it would raise the algebraic degree to the full width.

    Codewords of the Reed-Muller codes RM(3, 7) and RM(2, 9) differ in at least 16 and 128
    places, so a table of the right degree with fewer wrong entries does not exist.
    """
    assert sorted(table) == list(range(1 << width))
    for out in range(width):
        terms = [value >> out & 1 for value in table]
        for place in range(width):
            for at in range(1 << width):
                if at >> place & 1:
                    terms[at] ^= terms[at ^ 1 << place]
        assert max(at.bit_count() for at, term in enumerate(terms) if term) <= degree

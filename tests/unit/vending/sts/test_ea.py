import pytest

from vending.sts.bits import Bits64
from vending.sts.ea import EncryptionAlgorithm, new_cipher
from vending.sts.errors import FieldRangeError, UnsupportedError


def test_every_algorithm_has_a_cipher_of_its_key_size() -> None:
    for ea in EncryptionAlgorithm:
        cipher = new_cipher(ea, bytes(ea.key_size_bytes))
        assert cipher.decrypt(cipher.encrypt(Bits64(1))) == 1


def test_digits_are_the_standards() -> None:
    assert [ea.digits for ea in EncryptionAlgorithm] == ["07", "11"]


def test_dea_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="EA09"):
        EncryptionAlgorithm(9)


@pytest.mark.parametrize("number", [0, 8, 12])
def test_unknown_algorithm_is_refused(number: int) -> None:
    with pytest.raises(FieldRangeError, match=r"EA .* is not within 7, 11"):
        EncryptionAlgorithm(number)

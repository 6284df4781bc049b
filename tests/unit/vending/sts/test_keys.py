import copy
import dataclasses
import pickle
from collections.abc import Callable

import pytest

from tests.vectors.sts import naive_sts
from vending.sts.errors import (
    FieldFormatError,
    FieldRangeError,
    KeyLengthError,
    UnsupportedError,
)
from vending.sts.keys import (
    SGC,
    TI,
    DecoderKey,
    EncryptionAlgorithm,
    KeyAttributes,
    KeyDerivation,
    KeyType,
    VendingKey,
)

Carry = Callable[[object], object]


@dataclasses.dataclass
class Bag:
    key: object


def test_sgc_and_ti_are_digits_and_numbers() -> None:
    assert (int(SGC("000123")), str(SGC("000123"))) == (123, "000123")
    assert (int(TI("07")), str(TI("07"))) == (7, "07")
    assert SGC.from_number(123) == SGC("000123")
    assert TI.from_number(7) == TI("07")


@pytest.mark.parametrize("digits", ["12345", "1234567", "12345a", ""])
def test_sgc_of_other_than_6_digits_is_refused(digits: str) -> None:
    with pytest.raises(FieldFormatError, match="SGC"):
        SGC(digits)


@pytest.mark.parametrize("digits", ["1", "100", "x1"])
def test_ti_of_other_than_2_digits_is_refused(digits: str) -> None:
    with pytest.raises(FieldFormatError, match="TI"):
        TI(digits)


@pytest.mark.parametrize("number", [-1, 1_000_000])
def test_sgc_number_above_6_digits_is_refused(number: int) -> None:
    with pytest.raises(FieldRangeError, match="SGC"):
        SGC.from_number(number)


@pytest.mark.parametrize("number", [-1, 100])
def test_ti_number_above_2_digits_is_refused(number: int) -> None:
    with pytest.raises(FieldRangeError, match="TI"):
        TI.from_number(number)


def test_unknown_key_type_is_refused() -> None:
    with pytest.raises(FieldRangeError, match="KT 4"):
        KeyType(4)


@pytest.mark.parametrize("number", [1, 3])
def test_legacy_derivation_is_refused_by_name(number: int) -> None:
    with pytest.raises(UnsupportedError, match=f"DKGA0{number}"):
        KeyDerivation(number)


@pytest.mark.parametrize("number", [0, 5])
def test_unknown_derivation_is_refused(number: int) -> None:
    with pytest.raises(FieldRangeError, match="DKGA"):
        KeyDerivation(number)


@pytest.mark.parametrize("krn", [0, 10])
def test_krn_outside_1_to_9_is_refused(attributes: KeyAttributes, krn: int) -> None:
    with pytest.raises(FieldRangeError, match="KRN"):
        dataclasses.replace(attributes, krn=krn)


@pytest.mark.parametrize("ken", [-1, 256])
def test_ken_outside_8_bits_is_refused(attributes: KeyAttributes, ken: int) -> None:
    with pytest.raises(FieldRangeError, match="KEN"):
        dataclasses.replace(attributes, ken=ken)


@pytest.mark.parametrize(
    ("dkga", "size_bytes"), [(KeyDerivation.DKGA02, 20), (KeyDerivation.DKGA04, 8)]
)
def test_vending_key_of_the_wrong_size_is_refused(
    attributes: KeyAttributes, dkga: KeyDerivation, size_bytes: int
) -> None:
    with pytest.raises(KeyLengthError, match=dkga.name):
        VendingKey(dataclasses.replace(attributes, dkga=dkga), bytes(size_bytes))


def test_vending_key_for_initialisation_keys_is_refused_by_name(attributes: KeyAttributes) -> None:
    with pytest.raises(UnsupportedError, match="DITK_DERIVATION"):
        VendingKey(dataclasses.replace(attributes, kt=KeyType.DITK), bytes(20))


@pytest.mark.parametrize(
    ("ea", "size_bytes"), [(EncryptionAlgorithm.STA, 16), (EncryptionAlgorithm.MISTY1, 8)]
)
def test_decoder_key_of_the_wrong_size_is_refused(ea: EncryptionAlgorithm, size_bytes: int) -> None:
    with pytest.raises(KeyLengthError, match=f"EA{ea.digits} takes"):
        DecoderKey(bytes(size_bytes), ea)


def test_printing_a_key_shows_no_material(vending_key: VendingKey, sta_key: DecoderKey) -> None:
    assert "material" not in repr(vending_key) + repr(sta_key)
    assert "KeyType.DUTK" in repr(vending_key)
    assert "xab" not in repr(vending_key).lower()


@pytest.mark.parametrize(
    "carry",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        lambda key: dataclasses.asdict(Bag(key)),
        lambda key: pickle.dumps([getattr(key, "cipher", key)]),
    ],
)
def test_key_is_neither_pickled_nor_copied(
    vending_key: VendingKey, sta_key: DecoderKey, misty1_key: DecoderKey, carry: Carry
) -> None:
    for key in (vending_key, sta_key, misty1_key):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            carry(key)


def test_key_has_no_dictionary_and_no_dataclass_fields(
    vending_key: VendingKey, sta_key: DecoderKey
) -> None:
    for key in (vending_key, sta_key):
        assert not dataclasses.is_dataclass(key)
        with pytest.raises(TypeError):
            vars(key)


@pytest.mark.parametrize("name", ["material", "attributes", "ea", "cipher"])
def test_what_a_key_holds_is_not_changed(
    vending_key: VendingKey, sta_key: DecoderKey, name: str
) -> None:
    for key in (vending_key, sta_key):
        with pytest.raises(AttributeError):
            setattr(key, name, None)


def test_vending_keys_are_equal_by_attributes_and_material(
    vending_key: VendingKey, attributes: KeyAttributes
) -> None:
    same = VendingKey(attributes, bytes(vending_key.material))
    assert same == vending_key
    assert hash(same) == hash(vending_key)
    assert vending_key != VendingKey(attributes, bytes(20))
    assert vending_key != VendingKey(dataclasses.replace(attributes, ken=1), vending_key.material)
    assert vending_key != vending_key.material


def test_decoder_keys_are_equal_by_algorithm_and_material(
    sta_key: DecoderKey, misty1_key: DecoderKey
) -> None:
    same = DecoderKey(bytes(sta_key.material), sta_key.ea)
    assert same == sta_key
    assert hash(same) == hash(sta_key)
    assert sta_key != DecoderKey(bytes(8), sta_key.ea)
    assert sta_key != misty1_key
    assert sta_key != sta_key.material


def test_check_value_of_a_des_key_is_its_encrypted_zero_block(attributes: KeyAttributes) -> None:
    des = dataclasses.replace(attributes, dkga=KeyDerivation.DKGA02)
    key = VendingKey(des, bytes.fromhex("133457799BBCDFF1"))
    zeros = naive_sts.des_encrypt(naive_sts.from_hex("133457799BBCDFF1"), "0" * 64)
    assert key.check_value() == naive_sts.to_hex(zeros)[:6].upper()


def test_check_value_of_a_160_bit_key_is_its_authenticated_zero_block(
    vending_key: VendingKey,
) -> None:
    expected = naive_sts.hmac_sha256(vending_key.material, bytes(8))[:3].hex().upper()
    assert vending_key.check_value() == expected


def test_cipher_is_made_once_and_kept_with_the_key(sta_key: DecoderKey) -> None:
    assert sta_key.cipher is sta_key.cipher

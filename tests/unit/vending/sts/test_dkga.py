import dataclasses

import pytest

from vending.sts.dkga import (
    build_control_block,
    build_data_block,
    build_pan_block,
    derive_decoder_key,
)
from vending.sts.errors import UnsupportedError
from vending.sts.keys import (
    SGC,
    TI,
    EncryptionAlgorithm,
    KeyAttributes,
    KeyDerivation,
    KeyType,
    VendingKey,
)
from vending.sts.pan import MeterPAN

STA, MISTY1 = EncryptionAlgorithm


@pytest.fixture
def des_attributes(attributes: KeyAttributes) -> KeyAttributes:
    return dataclasses.replace(attributes, sgc=SGC("123456"), dkga=KeyDerivation.DKGA02)


def test_dkga02_of_the_worked_example(des_attributes: KeyAttributes, pan: MeterPAN, ti: TI) -> None:
    assert build_pan_block(pan, KeyType.DUTK).hex() == "0072700000000000"
    assert build_control_block(des_attributes, ti).hex() == "2123456011ffffff"
    key = VendingKey(des_attributes, b"\xab" * 8)
    assert derive_decoder_key(key, pan=pan, ti=ti, ea=STA).material.hex() == "e653341f9d5bf36f"


def test_dkga02_gives_every_meter_the_same_common_key(
    des_attributes: KeyAttributes, pan: MeterPAN, ti: TI
) -> None:
    common = VendingKey(dataclasses.replace(des_attributes, kt=KeyType.DCTK), b"\xab" * 8)
    other = MeterPAN("600727123456789030")
    assert build_pan_block(other, KeyType.DCTK).hex() == "0072700000000000"
    assert derive_decoder_key(common, pan=other, ti=ti, ea=STA) == derive_decoder_key(
        common, pan=pan, ti=ti, ea=STA
    )


def test_dkga02_gives_meters_unique_keys(
    des_attributes: KeyAttributes, pan: MeterPAN, ti: TI
) -> None:
    unique = VendingKey(des_attributes, b"\xab" * 8)
    other = MeterPAN("600727123456789030")
    assert derive_decoder_key(unique, pan=other, ti=ti, ea=STA) != derive_decoder_key(
        unique, pan=pan, ti=ti, ea=STA
    )


def test_dkga04_of_the_worked_example(vending_key: VendingKey, pan: MeterPAN, ti: TI) -> None:
    block = build_data_block(vending_key.attributes, pan=pan, ti=ti, ea=STA)
    assert block.hex() == (
        "04023034023134023037023031000406323031343537013201311236303037323730303030303030303030303900000040"
    )
    assert len(block) == 49
    key = derive_decoder_key(vending_key, pan=pan, ti=ti, ea=STA)
    assert key.material.hex() == "87f3ecbb2e46b48f"


def test_dkga04_gives_ea11_128_bits(vending_key: VendingKey, pan: MeterPAN, ti: TI) -> None:
    block = build_data_block(vending_key.attributes, pan=pan, ti=ti, ea=MISTY1)
    assert block.endswith(bytes.fromhex("00000080"))
    assert len(derive_decoder_key(vending_key, pan=pan, ti=ti, ea=MISTY1).material) == 16


def test_ea11_with_dkga02_is_refused_by_name(
    des_attributes: KeyAttributes, pan: MeterPAN, ti: TI
) -> None:
    key = VendingKey(des_attributes, bytes(8))
    with pytest.raises(UnsupportedError, match="EA11_WITH_DKGA02"):
        derive_decoder_key(key, pan=pan, ti=ti, ea=MISTY1)


def test_common_key_with_dkga04_is_refused_by_name(
    attributes: KeyAttributes, pan: MeterPAN, ti: TI
) -> None:
    key = VendingKey(dataclasses.replace(attributes, kt=KeyType.DCTK), bytes(20))
    with pytest.raises(UnsupportedError, match="DCTK_WITH_DKGA04"):
        derive_decoder_key(key, pan=pan, ti=ti, ea=STA)

"""Keys and numbers that the tests of vending.sts share."""

import pytest

from vending.sts import (
    SGC,
    TI,
    BaseDate,
    DecoderKey,
    EncryptionAlgorithm,
    KeyAttributes,
    KeyDerivation,
    KeyType,
    MeterPAN,
    TokenIdentifier,
    VendingKey,
)


@pytest.fixture
def pan() -> MeterPAN:
    return MeterPAN("600727000000000009")


@pytest.fixture
def tid() -> TokenIdentifier:
    return TokenIdentifier(85740)


@pytest.fixture
def ti() -> TI:
    return TI("01")


@pytest.fixture
def attributes() -> KeyAttributes:
    return KeyAttributes(
        sgc=SGC("201457"),
        kt=KeyType.DUTK,
        krn=1,
        ken=255,
        base_date=BaseDate.Y2014,
        dkga=KeyDerivation.DKGA04,
    )


@pytest.fixture
def vending_key(attributes: KeyAttributes) -> VendingKey:
    return VendingKey(attributes, bytes.fromhex("ABABABABABABABAB949494949494949401234567"))


@pytest.fixture
def sta_key() -> DecoderKey:
    return DecoderKey(bytes.fromhex("87f3ecbb2e46b48f"), EncryptionAlgorithm.STA)


@pytest.fixture
def misty1_key() -> DecoderKey:
    return DecoderKey(bytes.fromhex("00112233445566778899aabbccddeeff"), EncryptionAlgorithm.MISTY1)

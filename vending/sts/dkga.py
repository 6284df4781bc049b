"""Decoder key generation: DKGA02 and DKGA04 (IEC 62055-41, decoder key generation algorithm).

A vending key and a meter's numbers give that meter's decoder key. DKGA02 is one DES encryption
of 16 decimal digits; DKGA04 is HMAC-SHA-256 over a counter-less key derivation block.
"""

import hashlib
import hmac
from typing import Final

from vending.sts.ea import EncryptionAlgorithm
from vending.sts.hazmat.des import encrypt_block
from vending.sts.keys import (
    TI,
    DecoderKey,
    KeyAttributes,
    KeyDerivation,
    KeyType,
    VendingKey,
    require_derivation,
)
from vending.sts.pan import MeterPAN

_CONTROL_PADDING: Final = "ffffff"
_PAN_BLOCK_DIGIT_COUNT: Final = 16
_DATA_BLOCK: Final = (
    b"\x04"  # fields of the label
    b"\x02%b"  # DKGA
    b"\x02%b"  # BDT
    b"\x02%b"  # EA
    b"\x02%b"  # TI
    b"\x00"
    b"\x04"  # fields of the context
    b"\x06%b"  # SGC
    b"\x01%d"  # KT
    b"\x01%d"  # KRN
    b"\x12%b"  # MeterPAN
    b"%b"  # L
)


def derive_decoder_key(
    vending_key: VendingKey, *, pan: MeterPAN, ti: TI, ea: EncryptionAlgorithm
) -> DecoderKey:
    """Return the decoder key of a meter with this tariff index and algorithm.

    Raises:
        UnsupportedError: EA11 with DKGA02, or a common key (KT 3) with DKGA04.
    """
    require_derivation(vending_key.attributes, ea)
    if vending_key.attributes.dkga is KeyDerivation.DKGA02:
        return _derive_dkga02(vending_key, pan=pan, ti=ti, ea=ea)
    return _derive_dkga04(vending_key, pan=pan, ti=ti, ea=ea)


def _derive_dkga02(
    vending_key: VendingKey, *, pan: MeterPAN, ti: TI, ea: EncryptionAlgorithm
) -> DecoderKey:
    """Return DES_VK(X) xor X xor VK, where X is PANBlock xor ControlBlock, all 8 bytes.

    The vending key is used as stored: its parity bits are not corrected. Other texts print the
    result byte-reversed.
    """
    block = _exclusive_or(
        build_pan_block(pan, vending_key.attributes.kt),
        build_control_block(vending_key.attributes, ti),
    )
    encrypted = encrypt_block(vending_key.material, block)
    return DecoderKey(_exclusive_or(_exclusive_or(encrypted, block), vending_key.material), ea)


def build_pan_block(pan: MeterPAN, kt: KeyType) -> bytes:
    """Return the PANBlock of DKGA02: the last 16 digits of IIN and IAIN, as BCD.

    A common key is every meter's, so for it the IAIN is replaced by zeros.
    """
    iain = "0" * len(pan.iain) if kt is KeyType.DCTK else pan.iain
    return bytes.fromhex((pan.iin + iain)[-_PAN_BLOCK_DIGIT_COUNT:])


def build_control_block(attributes: KeyAttributes, ti: TI) -> bytes:
    """Return the ControlBlock of DKGA02: KT, SGC, TI and KRN as digits, then six Fs."""
    digits = f"{attributes.kt:d}{attributes.sgc}{ti}{attributes.krn}"
    return bytes.fromhex(digits + _CONTROL_PADDING)


def _exclusive_or(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _derive_dkga04(
    vending_key: VendingKey, *, pan: MeterPAN, ti: TI, ea: EncryptionAlgorithm
) -> DecoderKey:
    """Return the leftmost bits of HMAC-SHA-256, keyed with VK, over the DataBlock."""
    block = build_data_block(vending_key.attributes, pan=pan, ti=ti, ea=ea)
    code = hmac.digest(vending_key.material, block, hashlib.sha256)
    return DecoderKey(code[: ea.key_size_bytes], ea)


def build_data_block(
    attributes: KeyAttributes, *, pan: MeterPAN, ti: TI, ea: EncryptionAlgorithm
) -> bytes:
    """Return the DataBlock of DKGA04, 49 bytes.

    Fields are ASCII digits, each led by its length; L, the length of the key in bits, is a
    binary number of 4 bytes.
    """
    return _DATA_BLOCK % (
        attributes.dkga.digits.encode(),
        attributes.base_date.bdt.encode(),
        ea.digits.encode(),
        ti.digits.encode(),
        attributes.sgc.digits.encode(),
        attributes.kt,
        attributes.krn,
        pan.digits.encode(),
        (ea.key_size_bytes * 8).to_bytes(4, "big"),
    )

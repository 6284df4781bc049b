"""Keys and their attributes: SGC, KT, KRN, KEN, TI (IEC 62055-41, key management).

A vending key belongs to a supply group and never leaves its store; a decoder key belongs to
one meter and is derived from it (`vending.sts.dkga`). Neither shows its material when printed.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from vending.sts.digits import require_digits
from vending.sts.ea import BlockCipher, EncryptionAlgorithm, new_cipher
from vending.sts.errors import (
    FieldRangeError,
    KeyLengthError,
    Unsupported,
    UnsupportedError,
)
from vending.sts.hazmat.des import encrypt_block
from vending.sts.secrecy import Unshown
from vending.sts.tid import BaseDate

__all__ = [
    "SGC",
    "TI",
    "DecoderKey",
    "EncryptionAlgorithm",
    "KeyAttributes",
    "KeyDerivation",
    "KeyType",
    "VendingKey",
]

LARGEST_SGC: Final = 999_999
LARGEST_TI: Final = 99
KRN_RANGE: Final = range(1, 10)
KEN_RANGE: Final = range(256)
_CHECK_VALUE_SIZE_BYTES: Final = 3
_ZERO_BLOCK: Final = bytes(8)


class KeyType(IntEnum):
    """KT: whom a decoder key serves."""

    DITK = 0
    """Initialisation: set by the meter's maker."""
    DDTK = 1
    """Default: stock meters of a supply group; takes no credit."""
    DUTK = 2
    """Unique: one meter."""
    DCTK = 3
    """Common: every meter of a supply group; magnetic cards only."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        raise FieldRangeError(field="KT", given=str(value), allowed="0 to 3")


class KeyDerivation(IntEnum):
    """DKGA: how decoder keys come from a vending key. 01 and 03 are refused by name."""

    DKGA02 = 2
    DKGA04 = 4

    @property
    def vending_key_size_bytes(self) -> int:
        """Return the size of the vending key it starts from."""
        return _VENDING_KEY_SIZES_BYTES[self]

    @property
    def digits(self) -> str:
        """Return the two digits by which the standard writes it: `02` or `04`."""
        return f"{self.value:02}"

    @classmethod
    def _missing_(cls, value: object) -> Self:
        if isinstance(value, int) and value in _LEGACY_DKGA:
            raise UnsupportedError(_LEGACY_DKGA[value])
        raise FieldRangeError(field="DKGA", given=str(value), allowed="2, 4")


_LEGACY_DKGA: Final = {1: Unsupported.DKGA01, 3: Unsupported.DKGA03}
_VENDING_KEY_SIZES_BYTES: Final = {KeyDerivation.DKGA02: 8, KeyDerivation.DKGA04: 20}


@dataclass(frozen=True, slots=True, order=True)
class SGC:
    """Supply group code, 6 digits: the meters that share a vending key."""

    digits: str

    def __post_init__(self) -> None:
        require_digits("SGC", self.digits, (6,))

    @classmethod
    def from_number(cls, number: int) -> Self:
        """Return the code that a key-change set carries as a binary number.

        Raises:
            FieldRangeError: The number is above 999999.
        """
        if not 0 <= number <= LARGEST_SGC:
            raise FieldRangeError(field="SGC", given=number, allowed="0 to 999999")
        return cls(f"{number:06}")

    def __int__(self) -> int:
        return int(self.digits)

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True, slots=True, order=True)
class TI:
    """Tariff index, 2 digits: the tariff a meter was told of; part of its decoder key."""

    digits: str

    def __post_init__(self) -> None:
        require_digits("TI", self.digits, (2,))

    @classmethod
    def from_number(cls, number: int) -> Self:
        """Return the index that a key-change set carries as a binary number.

        Raises:
            FieldRangeError: The number is above 99.
        """
        if not 0 <= number <= LARGEST_TI:
            raise FieldRangeError(field="TI", given=number, allowed="0 to 99")
        return cls(f"{number:02}")

    def __int__(self) -> int:
        return int(self.digits)

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAttributes:
    """What is known of a key besides its material: KRN 1 to 9, KEN 0 to 255."""

    sgc: SGC
    kt: KeyType
    krn: int
    ken: int
    base_date: BaseDate
    dkga: KeyDerivation

    def __post_init__(self) -> None:
        if self.krn not in KRN_RANGE:
            raise FieldRangeError(field="KRN", given=self.krn, allowed="1 to 9")
        if self.ken not in KEN_RANGE:
            raise FieldRangeError(field="KEN", given=self.ken, allowed="0 to 255")


def require_derivation(attributes: KeyAttributes, ea: EncryptionAlgorithm) -> None:
    """Refuse a decoder key that no vending key of these attributes gives.

    Raises:
        UnsupportedError: EA11 with DKGA02, or a common key (KT 3) with DKGA04.
    """
    match attributes.dkga:
        case KeyDerivation.DKGA02 if ea is not EncryptionAlgorithm.STA:
            raise UnsupportedError(Unsupported.EA11_WITH_DKGA02)
        case KeyDerivation.DKGA04 if attributes.kt is KeyType.DCTK:
            raise UnsupportedError(Unsupported.DCTK_WITH_DKGA04)
        case _:
            return


class VendingKey(Unshown):
    """A supply group's key: VDDK, VUDK or VCDK by its type; its repr shows no material.

    64 bits for DKGA02, 160 bits for DKGA04, big-endian.

    Raises:
        UnsupportedError: The key type is DITK, from which nothing is derived.
        KeyLengthError: The material is not of the derivation's size.
    """

    __slots__ = ("_attributes", "_material")

    def __init__(self, attributes: KeyAttributes, material: bytes) -> None:
        if attributes.kt is KeyType.DITK:
            raise UnsupportedError(Unsupported.DITK_DERIVATION)
        _require_size(material, attributes.dkga.vending_key_size_bytes, attributes.dkga.name)
        self._attributes = attributes
        self._material = material

    @property
    def attributes(self) -> KeyAttributes:
        """Return what is known of the key besides its material."""
        return self._attributes

    @property
    def material(self) -> bytes:
        """Return the key itself, for arithmetic."""
        return self._material

    def check_value(self) -> str:
        """Return 6 hex digits by which two custodians see that they hold the same key.

        The first 3 bytes of eight zero bytes, encrypted under DES for DKGA02, or (ours)
        authenticated by HMAC-SHA-256 for DKGA04.
        """
        if self._attributes.dkga is KeyDerivation.DKGA02:
            proof = encrypt_block(self._material, _ZERO_BLOCK)
        else:
            proof = hmac.digest(self._material, _ZERO_BLOCK, hashlib.sha256)
        return proof[:_CHECK_VALUE_SIZE_BYTES].hex().upper()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VendingKey):
            return NotImplemented
        is_same = hmac.compare_digest(self._material, other.material)
        return is_same and self._attributes == other.attributes

    def __hash__(self) -> int:
        return hash(self._attributes)

    def __repr__(self) -> str:
        return f"VendingKey({self._attributes!r})"


class DecoderKey(Unshown):
    """The key of one meter, and the cipher it keys; its repr shows no material.

    Raises:
        KeyLengthError: The material is not of the algorithm's size.
    """

    __slots__ = ("_cipher", "_ea", "_material")

    def __init__(self, material: bytes, ea: EncryptionAlgorithm) -> None:
        _require_size(material, ea.key_size_bytes, f"EA{ea.digits}")
        self._material = material
        self._ea = ea
        self._cipher: BlockCipher | None = None

    @property
    def material(self) -> bytes:
        """Return the key itself, for the sections that carry it to a meter."""
        return self._material

    @property
    def ea(self) -> EncryptionAlgorithm:
        """Return the algorithm that it keys."""
        return self._ea

    @property
    def cipher(self) -> BlockCipher:
        """Return the cipher; its key schedule is made once and kept with the key."""
        if self._cipher is None:
            self._cipher = new_cipher(self._ea, self._material)
        return self._cipher

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DecoderKey):
            return NotImplemented
        return hmac.compare_digest(self._material, other.material) and self._ea is other.ea

    def __hash__(self) -> int:
        return hash(self._ea)

    def __repr__(self) -> str:
        return f"DecoderKey(ea={self._ea!r})"


def _require_size(material: bytes, wanted_bytes: int, subject: str) -> None:
    if len(material) != wanted_bytes:
        raise KeyLengthError(subject=subject, given_bytes=len(material), wanted_bytes=wanted_bytes)

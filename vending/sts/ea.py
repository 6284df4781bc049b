"""Encryption algorithms by their number (IEC 62055-41, EA codes)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol, Self

from vending.sts.bits import Bits64
from vending.sts.errors import FieldRangeError, Unsupported, UnsupportedError
from vending.sts.hazmat.misty1 import MISTY1
from vending.sts.hazmat.sta import STA

_DEA: Final = 9


class EncryptionAlgorithm(IntEnum):
    """EA: the cipher of a meter's tokens. 09, DEA, is legacy and refused by name."""

    STA = 7
    MISTY1 = 11

    @property
    def key_size_bytes(self) -> int:
        """Return the size of a decoder key: 8 or 16 bytes."""
        return _CIPHERS[self].key_size_bytes

    @property
    def digits(self) -> str:
        """Return the two digits by which the standard writes it: `07` or `11`."""
        return f"{self.value:02}"

    @classmethod
    def _missing_(cls, value: object) -> Self:
        if value == _DEA:
            raise UnsupportedError(Unsupported.EA09)
        raise FieldRangeError(field="EA", given=str(value), allowed="7, 11")


class BlockCipher(Protocol):
    """A cipher under one key: 64 bits in, 64 bits out."""

    def encrypt(self, block: Bits64) -> Bits64:
        """Return the encrypted block."""
        ...

    def decrypt(self, block: Bits64) -> Bits64:
        """Return the block that encrypts to this one."""
        ...


@dataclass(frozen=True, slots=True)
class _Cipher:
    key_size_bytes: int
    under: Callable[[bytes], BlockCipher]


_CIPHERS: Final[Mapping[EncryptionAlgorithm, _Cipher]] = {
    EncryptionAlgorithm.STA: _Cipher(8, STA),
    EncryptionAlgorithm.MISTY1: _Cipher(16, MISTY1),
}


def new_cipher(ea: EncryptionAlgorithm, material: bytes) -> BlockCipher:
    """Return the cipher of this number under a key of its size."""
    return _CIPHERS[ea].under(material)

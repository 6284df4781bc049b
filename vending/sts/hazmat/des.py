"""DES, one block, for DKGA02 and the check values of its keys alone (FIPS 46-3)."""

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import ECB


def encrypt_block(key: bytes, block: bytes) -> bytes:
    """Return 8 bytes encrypted under the 8-byte key; its parity bits are ignored.

    Triple DES with one key three times is DES: the second pass undoes the first.
    """
    encryptor = Cipher(TripleDES(key * 3), ECB()).encryptor()  # noqa: S305  # one block needs no mode
    return encryptor.update(block) + encryptor.finalize()

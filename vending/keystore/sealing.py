"""Seals values at rest with AES-256-GCM, each purpose under its own sub-key.

A sealed value, byte by byte:

    0        version, 1
    1 .. 12  nonce, random
    13 ..    cipher text, then the 16-byte tag

What a value belongs to (its record, its purpose, its version) is associated data: a value that
is moved to another record does not open there. Nonces are random, so one sub-key seals at most
2^32 values before the chance of a repeat passes 2^-32 (NIST SP 800-38D, 8.3); at a million
meters that buy twice a month that is more than a century.
"""

import hmac
import secrets
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vending.keystore.errors import SealBrokenError
from vending.keystore.redaction import Secret

KEY_BYTES: Final = 32
MAC_BYTES: Final = 32
SEAL_VERSION: Final = 1
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
SEAL_OVERHEAD_BYTES: Final = 1 + NONCE_BYTES + TAG_BYTES

_DERIVATION_LABEL: Final = b"vending key store, version 1: "


class Purpose(StrEnum):
    """What a sub-key is for; a value sealed for one purpose does not open for another."""

    VENDING_KEYS = "vending keys"
    ISSUED_TOKENS = "issued tokens"
    STORED_ANSWERS = "stored answers"
    OPERATOR_SECRETS = "operator secrets"
    AUDIT_KEYS = "audit keys"
    HEADER = "header"
    GENERATION = "generation file"
    ROOT_KEY = "root key"
    VERIFIER = "verifier"
    CUSTODIAN_KEY = "custodian key"
    BACKUP_KEY = "backup key"


def associate(*fields: str | int | bytes) -> bytes:
    """Return `fields` as associated data; no two different lists give the same bytes.

    Each field is a type letter, its length in 4 bytes, and its value.
    """
    return b"".join(_labelled(field) for field in fields)


def _labelled(field: str | int | bytes) -> bytes:
    match field:
        case bytes():
            letter, value = b"b", field
        case str():
            letter, value = b"s", field.encode()
        case _:
            letter, value = b"i", str(int(field)).encode()
    return letter + len(value).to_bytes(4) + value


class Sealer:
    """Seals and opens values of one purpose; safe to share between threads."""

    __slots__ = ("_aead", "_purpose")

    def __init__(self, key: Secret, purpose: Purpose) -> None:
        assert len(key) == KEY_BYTES, "AES-256 takes 32 bytes"
        self._aead = AESGCM(key.reveal())
        self._purpose = purpose

    def seal(self, plaintext: bytes, *, associated: bytes) -> bytes:
        """Return `plaintext` sealed to what it belongs to, `associated`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        bound = self._bound(associated)
        return bytes([SEAL_VERSION]) + nonce + self._aead.encrypt(nonce, plaintext, bound)

    def open(self, sealed: bytes, *, associated: bytes) -> bytes:
        """Return the plaintext of a value sealed to the same `associated`.

        Raises:
            SealBrokenError: The value was altered, cut or moved, or sealed under another key.
        """
        if len(sealed) < SEAL_OVERHEAD_BYTES or sealed[0] != SEAL_VERSION:
            raise SealBrokenError(self._purpose)
        nonce, cipher_text = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, cipher_text, self._bound(associated))
        except InvalidTag as error:
            raise SealBrokenError(self._purpose) from error

    def _bound(self, associated: bytes) -> bytes:
        return associate(SEAL_VERSION, self._purpose.value, associated)

    def __repr__(self) -> str:
        return f"Sealer({self._purpose})"


class Keyring:
    """One key and the sub-keys derived from it by HKDF-SHA-256 (RFC 5869)."""

    __slots__ = ("_root",)

    def __init__(self, root: Secret) -> None:
        assert len(root) == KEY_BYTES, "a root key has 32 bytes"
        self._root = root

    @classmethod
    def generate(cls) -> "Keyring":
        """Return a keyring over a fresh random root key."""
        return cls(Secret(secrets.token_bytes(KEY_BYTES)))

    def sealer(self, purpose: Purpose) -> Sealer:
        """Return the sealer for one purpose."""
        return Sealer(self._sub_key(purpose), purpose)

    def authenticate(self, message: bytes, purpose: Purpose) -> bytes:
        """Return the HMAC-SHA-256 of `message`, 32 bytes, under the sub-key of `purpose`."""
        return hmac.digest(self._sub_key(purpose).reveal(), message, "sha256")

    def wrap_root(self, sealer: Sealer, *, associated: bytes) -> bytes:
        """Return the root key sealed under another keyring's sealer."""
        return sealer.seal(self._root.reveal(), associated=associated)

    def _sub_key(self, purpose: Purpose) -> Secret:
        derivation = HKDF(
            algorithm=SHA256(),
            length=KEY_BYTES,
            salt=None,
            info=_DERIVATION_LABEL + purpose.value.encode(),
        )
        return Secret(derivation.derive(self._root.reveal()))

    def __repr__(self) -> str:
        return "Keyring(sealed)"

"""Seals values at rest with AES-256-GCM, each purpose under its own sub-key.

A sealed value, byte by byte:

    0        version of the root key, from 1
    1 .. 12  nonce, random
    13 ..    cipher text, then the 16-byte tag

What a value belongs to (its record, its purpose, its version) is associated data: a value that
is moved to another record does not open there. Nonces are random, so one sub-key seals at most
2^32 values before the chance of a repeat passes 2^-32 (NIST SP 800-38D, 8.3); at a million
meters that buy twice a month that is more than a century.

Root keys are rotated: a keyring holds every root key that ever sealed something, the oldest
first. It seals under the active one and opens under whichever the first byte names, so that what
was sealed before a rotation stays readable. Sealers look at their keyring each time, and so
follow a rotation without being made again.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from types import MappingProxyType
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
"""Of a store that was never rotated."""
ROOT_COUNT_MAX: Final = 64
"""Two a year for a generation."""
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
    CEREMONY_COMPONENTS = "ceremony components"
    UNLOCK_CHANGE = "unlock change"


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


@dataclass(frozen=True, slots=True)
class _Ciphers:
    """The ciphers of one purpose, by the version of their root key."""

    active: int
    by_version: Mapping[int, AESGCM] = field(repr=False)


class Sealer:
    """Seals and opens values of one purpose; safe to share between threads.

    Over one key it stays with that key; over a keyring it follows its rotations.
    """

    __slots__ = ("_find_ciphers", "_purpose")

    def __init__(self, key: "Secret | Keyring", purpose: Purpose) -> None:
        self._purpose = purpose
        self._find_ciphers: Callable[[], _Ciphers]
        if isinstance(key, Keyring):
            self._find_ciphers = partial(key.ciphers, purpose)
            return
        assert len(key) == KEY_BYTES, "AES-256 takes 32 bytes"
        only = _Ciphers(SEAL_VERSION, {SEAL_VERSION: AESGCM(key.reveal())})
        self._find_ciphers = lambda: only

    def seal(self, plaintext: bytes, *, associated: bytes) -> bytes:
        """Return `plaintext` sealed to what it belongs to, `associated`."""
        ciphers = self._find_ciphers()
        nonce = secrets.token_bytes(NONCE_BYTES)
        bound = self._bound(ciphers.active, associated)
        sealed = ciphers.by_version[ciphers.active].encrypt(nonce, plaintext, bound)
        return bytes([ciphers.active]) + nonce + sealed

    def open(self, sealed: bytes, *, associated: bytes) -> bytes:
        """Return the plaintext of a value sealed to the same `associated`.

        Raises:
            SealBrokenError: The value was altered, cut or moved, or sealed under another key.
        """
        if len(sealed) < SEAL_OVERHEAD_BYTES:
            raise SealBrokenError(self._purpose)
        version = sealed[0]
        cipher = self._find_ciphers().by_version.get(version)
        if cipher is None:
            raise SealBrokenError(self._purpose)
        nonce, cipher_text = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, cipher_text, self._bound(version, associated))
        except InvalidTag as error:
            raise SealBrokenError(self._purpose) from error

    def _bound(self, version: int, associated: bytes) -> bytes:
        return associate(version, self._purpose.value, associated)

    def __repr__(self) -> str:
        return f"Sealer({self._purpose})"


class _Roots:
    """Root keys of one moment, the oldest first, and the ciphers derived from them so far."""

    __slots__ = ("active", "ciphers", "secrets")

    def __init__(self, roots: tuple[Secret, ...], active: int) -> None:
        assert 1 <= active <= len(roots) <= ROOT_COUNT_MAX, "the active root key is one of them"
        assert all(len(root) == KEY_BYTES for root in roots), "a root key has 32 bytes"
        self.secrets = roots
        self.active = active
        self.ciphers: dict[Purpose, _Ciphers] = {}


class Keyring:
    """Root keys and the sub-keys derived from them by HKDF-SHA-256 (RFC 5869)."""

    __slots__ = ("roots",)

    def __init__(self, *roots: Secret, active: int = 1) -> None:
        self.roots = _Roots(roots, active)

    @classmethod
    def generate(cls) -> "Keyring":
        """Return a keyring over a fresh random root key."""
        return cls(Secret(secrets.token_bytes(KEY_BYTES)))

    @classmethod
    def from_bundle(cls, bundle: Secret) -> "Keyring":
        """Return the keyring that `bundle` gave, of a value whose seal was checked."""
        count = len(bundle) // KEY_BYTES
        assert len(bundle) == bundle_bytes(count), "a seal vouches for its form"
        if count == 1:
            return cls(bundle)
        roots = (
            Secret(bundle.reveal()[1 + KEY_BYTES * place : 1 + KEY_BYTES * (place + 1)])
            for place in range(count)
        )
        return cls(*roots, active=bundle.reveal()[0])

    @property
    def root_count(self) -> int:
        """Return how many root keys there are."""
        return len(self.roots.secrets)

    @property
    def active(self) -> int:
        """Return the version of the root key that seals; it counts from 1."""
        return self.roots.active

    def with_next_root(self) -> "Keyring":
        """Return a keyring that knows a fresh root key more, and does not seal under it yet."""
        fresh = Secret(secrets.token_bytes(KEY_BYTES))
        return Keyring(*self.roots.secrets, fresh, active=self.roots.active)

    def with_newest_active(self) -> "Keyring":
        """Return a keyring that seals under its newest root key."""
        return Keyring(*self.roots.secrets, active=self.root_count)

    def is_continued_by(self, other: "Keyring") -> bool:
        """Say whether the other holds all our root keys in the same places."""
        pairs = zip(self.roots.secrets, other.roots.secrets, strict=False)
        return self.root_count <= other.root_count and all(
            hmac.compare_digest(mine.reveal(), theirs.reveal()) for mine, theirs in pairs
        )

    def take_over(self, other: "Keyring") -> None:
        """Become the other keyring, for all sealers that were made over this one."""
        self.roots = other.roots

    def sealer(self, purpose: Purpose) -> Sealer:
        """Return the sealer for one purpose."""
        return Sealer(self, purpose)

    def ciphers(self, purpose: Purpose) -> _Ciphers:
        """Return the ciphers of a purpose, for its sealers."""
        roots = self.roots
        found = roots.ciphers.get(purpose)
        if found is None:
            by_version = {
                version: AESGCM(_sub_key(root, purpose).reveal())
                for version, root in enumerate(roots.secrets, 1)
            }
            found = _Ciphers(roots.active, MappingProxyType(by_version))
            roots.ciphers[purpose] = found
        return found

    def authenticate(self, message: bytes, purpose: Purpose) -> bytes:
        """Return the HMAC-SHA-256 of `message`, 32 bytes, under the active sub-key."""
        roots = self.roots
        return _authenticate(roots.secrets[roots.active - 1], message, purpose)

    def find_version(self, message: bytes, mac: bytes, purpose: Purpose) -> int | None:
        """Return the version of the root key under which `mac` is the message's; None: of none."""
        for version, root in enumerate(self.roots.secrets, 1):
            if hmac.compare_digest(_authenticate(root, message, purpose), mac):
                return version
        return None

    def wrap_root(self, sealer: Sealer, *, associated: bytes) -> bytes:
        """Return the root keys sealed under another keyring's sealer; see `from_bundle`.

        One alone is sealed as it is; of several, the byte before them tells which is active.
        """
        roots = self.roots
        mark = b"" if len(roots.secrets) == 1 else bytes([roots.active])
        return sealer.seal(
            mark + b"".join(root.reveal() for root in roots.secrets), associated=associated
        )

    def __repr__(self) -> str:
        return "Keyring(sealed)"


def sealed_under(sealed: bytes) -> int:
    """Return the version of the root key that a sealed value names; 0: it names none."""
    return sealed[0] if sealed else 0


def bundle_bytes(root_count: int) -> int:
    """Return how long so many root keys are in one value."""
    return KEY_BYTES if root_count == 1 else 1 + KEY_BYTES * root_count


def _authenticate(root: Secret, message: bytes, purpose: Purpose) -> bytes:
    return hmac.digest(_sub_key(root, purpose).reveal(), message, "sha256")


def _sub_key(root: Secret, purpose: Purpose) -> Secret:
    derivation = HKDF(
        algorithm=SHA256(),
        length=KEY_BYTES,
        salt=None,
        info=_DERIVATION_LABEL + purpose.value.encode(),
    )
    return Secret(derivation.derive(root.reveal()))

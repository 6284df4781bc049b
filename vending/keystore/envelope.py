"""The header blob of a key store: how to get from a passphrase or key file to the root key.

    0    4   magic, "VKS1"
    4    1   what opens it: 1 passphrase, 2 key file
    5    4   Argon2id time cost      (0 with a key file)
    9    4   Argon2id memory in KiB  (0 with a key file)
    13   4   Argon2id parallelism    (0 with a key file)
    17   16  salt
    33   32  verifier: HMAC of bytes 0..32 under the key-encryption key
    65   61  the root key, sealed under the key-encryption key
    126  32  SHA-256 of all before it

Numbers are big-endian. The last field needs no key: it tells damage from a wrong passphrase.
Who can write the database can mend it, and then meets the verifier, which needs the key.
The root key is random and never changes, so that a new passphrase re-seals one value, not all.
"""

import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass
from typing import Final

from vending.keystore.errors import (
    Damage,
    KeyStoreCorruptError,
    SealBrokenError,
    UnlockKindError,
    WrongKeyFileError,
    WrongPassphraseError,
)
from vending.keystore.redaction import Secret
from vending.keystore.sealing import (
    KEY_BYTES,
    MAC_BYTES,
    SEAL_OVERHEAD_BYTES,
    Keyring,
    Purpose,
)
from vending.keystore.unlocking import SALT_BYTES, Argon2Cost, KeyFile, Passphrase, Unlock

_MAGIC: Final = b"VKS1"
_PREFIX: Final = struct.Struct(f">4sBIII{SALT_BYTES}s")
_OPENS_WITH_PASSPHRASE: Final = 1
_OPENS_WITH_KEY_FILE: Final = 2
_NO_COST: Final = Argon2Cost(0, 0, 0)
_DIGEST_BYTES: Final = 32
ENVELOPE_BYTES: Final = _PREFIX.size + MAC_BYTES + SEAL_OVERHEAD_BYTES + KEY_BYTES + _DIGEST_BYTES


@dataclass(frozen=True, slots=True)
class _Envelope:
    prefix: bytes
    kind: int
    cost: Argon2Cost
    salt: bytes
    verifier: bytes
    sealed_root: bytes


def wrap(root: Keyring, unlock: Unlock, *, store_id: bytes, cost: Argon2Cost) -> bytes:
    """Return the envelope that gives `root` to whoever holds `unlock`.

    `store_id` is bound to it; `cost` is used with a passphrase only.

    Raises:
        KeyFileError: The key file cannot be used.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    kind, written_cost = _OPENS_WITH_KEY_FILE, _NO_COST
    if isinstance(unlock, Passphrase):
        kind, written_cost = _OPENS_WITH_PASSPHRASE, cost
    prefix = _PREFIX.pack(
        _MAGIC,
        kind,
        written_cost.time_cost,
        written_cost.memory_kib,
        written_cost.parallelism,
        salt,
    )
    key_encryption = _key_encryption(unlock, salt, cost)
    verifier = key_encryption.authenticate(prefix, Purpose.VERIFIER)
    sealed_root = root.wrap_root(
        key_encryption.sealer(Purpose.ROOT_KEY), associated=prefix + store_id
    )
    body = prefix + verifier + sealed_root
    return body + hashlib.sha256(body).digest()


def unwrap(blob: bytes, unlock: Unlock, *, store_id: bytes) -> Keyring:
    """Return the root keyring out of an envelope.

    Raises:
        KeyStoreCorruptError: The envelope was altered, or belongs to another store.
        UnlockKindError: It opens with the other kind of key.
        WrongPassphraseError: The envelope is whole, and the passphrase is another one.
        WrongKeyFileError: The envelope is whole, and the key file is another one.
        KeyFileError: The key file cannot be used.
    """
    envelope = _parse(blob)
    is_passphrase = envelope.kind == _OPENS_WITH_PASSPHRASE
    if is_passphrase != isinstance(unlock, Passphrase):
        raise UnlockKindError("passphrase" if is_passphrase else "key file")
    key_encryption = _key_encryption(unlock, envelope.salt, envelope.cost)
    verifier = key_encryption.authenticate(envelope.prefix, Purpose.VERIFIER)
    if not hmac.compare_digest(verifier, envelope.verifier):
        raise WrongPassphraseError if is_passphrase else WrongKeyFileError
    sealer = key_encryption.sealer(Purpose.ROOT_KEY)
    try:
        root = Secret(sealer.open(envelope.sealed_root, associated=envelope.prefix + store_id))
    except SealBrokenError as error:
        raise KeyStoreCorruptError(Damage.HEADER) from error
    return Keyring(root)


def _key_encryption(unlock: Unlock, salt: bytes, cost: Argon2Cost) -> Keyring:
    match unlock:
        case Passphrase():
            return unlock.stretch(salt, cost)
        case KeyFile():
            return unlock.load()


def _parse(blob: bytes) -> _Envelope:
    if len(blob) != ENVELOPE_BYTES:
        raise KeyStoreCorruptError(Damage.HEADER)
    body, digest = blob[:-_DIGEST_BYTES], blob[-_DIGEST_BYTES:]
    if not hmac.compare_digest(hashlib.sha256(body).digest(), digest):
        raise KeyStoreCorruptError(Damage.HEADER)
    prefix = body[: _PREFIX.size]
    magic, kind, time_cost, memory_kib, parallelism, salt = _PREFIX.unpack(prefix)
    cost = Argon2Cost(time_cost, memory_kib, parallelism)
    is_known = (kind == _OPENS_WITH_PASSPHRASE and cost.is_sane()) or (
        kind == _OPENS_WITH_KEY_FILE and cost == _NO_COST
    )
    if magic != _MAGIC or not is_known:
        raise KeyStoreCorruptError(Damage.HEADER)
    verifier_end = _PREFIX.size + MAC_BYTES
    return _Envelope(
        prefix, kind, cost, salt, body[_PREFIX.size : verifier_end], body[verifier_end:]
    )

"""The header blob of a key store: how to get from a passphrase or key file to the root key.

    0    4   magic, "VKS1"; "VKS2" where there are several root keys
    4    1   what opens it: 1 passphrase, 2 key file, 3 PKCS#11 token
    5    4   Argon2id time cost      (0 but with a passphrase)
    9    4   Argon2id memory in KiB  (0 but with a passphrase)
    13   4   Argon2id parallelism    (0 but with a passphrase)
    17   16  salt; with a token, the id of its AES key
    33   32  verifier: HMAC of bytes 0..32 under the key-encryption key
    65   n   the root keys, sealed under the key-encryption key
    65+n 32  SHA-256 of all before it

Numbers are big-endian. The last field needs no key: it tells damage from a wrong passphrase.
Who can write the database can mend it, and then meets the verifier, which needs the key.
n is 61 with one root key, and 30 + 32 for each with several. Root keys are random; a new
passphrase re-seals this one value, and a rotation adds a root key to it.
"""

import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass
from typing import Final, NoReturn

from vending.keystore.errors import (
    Damage,
    KeyStoreCorruptError,
    SealBrokenError,
    UnlockKindError,
    WrongKeyFileError,
    WrongPassphraseError,
)
from vending.keystore.module_errors import TokenKeyMissingError
from vending.keystore.redaction import Secret
from vending.keystore.sealing import (
    KEY_BYTES,
    MAC_BYTES,
    ROOT_COUNT_MAX,
    SEAL_OVERHEAD_BYTES,
    Keyring,
    Purpose,
    associate,
    bundle_bytes,
)
from vending.keystore.unlocking import (
    SALT_BYTES,
    Argon2Cost,
    KeyFile,
    Passphrase,
    TokenUnlock,
    Unlock,
)

_MAGIC: Final = b"VKS1"
_MAGIC_OF_SEVERAL: Final = b"VKS2"
_PREFIX: Final = struct.Struct(f">4sBIII{SALT_BYTES}s")
_OPENS_WITH_PASSPHRASE: Final = 1
_OPENS_WITH_KEY_FILE: Final = 2
_OPENS_WITH_TOKEN: Final = 3
_NAMES: Final = {
    _OPENS_WITH_PASSPHRASE: "passphrase",
    _OPENS_WITH_KEY_FILE: "key file",
    _OPENS_WITH_TOKEN: "PKCS#11 token",
}
_NO_COST: Final = Argon2Cost(0, 0, 0)
_DIGEST_BYTES: Final = 32
_FIXED_BYTES: Final = _PREFIX.size + MAC_BYTES + SEAL_OVERHEAD_BYTES + _DIGEST_BYTES
ENVELOPE_BYTES: Final = _FIXED_BYTES + bundle_bytes(1)
"""Of a store that was never rotated."""


@dataclass(frozen=True, slots=True)
class _Envelope:
    prefix: bytes
    kind: int
    cost: Argon2Cost
    salt: bytes
    verifier: bytes
    sealed_root: bytes
    root_count: int


def wrap(root: Keyring, unlock: Unlock, *, store_id: bytes, cost: Argon2Cost) -> bytes:
    """Return the envelope that gives `root` to whoever holds `unlock`.

    `store_id` is bound to it; `cost` is used with a passphrase only.

    Raises:
        KeyFileError: The key file cannot be used.
        TokenDeviceError: The token cannot be used.
        ModuleUnavailableError: The token did not answer.
    """
    salt = unlock.new_salt() if isinstance(unlock, TokenUnlock) else secrets.token_bytes(SALT_BYTES)
    kind = _kind_of(unlock)
    written_cost = cost if kind == _OPENS_WITH_PASSPHRASE else _NO_COST
    prefix = _PREFIX.pack(
        _MAGIC if root.root_count == 1 else _MAGIC_OF_SEVERAL,
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
        TokenDeviceError: The token cannot be used, or is another one.
        ModuleUnavailableError: The token did not answer.
    """
    envelope = _parse(blob)
    if envelope.kind != _kind_of(unlock):
        raise UnlockKindError(_NAMES[envelope.kind])
    key_encryption = _key_encryption(unlock, envelope.salt, envelope.cost)
    verifier = key_encryption.authenticate(envelope.prefix, Purpose.VERIFIER)
    if not hmac.compare_digest(verifier, envelope.verifier):
        _refuse(unlock, envelope.salt)
    sealer = key_encryption.sealer(Purpose.ROOT_KEY)
    try:
        root = Secret(sealer.open(envelope.sealed_root, associated=envelope.prefix + store_id))
    except SealBrokenError as error:
        raise KeyStoreCorruptError(Damage.HEADER) from error
    return Keyring.from_bundle(root)


def describe_unlock(
    unlock: Unlock, message: bytes, *, salt: bytes, cost: Argon2Cost
) -> tuple[str, bytes]:
    """Return what kind of thing opens a store, and its HMAC of `message`.

    A token has no key before an envelope is made: its label stands for it.

    Raises:
        KeyFileError: The key file cannot be used.
    """
    name = _NAMES[_kind_of(unlock)]
    if isinstance(unlock, TokenUnlock):
        return name, associate(unlock.token.label, message)
    return name, _key_encryption(unlock, salt, cost).authenticate(message, Purpose.UNLOCK_CHANGE)


def root_count_of(blob: bytes) -> int:
    """Return how many root keys an envelope holds, as it says; its seal was not checked.

    Raises:
        KeyStoreCorruptError: It has the form of none.
    """
    return _parse(blob).root_count


def cost_of(blob: bytes) -> Argon2Cost:
    """Return what a guess of its passphrase costs, as the envelope says; zeros: a key file.

    Raises:
        KeyStoreCorruptError: It has the form of none.
    """
    return _parse(blob).cost


def _key_encryption(unlock: Unlock, salt: bytes, cost: Argon2Cost) -> Keyring:
    match unlock:
        case Passphrase():
            return unlock.stretch(salt, cost)
        case KeyFile():
            return unlock.load()
        case TokenUnlock():
            return unlock.derive(salt)


def _kind_of(unlock: Unlock) -> int:
    match unlock:
        case Passphrase():
            return _OPENS_WITH_PASSPHRASE
        case KeyFile():
            return _OPENS_WITH_KEY_FILE
        case TokenUnlock():
            return _OPENS_WITH_TOKEN


def _refuse(unlock: Unlock, salt: bytes) -> NoReturn:
    """Refuse what is of the right kind, and another one.

    Raises:
        WrongPassphraseError: It is a passphrase.
        WrongKeyFileError: It is a key file.
        TokenKeyMissingError: It is a token.
    """
    match unlock:
        case Passphrase():
            raise WrongPassphraseError
        case KeyFile():
            raise WrongKeyFileError
        case TokenUnlock():
            raise TokenKeyMissingError(salt.hex())


def _parse(blob: bytes) -> _Envelope:
    root_count = (len(blob) - _FIXED_BYTES) // KEY_BYTES
    if not 1 <= root_count <= ROOT_COUNT_MAX or (
        len(blob) != _FIXED_BYTES + bundle_bytes(root_count)
    ):
        raise KeyStoreCorruptError(Damage.HEADER)
    body, digest = blob[:-_DIGEST_BYTES], blob[-_DIGEST_BYTES:]
    if not hmac.compare_digest(hashlib.sha256(body).digest(), digest):
        raise KeyStoreCorruptError(Damage.HEADER)
    prefix = body[: _PREFIX.size]
    magic, kind, time_cost, memory_kib, parallelism, salt = _PREFIX.unpack(prefix)
    cost = Argon2Cost(time_cost, memory_kib, parallelism)
    is_known = (kind == _OPENS_WITH_PASSPHRASE and cost.is_sane()) or (
        kind in {_OPENS_WITH_KEY_FILE, _OPENS_WITH_TOKEN} and cost == _NO_COST
    )
    wanted_magic = _MAGIC if root_count == 1 else _MAGIC_OF_SEVERAL
    if magic != wanted_magic or not is_known:
        raise KeyStoreCorruptError(Damage.HEADER)
    verifier_end = _PREFIX.size + MAC_BYTES
    return _Envelope(
        prefix=prefix,
        kind=kind,
        cost=cost,
        salt=salt,
        verifier=body[_PREFIX.size : verifier_end],
        sealed_root=body[verifier_end:],
        root_count=root_count,
    )

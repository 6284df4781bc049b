"""Keys of custodians (X25519), and the content key of a backup wrapped for every two of them.

A key file is text, and useless without its passphrase:

    vending backup custodian, keep secret and keep it apart
    name anna
    public 64 digits
    argon2id 3 65536 4 salt 32 digits
    sealed 122 digits

A pair's key-encryption key is HKDF-SHA-256 (RFC 5869) over both X25519 secrets (RFC 7748) of one
ephemeral key, which is thrown away: nobody without the private keys of both computes it, the
machine that made the backup included.
"""

import os
import re
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vending.backups.errors import (
    CustodianKeyFileError,
    CustodianNameError,
    CustodianPassphraseError,
    CustodianPublicKeyError,
)
from vending.keystore.errors import SealBrokenError
from vending.keystore.redaction import Secret
from vending.keystore.sealing import KEY_BYTES, Purpose, Sealer, associate
from vending.keystore.unlocking import RECOMMENDED_COST, SALT_BYTES, Argon2Cost, Passphrase
from vending.sts.secrecy import Unshown

PUBLIC_KEY_BYTES: Final = 32
_PAIR_LABEL: Final = b"vending backup, version 1: pair of custodians"
_FIRST_LINE: Final = "vending backup custodian, keep secret and keep it apart"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_FORM: Final = re.compile(
    re.escape(_FIRST_LINE)
    + r"\nname ([A-Za-z0-9._-]{1,60})\npublic ([0-9a-f]{64})"
    + r"\nargon2id ([0-9]{1,4}) ([0-9]{1,9}) ([0-9]{1,3}) salt ([0-9a-f]{32})"
    + r"\nsealed ([0-9a-f]{122})\n"
)
_FILE_BYTES_MAX: Final = 1024

Pair = tuple[int, int]
"""Places of two custodians in the list of a backup, the lower first."""


class CustodianKey(Unshown):
    """The private key of one custodian, out of its file."""

    __slots__ = ("_private", "name", "public_key")

    def __init__(self, name: str, private: X25519PrivateKey) -> None:
        self.name = name
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()

    def agree(self, public_key: bytes) -> Secret:
        """Return the secret shared with the holder of the other key."""
        return _agree(self._private, public_key)

    def __repr__(self) -> str:
        return f"CustodianKey({self.name})"


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A content key as every pair of custodians finds it."""

    ephemeral: bytes
    pairs: Mapping[Pair, bytes]


def require_name(name: str) -> None:
    """Refuse a name that cannot be told from others.

    Raises:
        CustodianNameError: It is empty, too long, or holds other signs.
    """
    if _NAME.fullmatch(name) is None:
        raise CustodianNameError


def parse_public_key(text: str) -> bytes:
    """Return the public key that was printed as 64 hexadecimal digits.

    Raises:
        CustodianPublicKeyError: It is not one, or one with which nothing is secret.
    """
    try:
        public_key = bytes.fromhex(text)
    except ValueError as error:
        raise CustodianPublicKeyError from error
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise CustodianPublicKeyError
    _agree(X25519PrivateKey.generate(), public_key)
    return public_key


def create_key_file(
    path: Path, name: str, passphrase: Passphrase, *, cost: Argon2Cost = RECOMMENDED_COST
) -> bytes:
    """Write a fresh private key, sealed by the passphrase, with mode 0600; return its public key.

    Raises:
        CustodianNameError: The name cannot be used.
        CustodianKeyFileError: A file of that name exists, or the folder cannot be written.
    """
    require_name(name)
    private = X25519PrivateKey.generate()
    public_key = private.public_key().public_bytes_raw()
    salt = secrets.token_bytes(SALT_BYTES)
    sealer = passphrase.stretch(salt, cost).sealer(Purpose.CUSTODIAN_KEY)
    sealed = sealer.seal(private.private_bytes_raw(), associated=associate(name, public_key))
    numbers = f"{cost.time_cost} {cost.memory_kib} {cost.parallelism}"
    text = (
        f"{_FIRST_LINE}\nname {name}\npublic {public_key.hex()}\n"
        f"argon2id {numbers} salt {salt.hex()}\nsealed {sealed.hex()}\n"
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise CustodianKeyFileError(str(path), problem=problem) from error
    return public_key


def name_in_key_file(path: Path) -> str:
    """Return whose key a file holds, without opening it.

    Raises:
        CustodianKeyFileError: It is missing, open to others, or no key of a custodian.
    """
    return str(_read(path)[1])


def load_key_file(path: Path, passphrase: Passphrase) -> CustodianKey:
    """Return the private key out of its file.

    Raises:
        CustodianKeyFileError: It is missing, open to others, or no key of a custodian.
        CustodianPassphraseError: The passphrase is another one, or the file was altered.
    """
    found = _read(path)
    name, public_key = str(found[1]), bytes.fromhex(found[2])
    cost = Argon2Cost(int(found[3]), int(found[4]), int(found[5]))
    if not cost.is_sane():
        raise CustodianKeyFileError(str(path), problem="it is damaged")
    sealer = passphrase.stretch(bytes.fromhex(found[6]), cost).sealer(Purpose.CUSTODIAN_KEY)
    try:
        secret = Secret(
            sealer.open(bytes.fromhex(found[7]), associated=associate(name, public_key))
        )
    except SealBrokenError as error:
        raise CustodianPassphraseError(name) from error
    return CustodianKey(name, X25519PrivateKey.from_private_bytes(secret.reveal()))


def wrap(content_key: Secret, public_keys: Sequence[bytes], *, bound: bytes) -> WrappedKey:
    """Return the content key wrapped for every two of the public keys, and for no one alone."""
    once = X25519PrivateKey.generate()
    ephemeral = once.public_key().public_bytes_raw()
    shared = [_agree(once, public_key) for public_key in public_keys]
    pairs: dict[Pair, bytes] = {}
    for first, second in combinations(range(len(public_keys)), 2):
        ends = (ephemeral, public_keys[first], public_keys[second])
        sealer = _pair_sealer(shared[first], shared[second], ends)
        pairs[first, second] = sealer.seal(content_key.reveal(), associated=associate(bound, *ends))
    return WrappedKey(ephemeral, pairs)


def unwrap(
    wrapped: WrappedKey,
    public_keys: Sequence[bytes],
    holders: Sequence[CustodianKey],
    *,
    bound: bytes,
) -> Secret | None:
    """Return the content key by the first two holders for whom it was wrapped; None: no two.

    Raises:
        SealBrokenError: It was wrapped for two of them, and was altered.
        CustodianPublicKeyError: The ephemeral key was altered to one that protects nothing.
    """
    places = {key: place for place, key in enumerate(public_keys)}
    here = {places[each.public_key]: each for each in holders if each.public_key in places}
    for first, second in combinations(sorted(here), 2):
        sealed = wrapped.pairs.get((first, second))
        if sealed is None:
            continue
        ends = (wrapped.ephemeral, public_keys[first], public_keys[second])
        one, other = (here[place].agree(wrapped.ephemeral) for place in (first, second))
        opened = _pair_sealer(one, other, ends).open(sealed, associated=associate(bound, *ends))
        return Secret(opened)
    return None


def _agree(private: X25519PrivateKey, public_key: bytes) -> Secret:
    try:
        return Secret(private.exchange(X25519PublicKey.from_public_bytes(public_key)))
    except ValueError as error:  # a point of low order: the secret would be zero
        raise CustodianPublicKeyError from error


def _pair_sealer(first: Secret, second: Secret, ends: Sequence[bytes]) -> Sealer:
    derivation = HKDF(
        algorithm=SHA256(),
        length=KEY_BYTES,
        salt=None,
        info=_PAIR_LABEL + associate(*ends),
    )
    return Sealer(Secret(derivation.derive(first.reveal() + second.reveal())), Purpose.BACKUP_KEY)


def _read(path: Path) -> re.Match[str]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_FILE_BYTES_MAX) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise CustodianKeyFileError(str(path), problem=problem) from error
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        raise CustodianKeyFileError(str(path), problem=f"mode {mode} lets others in; set 0600")
    found = _FORM.fullmatch(content.decode("ascii", "replace"))
    if found is None:
        raise CustodianKeyFileError(str(path), problem="it is no key of a custodian, or damaged")
    return found

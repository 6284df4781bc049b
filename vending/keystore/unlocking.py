"""What opens a key store: a passphrase (Argon2id), a key file of 32 bytes, or a PKCS#11 token."""

import os
import secrets
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from argon2.low_level import Type, hash_secret_raw

from vending.keystore.errors import KeyFileError, WeakPassphraseError
from vending.keystore.pkcs11 import PKCS11Token
from vending.keystore.redaction import Secret
from vending.keystore.sealing import KEY_BYTES, Keyring

SALT_BYTES: Final = 16
PASSPHRASE_LENGTH_MIN: Final = 12

# Bounds of what a header may ask for: an altered header must not tie up the machine.
_TIME_COST_MAX: Final = 64
_MEMORY_KIB_MAX: Final = 1024 * 1024
_PARALLELISM_MAX: Final = 16
_MEMORY_KIB_PER_LANE_MIN: Final = 8


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """How dear one guess of the passphrase is; kept in the header of the store."""

    time_cost: int
    memory_kib: int
    parallelism: int

    def is_sane(self) -> bool:
        """Say whether Argon2id takes these numbers, and this machine can afford them."""
        return (
            1 <= self.time_cost <= _TIME_COST_MAX
            and 1 <= self.parallelism <= _PARALLELISM_MAX
            and self.parallelism * _MEMORY_KIB_PER_LANE_MIN <= self.memory_kib <= _MEMORY_KIB_MAX
        )


RECOMMENDED_COST: Final = Argon2Cost(time_cost=3, memory_kib=64 * 1024, parallelism=4)
"""The second recommended choice of RFC 9106, section 4: about a quarter of a second."""


class Passphrase:
    """A passphrase as typed, brought to one Unicode form (NFKC), never shown.

    Raises:
        WeakPassphraseError: It is shorter than 12 characters, or no text.
    """

    __slots__ = ("_secret",)

    def __init__(self, text: str) -> None:
        # Bytes of another encoding come as halves of characters; an encoder's error would hold all.
        is_text = not any("\ud800" <= character <= "\udfff" for character in text)
        if len(text) < PASSPHRASE_LENGTH_MIN or not is_text:
            text = ""  # a traceback that shows this frame shows no passphrase
            raise WeakPassphraseError(PASSPHRASE_LENGTH_MIN)
        self._secret = Secret(unicodedata.normalize("NFKC", text).encode())

    def stretch(self, salt: bytes, cost: Argon2Cost) -> Keyring:
        """Return the keyring under the Argon2id hash of the passphrase."""
        digest = Secret(
            hash_secret_raw(
                self._secret.reveal(),
                salt,
                time_cost=cost.time_cost,
                memory_cost=cost.memory_kib,
                parallelism=cost.parallelism,
                hash_len=KEY_BYTES,
                type=Type.ID,
            )
        )
        return Keyring(digest)

    def __repr__(self) -> str:
        return "Passphrase(***)"


class KeyFile:
    """A file that holds 32 random bytes and that only its owner may read."""

    __slots__ = ("_held", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: Keyring | None = None

    @classmethod
    def create(cls, path: Path) -> "KeyFile":
        """Write a fresh key file with mode 0600 and return it.

        Raises:
            KeyFileError: A file of that name exists, or the folder cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise KeyFileError(str(path), problem=_reason(error)) from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        return cls(path)

    def load(self) -> Keyring:
        """Return the keyring under the bytes of the file.

        Raises:
            KeyFileError: It is missing, not a plain file, open to others, or not 32 bytes long.
        """
        return self._held or self._read()

    def held(self) -> "KeyFile":
        """Return the key file as it is now, whatever is written to it meanwhile.

        Raises:
            KeyFileError: The key file cannot be used.
        """
        held = KeyFile(self.path)
        held._held = self.load()  # of our own class
        return held

    def _read(self) -> Keyring:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise KeyFileError(str(self.path), problem=_reason(error)) from error
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(str(self.path), problem="it is not a plain file")
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                mode = f"{stat.S_IMODE(status.st_mode):04o}"
                raise KeyFileError(str(self.path), problem=f"mode {mode} lets others in; set 0600")
            secret = Secret(file.read(KEY_BYTES + 1))
        if len(secret) != KEY_BYTES:
            raise KeyFileError(str(self.path), problem=f"it does not hold {KEY_BYTES} bytes")
        return Keyring(secret)

    def __repr__(self) -> str:
        return f"KeyFile({str(self.path)!r})"


class TokenUnlock:
    """A PKCS#11 token, which makes an AES key for each envelope and computes from it."""

    __slots__ = ("token",)

    def __init__(self, token: PKCS11Token) -> None:
        self.token = token

    def new_salt(self) -> bytes:
        """Make the key of a fresh envelope in the token, and return its id.

        Raises:
            TokenDeviceError: The token cannot be used.
            ModuleUnavailableError: The token did not answer.
        """
        return self.token.make_root_key()

    def derive(self, salt: bytes) -> Keyring:
        """Return the keyring that the key of this id gives.

        Raises:
            TokenKeyMissingError: The token does not hold the key.
            TokenDeviceError: The token cannot be used.
            ModuleUnavailableError: The token did not answer.
        """
        return self.token.derive_root(salt)

    def __repr__(self) -> str:
        return f"TokenUnlock({self.token!r})"


Unlock = Passphrase | KeyFile | TokenUnlock


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__

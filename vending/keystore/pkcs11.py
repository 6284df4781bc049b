"""A PKCS#11 token: keys go in and never come out; the token computes with them.

A wrong PIN is tried once, and none when the next wrong one would lock the token. A session that
ended, because the token was restarted or unplugged, is opened again, once a request. Of our two
kinds of keys, a vending key may authenticate messages (HMAC-SHA-256) and a root key may
(AES-CMAC), and neither anything else.

The package python-pkcs11 comes with the extra `pkcs11`; without it every use is refused by name.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

from vending.keystore.errors import ModuleUnavailableError
from vending.keystore.model import IN_TOKEN, TOKEN_KEY_ID_BYTES
from vending.keystore.module_errors import (
    TokenKeyMissingError,
    TokenLibraryError,
    TokenMissingError,
    TokenPinError,
)
from vending.keystore.redaction import Secret
from vending.keystore.sealing import KEY_BYTES, Keyring
from vending.sts.keys import KeyAttributes, KeyDerivation

try:
    import pkcs11 as cryptoki
    from pkcs11.exceptions import (
        NoSuchKey,
        PinExpired,
        PinIncorrect,
        PinInvalid,
        PinLenRange,
        PinLocked,
        PKCS11Error,
        UserAlreadyLoggedIn,
        UserPinNotInitialized,
    )
    from pkcs11.types import SignMixin
except ModuleNotFoundError:  # the extra is not installed; `PKCS11Token` says so
    HAS_PKCS11 = False
else:
    HAS_PKCS11 = True

if TYPE_CHECKING:
    from pkcs11 import Session

Answer = TypeVar("Answer")

HMAC_KEY_BYTES: Final = 64
"""HMAC pads a key with zeros to the block of its hash. SoftHSM refuses one under 32 bytes, and a
vending key has 20; padded here the code is the same."""
ROOT_LABEL: Final = "vending key store"
_CMAC_BYTES: Final = 16


class PKCS11Token:
    """One token, with one session that is opened when it is needed; safe between threads."""

    def __init__(self, library: Path, label: str, pin: Secret) -> None:
        self.label = label
        self._library = library
        self._pin = pin
        self._lock = Lock()
        self._session: Session | None = None
        self._keys: dict[bytes, SignMixin] = {}
        self._refusal: str | None = None

    def require_present(self) -> None:
        """Open the token, if it was not.

        Raises:
            TokenDeviceError: The token cannot be used.
            ModuleUnavailableError: The token did not answer.
        """
        self._use(lambda session: session)

    def store_key(self, attributes: KeyAttributes, secret: Secret) -> Secret:
        """Put a vending key into the token, and return what the key store seals in its place.

        Raises:
            TokenDeviceError: The token cannot be used.
            ModuleUnavailableError: The token did not answer.
        """
        if attributes.dkga is not KeyDerivation.DKGA04:
            return secret
        key_id = secrets.token_bytes(TOKEN_KEY_ID_BYTES)
        label = f"vending key {attributes.sgc}/{attributes.krn}/{attributes.kt.name}"
        self._use(lambda session: _create_hmac_key(session, secret, key_id=key_id, label=label))
        return Secret(IN_TOKEN + key_id)

    def authenticate(self, key_id: bytes, message: bytes) -> bytes:
        """Return the HMAC-SHA-256 of a message under a key of the token, 32 bytes.

        Raises:
            TokenKeyMissingError: The token does not hold the key.
            TokenDeviceError: The token cannot be used.
            ModuleUnavailableError: The token did not answer.
        """
        return self._use(lambda session: _authenticate(self._key(session, key_id), message))

    def make_root_key(self) -> bytes:
        """Make a fresh AES key in the token, for one key store, and return its id.

        Raises:
            TokenDeviceError: The token cannot be used.
            ModuleUnavailableError: The token did not answer.
        """
        key_id = secrets.token_bytes(TOKEN_KEY_ID_BYTES)
        self._use(lambda session: _generate_root_key(session, key_id=key_id))
        return key_id

    def derive_root(self, key_id: bytes) -> Keyring:
        """Return the keyring that an AES key of the token gives (SP 800-108, counter mode, CMAC).

        Raises:
            TokenKeyMissingError: The token does not hold the key.
            TokenDeviceError: The token cannot be used.
            ModuleUnavailableError: The token did not answer.
        """
        return self._use(lambda session: _derive_root(self._key(session, key_id), key_id))

    def close(self) -> None:
        """End the session."""
        with self._lock:
            self._forget()

    def _use(self, work: Callable[["Session"], Answer]) -> Answer:
        """Do something in a session; in a new one when the old one turns out to have ended.

        Raises:
            TokenPinError: The token refused the PIN, now or before.
            TokenLibraryError: The library cannot be loaded.
            TokenMissingError: There is no such token.
            TokenKeyMissingError: The token does not hold the key.
            ModuleUnavailableError: The token did not answer.
        """
        with self._lock:
            had_session = self._session is not None
            try:
                return self._try(work)
            except ModuleUnavailableError:
                self._forget()
                if not had_session:
                    raise
            return self._try(work)

    def _try(self, work: Callable[["Session"], Answer]) -> Answer:
        if not HAS_PKCS11:
            problem = "the Python package python-pkcs11 is not installed"
            raise TokenLibraryError(problem)
        session = self._session or self._open()
        try:
            return work(session)
        except PKCS11Error as error:
            raise ModuleUnavailableError from error

    def _open(self) -> "Session":
        if self._refusal is not None:
            raise TokenPinError(self._refusal)
        try:
            library = cryptoki.lib(str(self._library))
            found = list(library.get_tokens(token_label=self.label))
        except PKCS11Error as error:
            raise TokenLibraryError(str(error) or type(error).__name__) from error
        if len(found) != 1:
            raise TokenMissingError(self.label, count=len(found))
        if found[0].flags & cryptoki.TokenFlag.USER_PIN_FINAL_TRY:
            # A service that is started again and again would be the one to lock it.
            self._refusal = "one more wrong PIN would lock it; log in once with its own tool"
            raise TokenPinError(self._refusal)
        try:
            self._session = found[0].open(rw=True, user_pin=self._pin.reveal().decode())
        except UserAlreadyLoggedIn:
            self._session = found[0].open(rw=True)
        except (
            PinExpired,
            PinIncorrect,
            PinInvalid,
            PinLenRange,
            PinLocked,
            UserPinNotInitialized,
        ) as error:
            self._refusal = type(error).__name__
            # Not `from error`: nothing of the call that held the PIN goes along.
            raise TokenPinError(self._refusal) from None
        except PKCS11Error as error:
            raise ModuleUnavailableError from error
        return self._session

    def _key(self, session: "Session", key_id: bytes) -> "SignMixin":
        held = self._keys.get(key_id)
        if held is not None:
            return held
        try:
            found = session.get_key(object_class=cryptoki.ObjectClass.SECRET_KEY, id=key_id)
        except NoSuchKey as error:
            raise TokenKeyMissingError(key_id.hex()) from error
        assert isinstance(found, SignMixin), "a secret key signs"
        self._keys[key_id] = found
        return found

    def _forget(self) -> None:
        session, self._session = self._session, None
        self._keys.clear()
        if session is not None:
            try:
                session.close()
            except PKCS11Error:
                return  # it had ended

    def __repr__(self) -> str:
        return f"PKCS11Token({self.label!r})"


def _authenticate(key: "SignMixin", message: bytes) -> bytes:
    return key.sign(message, mechanism=cryptoki.Mechanism.SHA256_HMAC)


def _create_hmac_key(session: "Session", secret: Secret, *, key_id: bytes, label: str) -> None:
    """Put a vending key into the token, where it may sign and nothing else."""
    session.create_object(
        {
            cryptoki.Attribute.CLASS: cryptoki.ObjectClass.SECRET_KEY,
            cryptoki.Attribute.KEY_TYPE: cryptoki.KeyType.GENERIC_SECRET,
            cryptoki.Attribute.VALUE: secret.reveal().ljust(HMAC_KEY_BYTES, b"\0"),
            cryptoki.Attribute.ID: key_id,
            cryptoki.Attribute.LABEL: label,
            cryptoki.Attribute.TOKEN: True,
            cryptoki.Attribute.PRIVATE: True,
            cryptoki.Attribute.SENSITIVE: True,
            cryptoki.Attribute.EXTRACTABLE: False,
            cryptoki.Attribute.SIGN: True,
            cryptoki.Attribute.VERIFY: False,
            cryptoki.Attribute.ENCRYPT: False,
            cryptoki.Attribute.DECRYPT: False,
            cryptoki.Attribute.WRAP: False,
            cryptoki.Attribute.UNWRAP: False,
            cryptoki.Attribute.DERIVE: False,
        }
    )


def _generate_root_key(session: "Session", *, key_id: bytes) -> None:
    session.generate_key(
        cryptoki.KeyType.AES,
        8 * KEY_BYTES,
        id=key_id,
        label=ROOT_LABEL,
        store=True,
        capabilities=cryptoki.MechanismFlag.SIGN,
        template={
            cryptoki.Attribute.PRIVATE: True,
            cryptoki.Attribute.SENSITIVE: True,
            cryptoki.Attribute.EXTRACTABLE: False,
        },
    )


def _derive_root(key: "SignMixin", context: bytes) -> Keyring:
    """Return K(1) | K(2), where K(i) is the CMAC of i, label, 0, context and length in bits."""
    bit_count = (8 * KEY_BYTES).to_bytes(4)
    blocks = [
        key.sign(
            counter.to_bytes(4) + ROOT_LABEL.encode() + b"\0" + context + bit_count,
            mechanism=cryptoki.Mechanism.AES_CMAC,
        )
        for counter in range(1, KEY_BYTES // _CMAC_BYTES + 1)
    ]
    return Keyring(Secret(b"".join(blocks)))

"""An open key store: sealed rows that were seen to be whole, and the key that opens them."""

import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from vending.keystore import envelope
from vending.keystore.errors import (
    Damage,
    KeyNotFoundError,
    KeyStoreCorruptError,
    SealBrokenError,
)
from vending.keystore.generation import Generation, GenerationFile
from vending.keystore.model import (
    IN_TOKEN,
    TOKEN_KEY_ID_BYTES,
    HeaderRow,
    KeyDescription,
    KeyReference,
    KeyRow,
    to_microseconds,
)
from vending.keystore.module_errors import KeyInTokenError
from vending.keystore.redaction import Secret
from vending.keystore.sealing import Keyring, Purpose, Sealer, associate
from vending.keystore.translation import guarded
from vending.keystore.unlocking import SALT_BYTES, Argon2Cost, Unlock
from vending.sts.keys import KeyAttributes, VendingKey

LENT_PURPOSES: Final = frozenset(
    {
        Purpose.ISSUED_TOKENS,
        Purpose.STORED_ANSWERS,
        Purpose.OPERATOR_SECRETS,
        Purpose.AUDIT_KEYS,
        Purpose.CEREMONY_COMPONENTS,
    }
)
"""What other features may seal under the store's root key."""

Keeper = Callable[[KeyAttributes, Secret], Secret]
"""Puts a vending key where it stays, and returns what the store seals in its place."""


def keep_in_store(attributes: KeyAttributes, secret: Secret) -> Secret:
    """Keep a vending key in the store itself, sealed."""
    del attributes
    return secret


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of a store that fails its check."""

    damage: Damage
    register: str | None
    """The key that is concerned, as its row names it; `None` for the store as a whole."""


class OpenKeyStore:
    """One generation of a store, verified when it was made; never changed afterwards.

    Keys stay sealed in it. `vending_key` opens one for a security module in this process;
    nothing else may call it.
    """

    __slots__ = (
        "_header",
        "_keeper",
        "_keyring",
        "_keys",
        "_unlock",
        "_vending_key_sealer",
        "generation_file",
    )

    def __init__(
        self,
        keyring: Keyring,
        header: HeaderRow,
        rows: Sequence[KeyRow],
        file: GenerationFile,
        *,
        keeper: Keeper = keep_in_store,
        unlock: Unlock | None = None,
    ) -> None:
        self._keyring = keyring
        self._keeper = keeper
        self._unlock = unlock
        self._header = header
        self._vending_key_sealer = keyring.sealer(Purpose.VENDING_KEYS)
        self.generation_file = file
        findings = list_findings(keyring, header, rows)
        if findings:
            raise KeyStoreCorruptError(findings[0].damage, register=findings[0].register)
        self._keys: Mapping[KeyReference, tuple[KeyRow, KeyDescription]] = MappingProxyType(
            {shown.register: (row, shown) for row in rows for shown in [row.describe()]}
        )

    def with_keeper(self, keeper: Keeper) -> "OpenKeyStore":
        """Return the same store, which keeps the keys it takes in from now on elsewhere."""
        return OpenKeyStore(
            self._keyring,
            self._header,
            self._rows(),
            self.generation_file,
            keeper=keeper,
            unlock=self._unlock,
        )

    @property
    def generation(self) -> Generation:
        """Return which state of which store this is."""
        return generation_of(self._header)

    def require_newest(self, held: bytes | None) -> None:
        """Hold this generation against what the companion file held before the rows were read.

        Raises:
            GenerationUnknownError: There was no file.
            KeyStoreCorruptError: The file was altered, or is newer.
            GenerationFileError: The data folder cannot be written.
        """
        self.generation_file.check(held, self.generation, self._keyring)

    def record_generation(self) -> None:
        """Write this generation to the companion file, unless a newer one is there."""
        self.generation_file.advance(self.generation, self._keyring)

    def adopt_generation(self) -> None:
        """Write this generation to the companion file, whatever it held."""
        self.generation_file.overwrite(self.generation, self._keyring)

    def list_keys(self) -> list[KeyDescription]:
        """Return every key without its material, in the order of its register."""
        return [self._keys[register][1] for register in sorted(self._keys)]

    def find(self, register: KeyReference) -> KeyDescription | None:
        """Return what may be shown of a key; `None` when the store has none of that name."""
        found = self._keys.get(register)
        return None if found is None else found[1]

    def describe(self, register: KeyReference) -> KeyDescription:
        """Return what may be shown of a key.

        Raises:
            KeyNotFoundError: The store has none of that name.
        """
        return self._load(register)[1]

    def sealer(self, purpose: Purpose) -> Sealer:
        """Return the sealer for issued tokens, stored answers or secrets of operators."""
        assert purpose in LENT_PURPOSES, "keys have their own"
        return self._keyring.sealer(purpose)

    def export_root(self, sealer: Sealer) -> bytes:
        """Return the root key sealed for a backup; see `vending.keystore.recovery`."""
        return self._keyring.wrap_root(sealer, associated=root_in_backup(self._header.store_id))

    def vending_key(self, register: KeyReference) -> VendingKey:
        """Return the key itself, for arithmetic inside shielded frames.

        Raises:
            KeyNotFoundError: The store has none of that name.
            KeyInTokenError: It lies in a PKCS#11 token.
            KeyStoreCorruptError: Its seal is broken.
        """
        row, shown = self._load(register)
        opened = self._open(row, shown)
        if _token_key_id(opened) is not None:
            raise KeyInTokenError(str(register))
        return _as_key(row, opened)

    def token_key_id(self, register: KeyReference) -> bytes | None:
        """Return the id of the key's object in a PKCS#11 token; `None`: it lies in the store.

        Raises:
            KeyNotFoundError: The store has none of that name.
            KeyStoreCorruptError: Its seal is broken.
        """
        row, shown = self._load(register)
        return _token_key_id(self._open(row, shown))

    def seal_key(
        self,
        attributes: KeyAttributes,
        secret: Secret,
        *,
        check_value: str,
        component_count: int,
        is_demo: bool,
        at: datetime,
    ) -> KeyRow:
        """Return the row of a key, sealed to its attributes and to this store.

        Where keys are kept elsewhere, it goes there now, and its place is what is sealed.
        """
        blank = KeyRow(
            sgc=int(attributes.sgc),
            krn=attributes.krn,
            kt=attributes.kt.value,
            ken=attributes.ken,
            base_year=attributes.base_date.value,
            dkga=attributes.dkga.value,
            is_demo=int(is_demo),
            component_count=component_count,
            check_value=bytes.fromhex(check_value),
            imported_at_us=to_microseconds(at),
            retired_at_us=None,
            sealed=b"",
        )
        return self._sealed(blank, self._keeper(attributes, secret))

    def retired_row(self, register: KeyReference, *, at: datetime) -> KeyRow:
        """Return the row of a key as it is once retired, sealed anew to that attribute.

        Raises:
            KeyNotFoundError: The store has none of that name.
        """
        row, _ = self._load(register)
        store_id = self._header.store_id
        secret = Secret(
            self._vending_key_sealer.open(row.sealed, associated=row.associated(store_id))
        )
        return self._sealed(replace(row, retired_at_us=to_microseconds(at)), secret)

    def header_with(self, row: KeyRow) -> HeaderRow:
        """Return the header of the next generation, in which `row` is new or replaces its old."""
        name = (row.sgc, row.krn, row.kt)
        others = [old for old in self._rows() if (old.sgc, old.krn, old.kt) != name]
        return self._next_header([*others, row], self._header.envelope, self._keyring)

    def header_under(self, unlock: Unlock, cost: Argon2Cost) -> HeaderRow:
        """Return the header of the next generation, which opens with `unlock`.

        Raises:
            KeyFileError: The key file cannot be used.
        """
        return self._next_header(
            self._rows(), self._wrap(self._keyring, unlock, cost), self._keyring
        )

    def describe_change_to(self, unlock: Unlock, cost: Argon2Cost) -> tuple[str, str]:
        """Return what kind of thing `unlock` is, and a digest of exactly this change to it.

        The digest differs with the passphrase or key file, and with what opens the store at
        present. It is made under the root key, of a stretched passphrase under a salt that
        nobody else knows: who sees it can test no guess.

        Raises:
            KeyFileError: The key file cannot be used.
        """
        present = associate("unlock change", self._header.store_id, self._header.envelope)
        salt = self._keyring.authenticate(present, Purpose.UNLOCK_CHANGE)[:SALT_BYTES]
        kind, proof = envelope.describe_unlock(unlock, present, salt=salt, cost=cost)
        digest = self._keyring.authenticate(associate(present, kind, proof), Purpose.UNLOCK_CHANGE)
        return kind, digest.hex()

    @property
    def root_count(self) -> int:
        """Return how many root keys the store knows."""
        return self._keyring.root_count

    @property
    def active_root(self) -> int:
        """Return the version of the root key that seals; the newest unless a rotation is on."""
        return self._keyring.active

    def header_with_next_root(self) -> HeaderRow:
        """Return the header of the next generation, which brings a root key that seals nothing yet.

        Raises:
            KeyFileError: The key file cannot be used.
        """
        return self._header_of_keyring(self._rows(), self._keyring.with_next_root())

    def with_newest_root(self) -> tuple[HeaderRow, list[KeyRow]]:
        """Return the next generation: its header, and every key sealed under the newest root key.

        Raises:
            KeyFileError: The key file cannot be used.
        """
        rotated = self._keyring.with_newest_active()
        sealer = rotated.sealer(Purpose.VENDING_KEYS)
        store_id = self._header.store_id
        rows = [_resealed(row, store_id, self._vending_key_sealer, sealer) for row in self._rows()]
        return self._header_of_keyring(rows, rotated), rows

    def under(self, unlock: Unlock) -> "OpenKeyStore":
        """Return the same store, which opens again with `unlock` when its root keys change."""
        return OpenKeyStore(
            self._keyring,
            self._header,
            self._rows(),
            self.generation_file,
            keeper=self._keeper,
            unlock=unlock,
        )

    def reread(self, header: HeaderRow, rows: Sequence[KeyRow]) -> "OpenKeyStore":
        """Return the store as these rows of the database have it now.

        Root keys that a rotation brought are taken over, by this store and all its sealers too.

        Raises:
            KeyStoreCorruptError: They are damaged, of another store, or older than this.
            WrongPassphraseError: Root keys were rotated, and the passphrase changed as well.
            WrongKeyFileError: Root keys were rotated, and the key file changed as well.
            UnlockKindError: Root keys were rotated, and what opens the store changed as well.
            KeyFileError: Root keys were rotated, and the key file cannot be used.
        """
        if header.store_id != self._header.store_id:
            raise KeyStoreCorruptError(Damage.HEADER)
        keyring = self._keyring_of(header, rows)
        present = self._with(keyring, header, rows)
        if header.generation < self._header.generation:
            raise KeyStoreCorruptError(Damage.ROLLED_BACK)
        if keyring is self._keyring:
            return present
        if not self._keyring.is_continued_by(keyring):
            raise KeyStoreCorruptError(Damage.HEADER)
        self._keyring.take_over(keyring)
        return self._with(self._keyring, header, rows)

    def _with(self, keyring: Keyring, header: HeaderRow, rows: Sequence[KeyRow]) -> "OpenKeyStore":
        return OpenKeyStore(
            keyring, header, rows, self.generation_file, keeper=self._keeper, unlock=self._unlock
        )

    def _keyring_of(self, header: HeaderRow, rows: Sequence[KeyRow]) -> Keyring:
        """Return our keyring, or the one in the header where a rotation has changed it."""
        if self._unlock is None or header.envelope == self._header.envelope:
            return self._keyring
        is_same_count = envelope.root_count_of(header.envelope) == self._keyring.root_count
        if is_same_count and _has_manifest(self._keyring, header, rows):
            return self._keyring  # it opens with something else now, and holds the same
        return envelope.unwrap(header.envelope, self._unlock, store_id=header.store_id)

    def _header_of_keyring(self, rows: Iterable[KeyRow], keyring: Keyring) -> HeaderRow:
        assert self._unlock is not None, "a store that was opened knows what opens it"
        cost = envelope.cost_of(self._header.envelope)
        return self._next_header(rows, self._wrap(keyring, self._unlock, cost), keyring)

    def _wrap(self, keyring: Keyring, unlock: Unlock, cost: Argon2Cost) -> bytes:
        return envelope.wrap(keyring, unlock, store_id=self._header.store_id, cost=cost)

    def _next_header(self, rows: Iterable[KeyRow], wrapped: bytes, keyring: Keyring) -> HeaderRow:
        following = replace(
            self._header, envelope=wrapped, generation=self._header.generation + 1, manifest=b""
        )
        return with_manifest(keyring, following, rows)

    def _sealed(self, blank: KeyRow, secret: Secret) -> KeyRow:
        associated = blank.associated(self._header.store_id)
        sealed = self._vending_key_sealer.seal(secret.reveal(), associated=associated)
        return replace(blank, sealed=sealed)

    def _open(self, row: KeyRow, shown: KeyDescription) -> Secret:
        try:
            return _opened(row, self._header.store_id, self._vending_key_sealer)
        except SealBrokenError as error:
            raise KeyStoreCorruptError(Damage.RECORD, register=str(shown.register)) from error

    def _rows(self) -> list[KeyRow]:
        return [row for row, _ in self._keys.values()]

    def _load(self, register: KeyReference) -> tuple[KeyRow, KeyDescription]:
        found = self._keys.get(register)
        if found is None:
            raise KeyNotFoundError(str(register))
        return found

    def __repr__(self) -> str:
        return f"OpenKeyStore(generation {self._header.generation}, {len(self._keys)} keys)"


def generation_of(header: HeaderRow) -> Generation:
    """Return which state of which store a header is of."""
    return Generation(header.store_id, header.generation, header.manifest)


def root_in_backup(store_id: bytes) -> bytes:
    """Return what the root key in a backup is bound to."""
    return associate("root key in a backup", store_id)


def with_manifest(keyring: Keyring, header: HeaderRow, rows: Iterable[KeyRow]) -> HeaderRow:
    """Return the header with the manifest over itself and all keys."""
    return replace(header, manifest=keyring.authenticate(header.message(rows), Purpose.HEADER))


def list_findings(keyring: Keyring, header: HeaderRow, rows: Sequence[KeyRow]) -> list[Finding]:
    """Return every part that fails its check: each key by itself, then the store as a whole."""
    sealer = keyring.sealer(Purpose.VENDING_KEYS)
    findings = [
        Finding(Damage.RECORD, row.name)
        for row in rows
        if not _is_whole(row, header.store_id, sealer)
    ]
    if not _has_manifest(keyring, header, rows):
        findings.append(Finding(Damage.MANIFEST, None))
    return findings


def _has_manifest(keyring: Keyring, header: HeaderRow, rows: Sequence[KeyRow]) -> bool:
    return hmac.compare_digest(with_manifest(keyring, header, rows).manifest, header.manifest)


@guarded
def _resealed(row: KeyRow, store_id: bytes, opener: Sealer, sealer: Sealer) -> KeyRow:
    associated = row.associated(store_id)
    secret = Secret(opener.open(row.sealed, associated=associated))
    return replace(row, sealed=sealer.seal(secret.reveal(), associated=associated))


def _is_whole(row: KeyRow, store_id: bytes, sealer: Sealer) -> bool:
    try:
        opened = _opened(row, store_id, sealer)
        # The seal first: only of a row that it vouches for may the attributes be parsed.
        if _token_key_id(opened) is None:
            _as_key(row, opened)
    except SealBrokenError:
        return False
    return True


@guarded
def _opened(row: KeyRow, store_id: bytes, sealer: Sealer) -> Secret:
    return Secret(sealer.open(row.sealed, associated=row.associated(store_id)))


@guarded
def _as_key(row: KeyRow, opened: Secret) -> VendingKey:
    return VendingKey(row.attributes(), opened.reveal())


def _token_key_id(opened: Secret) -> bytes | None:
    """Return the id of an object in a token, when that is what was sealed."""
    if len(opened) != len(IN_TOKEN) + TOKEN_KEY_ID_BYTES:
        return None
    return opened.reveal().removeprefix(IN_TOKEN)

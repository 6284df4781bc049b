"""Makes, opens, checks and changes the key store: what `vending keys` calls.

Every change is one transaction that holds the header, verifies all that is stored, writes the
next generation, and commits; then the companion file follows.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from vending.keystore import envelope, repository
from vending.keystore.components import KeyImport, combine
from vending.keystore.errors import (
    Damage,
    KeyExistsError,
    KeyStoreCorruptError,
    KeyStoreMissingError,
    RootCountError,
)
from vending.keystore.generation import GenerationFile
from vending.keystore.model import HeaderRow, KeyDescription, KeyReference, KeyRow, to_microseconds
from vending.keystore.sealing import ROOT_COUNT_MAX, Keyring
from vending.keystore.store import Finding, OpenKeyStore, list_findings, with_manifest
from vending.keystore.unlocking import RECOMMENDED_COST, Argon2Cost, Unlock
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.persistence.engine import Database
from vending.values.actor import Actor
from vending.values.clock import Clock

_STORE_ID_BYTES: Final = 16
KEY_STORE: Final = "key-store"
"""Subject of what concerns the store as a whole, in the audit log."""

Within = Callable[[Connection], None]
"""What else happens in the transaction of a change, before it; may refuse it."""


def nothing_more(connection: Connection) -> None:
    """Do nothing more in the transaction."""
    del connection


Allowing = Callable[[Connection, OpenKeyStore], None]
"""What happens in the transaction of a change that depends on the store as it is then."""


def allow_any(connection: Connection, present: OpenKeyStore) -> None:
    """Refuse nothing."""
    del connection, present


def create_store(
    database: Database,
    unlock: Unlock,
    *,
    data_folder: Path,
    clock: Clock,
    cost: Argon2Cost = RECOMMENDED_COST,
) -> OpenKeyStore:
    """Make an empty key store, once for a database, and return it open.

    Raises:
        KeyStoreExistsError: There is one already.
        KeyStoreCorruptError: Traces of one are left: keys without a header, or a generation file.
        KeyFileError: The key file cannot be used.
    """
    file = GenerationFile(data_folder)
    keyring = Keyring.generate()
    store_id = secrets.token_bytes(_STORE_ID_BYTES)
    blank = HeaderRow(
        store_id=store_id,
        envelope=envelope.wrap(keyring, unlock, store_id=store_id, cost=cost),
        generation=1,
        created_at_us=to_microseconds(clock.now()),
        manifest=b"",
    )
    header = with_manifest(keyring, blank, [])
    with database.unit_of_work() as uow:
        repository.insert_header(uow.connection, header)
        _require_no_traces(uow.connection, file)
        uow.commit()
    store = OpenKeyStore(keyring, header, [], file, unlock=unlock)
    store.record_generation()
    return store


def open_store(database: Database, unlock: Unlock, *, data_folder: Path) -> OpenKeyStore:
    """Return the key store, verified in every part.

    Raises:
        KeyStoreMissingError: None was made.
        KeyStoreCorruptError: It was damaged, tampered with or rolled back.
        GenerationUnknownError: The companion file is missing.
        GenerationFileError: The data folder cannot be read or written.
        WrongPassphraseError: It is whole, and the passphrase is another one.
        WrongKeyFileError: It is whole, and the key file is another one.
        UnlockKindError: It opens with the other kind of key.
        KeyFileError: The key file cannot be used.
    """
    file = GenerationFile(data_folder)
    held = file.read()
    store = _open(database, unlock, file)
    store.require_newest(held)
    return store


def adopt_generation(database: Database, unlock: Unlock, *, data_folder: Path) -> OpenKeyStore:
    """Accept the store as the newest this machine knows, and return it open.

    For a new machine, and after an operator restored an older backup on purpose. It is the one
    way past the detection of roll-back, and wants the passphrase or key file like any other.

    Raises:
        KeyStoreMissingError: None was made.
        KeyStoreCorruptError: It was damaged or tampered with.
        WrongPassphraseError: It is whole, and the passphrase is another one.
        WrongKeyFileError: It is whole, and the key file is another one.
        UnlockKindError: It opens with the other kind of key.
        KeyFileError: The key file cannot be used.
    """
    store = _open(database, unlock, GenerationFile(data_folder))
    store.adopt_generation()
    return store


def reload_store(database: Database, store: OpenKeyStore) -> OpenKeyStore:
    """Return the store as it is in the database now, with keys that others imported or retired.

    Raises:
        KeyStoreMissingError: It is gone.
        KeyStoreCorruptError: It was damaged, tampered with or rolled back.
        GenerationUnknownError: The companion file is missing.
        GenerationFileError: The data folder cannot be read or written.
        UnlockError: Root keys were rotated, and what opens the store changed as well: only a
            restart with the new passphrase or key file opens it.
    """
    held = store.generation_file.read()
    with database.read() as connection:
        present = store.reread(*_load(connection, store.generation_file, repository.find_header))
    present.require_newest(held)
    return present


def import_components(  # what is brought, by whom, and what goes with it
    database: Database,
    store: OpenKeyStore,
    brought: KeyImport,
    *,
    by: Actor,
    clock: Clock,
    within: Within = nothing_more,
) -> tuple[OpenKeyStore, KeyDescription]:
    """Take in a key, and return the store with it and what may be shown of it.

    `within` runs in the same transaction: what allowed the import is used up with it.

    Raises:
        KeyExistsError: The store has a key of this supply group, revision and type.
        ComponentCountError: The key is not divided, or into too many components.
        InvalidComponentError: A component is not as long as the key derivation wants.
        CheckValueError: A check value does not agree; names the component.
        WeakKeyError: The components cancel out, or the key is one anybody would guess.
        MeterConfigurationError: An initialisation key (KT 0), which is not derived from.
        KeyStoreMissingError: The store is gone.
        KeyStoreCorruptError: The store was damaged, tampered with or rolled back.
        GenerationUnknownError: The companion file is missing.
        GenerationFileError: The data folder cannot be read or written.
    """
    secret, check_value = combine(brought)
    register = KeyReference.of(brought.attributes)

    def change(connection: Connection, present: OpenKeyStore) -> HeaderRow:
        if present.find(register) is not None:
            raise KeyExistsError(str(register))
        within(connection)
        row = present.seal_key(
            brought.attributes,
            secret,
            check_value=check_value,
            component_count=len(brought.components),
            is_demo=brought.is_demo,
            at=clock.now(),
        )
        repository.insert_row(connection, row)
        details: dict[str, Json] = {
            "check_value": check_value,
            "components": len(brought.components),
            "ken": brought.attributes.ken,
            "demo": brought.is_demo,
        }
        _record(connection, by, "key.imported", f"key:{register}", details, clock)
        return present.header_with(row)

    changed = _change(database, store, change)
    return changed, changed.describe(register)


def retire_key(  # what is retired, by whom, and what goes with it
    database: Database,
    store: OpenKeyStore,
    register: KeyReference,
    *,
    by: Actor,
    clock: Clock,
    within: Within = nothing_more,
) -> OpenKeyStore:
    """Let a key issue nothing from now on, and return the store so; a repeat changes nothing.

    Raises:
        KeyNotFoundError: The store has no such key.
        KeyStoreMissingError: The store is gone.
        KeyStoreCorruptError: The store was damaged, tampered with or rolled back.
        GenerationUnknownError: The companion file is missing.
        GenerationFileError: The data folder cannot be read or written.
    """

    def change(connection: Connection, present: OpenKeyStore) -> HeaderRow | None:
        if present.describe(register).retired_at is not None:
            return None
        within(connection)
        row = present.retired_row(register, at=clock.now())
        repository.update_row(connection, row)
        _record(connection, by, "key.retired", f"key:{register}", {}, clock)
        return present.header_with(row)

    return _change(database, store, change)


def change_unlock(  # noqa: PLR0913 # what opens it from now on, by whom, and what goes with it
    database: Database,
    store: OpenKeyStore,
    unlock: Unlock,
    *,
    by: Actor,
    clock: Clock,
    allowing: Allowing = allow_any,
    cost: Argon2Cost = RECOMMENDED_COST,
) -> OpenKeyStore:
    """Give the store another passphrase or key file; keys and sealed values stay as they are.

    A copy of the database made before still opens with what opened it then; `rotate_root` after
    this makes such a copy worth little. `allowing` runs in the same transaction, and may refuse.

    Raises:
        KeyFileError: The key file cannot be used.
        KeyStoreMissingError: The store is gone.
        KeyStoreCorruptError: The store was damaged, tampered with or rolled back.
        GenerationUnknownError: The companion file is missing.
        GenerationFileError: The data folder cannot be read or written.
    """

    def change(connection: Connection, present: OpenKeyStore) -> HeaderRow:
        allowing(connection, present)
        _record(connection, by, "key_store.unlock_changed", KEY_STORE, {}, clock)
        return present.header_under(unlock, cost)

    return _change(database, store, change).under(unlock)


def prepare_root(
    database: Database,
    store: OpenKeyStore,
    *,
    by: Actor,
    clock: Clock,
    within: Within = nothing_more,
) -> OpenKeyStore:
    """Bring a fresh root key that every process learns before anything is sealed under it.

    A repeat, before `activate_root`, changes nothing.

    Raises:
        KeyFileError: The key file cannot be used.
        KeyStoreMissingError: The store is gone.
        KeyStoreCorruptError: The store was damaged, tampered with or rolled back.
        GenerationUnknownError: The companion file is missing.
        GenerationFileError: The data folder cannot be read or written.
        RootCountError: The store holds as many root keys as it can.
    """

    def change(connection: Connection, present: OpenKeyStore) -> HeaderRow | None:
        if present.root_count > present.active_root:
            return None
        if present.root_count == ROOT_COUNT_MAX:
            raise RootCountError(ROOT_COUNT_MAX)
        within(connection)
        details: dict[str, Json] = {"root": present.root_count + 1}
        _record(connection, by, "key_store.root_prepared", KEY_STORE, details, clock)
        return present.header_with_next_root()

    return _change(database, store, change)


def activate_root(
    database: Database, store: OpenKeyStore, *, by: Actor, clock: Clock
) -> OpenKeyStore:
    """Seal under the prepared root key from now on, and every vending key anew, at once.

    What was sealed before stays readable. Without a prepared root key nothing changes. Every
    process that opens the store must have followed it first, else it cannot read what the others
    seal until it does.

    Raises:
        KeyFileError: The key file cannot be used.
        KeyStoreMissingError: The store is gone.
        KeyStoreCorruptError: The store was damaged, tampered with or rolled back.
        GenerationUnknownError: The companion file is missing.
        GenerationFileError: The data folder cannot be read or written.
    """

    def change(connection: Connection, present: OpenKeyStore) -> HeaderRow | None:
        if present.root_count == present.active_root:
            return None
        header, rows = present.with_newest_root()
        for row in rows:
            repository.update_row(connection, row)
        details: dict[str, Json] = {"root": present.root_count, "keys": len(rows)}
        _record(connection, by, "key_store.root_activated", KEY_STORE, details, clock)
        return header

    return _change(database, store, change)


def list_keys(store: OpenKeyStore) -> list[KeyDescription]:
    """Return every key without its material, in the order of its register."""
    return store.list_keys()


def check(database: Database, unlock: Unlock, *, data_folder: Path) -> list[Finding]:
    """Return what of the store fails its check; nothing when it is whole.

    Raises:
        KeyStoreMissingError: None was made.
        GenerationUnknownError: The store is whole, and the companion file is missing.
        WrongPassphraseError: The header is whole, and the passphrase is another one.
        WrongKeyFileError: The header is whole, and the key file is another one.
        UnlockKindError: It opens with the other kind of key.
        KeyFileError: The key file cannot be used.
    """
    file = GenerationFile(data_folder)
    held = file.read()
    try:
        with database.read() as connection:
            header, rows = _load(connection, file, repository.find_header)
        keyring = envelope.unwrap(header.envelope, unlock, store_id=header.store_id)
        findings = list_findings(keyring, header, rows)
        if not findings:
            OpenKeyStore(keyring, header, rows, file).require_newest(held)
    except KeyStoreCorruptError as error:
        return [Finding(error.damage, error.register)]
    return findings


def _change(
    database: Database,
    store: OpenKeyStore,
    change: Callable[[Connection, OpenKeyStore], HeaderRow | None],
) -> OpenKeyStore:
    """Run one change on the newest generation; `change` returns the next header, or none."""
    with database.unit_of_work() as uow:
        connection = uow.connection
        held = store.generation_file.read()
        loaded = _load(connection, store.generation_file, repository.find_header_for_change)
        present = store.reread(*loaded)
        present.require_newest(held)
        header = change(connection, present)
        if header is None:
            return present
        repository.update_header(connection, header)
        changed = present.reread(header, repository.list_rows(connection))
        uow.commit()
    changed.record_generation()
    return changed


def _record(  # one row of the log
    connection: Connection,
    by: Actor,
    action: str,
    subject: str,
    details: dict[str, Json],
    clock: Clock,
) -> None:
    record(connection, [AuditEvent(by, action, subject, details)], clock)


def _open(database: Database, unlock: Unlock, file: GenerationFile) -> OpenKeyStore:
    with database.read() as connection:
        header, rows = _load(connection, file, repository.find_header)
    keyring = envelope.unwrap(header.envelope, unlock, store_id=header.store_id)
    return OpenKeyStore(keyring, header, rows, file, unlock=unlock)


def _load(
    connection: Connection,
    file: GenerationFile,
    find_header: Callable[[Connection], HeaderRow | None],
) -> tuple[HeaderRow, list[KeyRow]]:
    header = find_header(connection)
    if header is None:
        _require_no_traces(connection, file)
        raise KeyStoreMissingError
    return header, repository.list_rows(connection)


def _require_no_traces(connection: Connection, file: GenerationFile) -> None:
    """A store that was here once does not look as if there had never been one.

    Raises:
        KeyStoreCorruptError: Keys have lost their header, or a generation file its store.
    """
    if repository.count_rows(connection):
        raise KeyStoreCorruptError(Damage.HEADER)
    if file.path.exists():
        raise KeyStoreCorruptError(Damage.ROLLED_BACK)

"""The key store in a backup: its root key leaves sealed, and comes back under another unlock.

The rows of the store travel as they are, sealed. The root key goes with them, sealed once more by
the backup, so that after a total loss the file and its custodians suffice; the passphrase or key
file of the lost machine is not needed, and does not open the restored store.
"""

from pathlib import Path

from sqlalchemy import Connection

from vending.keystore import repository
from vending.keystore.errors import KeyStoreMissingError
from vending.keystore.generation import GenerationFile
from vending.keystore.redaction import Secret
from vending.keystore.sealing import Keyring, Sealer
from vending.keystore.store import OpenKeyStore, root_in_backup
from vending.keystore.unlocking import RECOMMENDED_COST, Argon2Cost, Unlock


def export_root(connection: Connection, store: OpenKeyStore, sealer: Sealer) -> tuple[bytes, int]:
    """Return the root key sealed for a backup, and the generation it opens.

    The rows that go into the backup are checked under it first.

    Raises:
        KeyStoreMissingError: The store is gone.
        KeyStoreCorruptError: The store was damaged, tampered with or rolled back.
    """
    header = repository.find_header(connection)
    if header is None:
        raise KeyStoreMissingError
    present = store.reread(header, repository.list_rows(connection))
    return present.export_root(sealer), header.generation


def adopt_restored(
    connection: Connection,
    sealed_root: bytes,
    sealer: Sealer,
    unlock: Unlock,
    *,
    data_folder: Path,
    cost: Argon2Cost = RECOMMENDED_COST,
) -> OpenKeyStore:
    """Put the restored store under a new unlock, as its next generation, and return it open.

    The caller commits, and then lets the store `adopt_generation`.

    Raises:
        KeyStoreMissingError: The backup held no key store.
        SealBrokenError: The root key is not that of this backup.
        KeyStoreCorruptError: The restored rows are not those of this root key.
        KeyFileError: The key file cannot be used.
    """
    header = repository.find_header_for_change(connection)
    if header is None:
        raise KeyStoreMissingError
    associated = root_in_backup(header.store_id)
    keyring = Keyring.from_bundle(Secret(sealer.open(sealed_root, associated=associated)))
    rows = repository.list_rows(connection)
    restored = OpenKeyStore(keyring, header, rows, GenerationFile(data_folder))
    following = restored.header_under(unlock, cost)
    repository.update_header(connection, following)
    return restored.reread(following, rows).under(unlock)

"""The secret of the chain: random, made once, sealed by the key store, never changed.

It is no sub-key of the store's root key, so that a rotation of the root key only seals it anew
(`reseal`) and every code that was ever made stays valid.
"""

import secrets

from sqlalchemy import Connection

from vending.audit import repository
from vending.audit.errors import AuditKeyAlteredError, AuditKeyMissingError
from vending.audit.rules import SECRET_BYTES, ChainKeys
from vending.keystore.errors import SealBrokenError
from vending.keystore.sealing import Sealer, associate, sealed_under
from vending.values.clock import Clock

_BOUND_TO = associate("the secret of the audit chain")


def load_keys(connection: Connection, sealer: Sealer) -> ChainKeys:
    """Return the keys of the chain, `sealer` being the key store's for `AUDIT_KEYS`.

    Raises:
        AuditKeyMissingError: There is none.
        AuditKeyAlteredError: The stored secret was altered.
    """
    sealed = repository.find_key(connection)
    if sealed is None:
        raise AuditKeyMissingError
    return ChainKeys(_open(sealed, sealer))


def ensure_keys(connection: Connection, sealer: Sealer, *, clock: Clock) -> ChainKeys:
    """Return the keys of the chain, made now when there is no chain yet; the caller commits.

    Raises:
        AuditKeyMissingError: There is a chain, and no secret.
        AuditKeyAlteredError: The stored secret was altered.
    """
    if repository.find_key(connection) is None:
        if repository.find_last_link(connection) or repository.find_last_head(connection):
            raise AuditKeyMissingError
        fresh = secrets.token_bytes(SECRET_BYTES)
        sealed = sealer.seal(fresh, associated=_BOUND_TO)
        repository.insert_key(connection, sealed, created_at=clock.now())
    return load_keys(connection, sealer)


def reseal(connection: Connection, present: Sealer, following: Sealer) -> None:
    """Seal the secret under the sealer of another root key; part of a rotation's transaction.

    Raises:
        AuditKeyAlteredError: The stored secret does not open under the present one.
    """
    sealed = repository.find_key(connection)
    if sealed is not None:
        secret = _open(sealed, present)
        repository.update_key(connection, following.seal(secret, associated=_BOUND_TO))


def reseal_under(connection: Connection, sealer: Sealer, *, root: int) -> bool:
    """Seal the secret under root key `root`; return whether it lay under an older one.

    Raises:
        AuditKeyAlteredError: The stored secret was altered.
    """
    sealed = repository.find_key(connection)
    if sealed is None or sealed_under(sealed) >= root:
        return False
    reseal(connection, sealer, sealer)
    return True


def _open(sealed: bytes, sealer: Sealer) -> bytes:
    try:
        return sealer.open(sealed, associated=_BOUND_TO)
    except SealBrokenError as error:
        raise AuditKeyAlteredError from error

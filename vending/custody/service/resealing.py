"""Seals secrets anew after a rotation of the root key, and tells what needs an older one.

Secrets that are worth more than the row they lie in, the audit log's and those of authenticator
apps, are sealed anew: by `vending keys rotate` at once, and by the worker's job for whatever a
kill or a process that was late left behind. Each step is a transaction of its own, and doing one
again changes nothing. What is appended only, tokens and answers, stays under the root key of its
day; steps of signing in and components of ceremonies are over within minutes or hours.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, LargeBinary, column, func, select, table

from vending.audit.service.keys import reseal_under
from vending.keystore.sealing import Purpose, sealed_under
from vending.keystore.service import KEY_STORE
from vending.keystore.store import OpenKeyStore
from vending.operators.service.factors import reseal_totp
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.persistence.engine import Database
from vending.values.actor import Actor
from vending.values.clock import Clock

RESEAL_BATCH: Final = 100
SEALED_COLUMNS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("vending_keys", "sealed"): "vending keys",
        ("audit_keys", "sealed"): "secret of the audit log",
        ("operator_authenticators", "sealed_secret"): "authenticator apps",
        ("operator_challenges", "sealed"): "steps of signing in",
        ("key_ceremony_components", "sealed"): "components of ceremonies",
        ("issued_tokens", "sealed_digits"): "issued tokens",
        ("key_change_sets", "sealed_sections"): "key-change sets",
        ("idempotency_keys", "body"): "stored answers",
    }
)
"""Every column whose first byte names a root key, and what it is called."""


@dataclass(frozen=True, slots=True)
class RootUse:
    """How much of one kind still needs one root key."""

    root: int
    what: str
    count: int


def reseal_secrets(database: Database, store: OpenKeyStore, *, by: Actor, clock: Clock) -> int:
    """Seal under the root key in use what lies under an older one; return how many it was.

    Raises:
        AuditKeyAlteredError: The secret of the audit log was altered.
        SealBrokenError: The secret of an authenticator app was altered.
    """
    root, count = store.active_root, 0
    if store.root_count == 1:
        return 0
    with database.unit_of_work() as uow:
        sealer = store.sealer(Purpose.AUDIT_KEYS)
        if reseal_under(uow.connection, sealer, root=root):
            count += 1
            _record(uow.connection, by, "audit key", 1, root, clock)
            uow.commit()
    after: uuid.UUID | None = None
    while True:
        with database.unit_of_work() as uow:
            sealer = store.sealer(Purpose.OPERATOR_SECRETS)
            done, after = reseal_totp(
                uow.connection, sealer, root=root, after=after, limit=RESEAL_BATCH
            )
            if done:
                _record(uow.connection, by, "authenticator apps", done, root, clock)
                uow.commit()
        count += done
        if after is None:
            return count


def list_root_uses(connection: Connection, store: OpenKeyStore) -> list[RootUse]:
    """Return what needs which root key, the oldest first; it reads every sealed row."""
    uses = []
    for (table_name, column_name), what in SEALED_COLUMNS.items():
        sealed = column(column_name, LargeBinary)
        rows = (
            select(func.substr(sealed, 1, 1, type_=LargeBinary).label("first"))
            .select_from(table(table_name, sealed))
            .where(sealed.is_not(None))
            .subquery()
        )
        query = select(rows.c.first, func.count().label("number")).group_by(rows.c.first)
        for row in connection.execute(query):
            root = sealed_under(bytes(row.first))
            if 1 <= root <= store.root_count:  # what was closed without an answer is not sealed
                uses.append(RootUse(root, what, row.number))
    return sorted(uses, key=lambda use: (use.root, use.what))


def _record(
    connection: Connection, by: Actor, what: str, count: int, root: int, clock: Clock
) -> None:
    details: dict[str, Json] = {"what": what, "count": count, "root": root}
    event = AuditEvent(by, "key_store.secrets_resealed", KEY_STORE, details)
    record(connection, [event], clock)

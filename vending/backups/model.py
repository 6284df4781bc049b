"""Custodians, backups, restorations, and the gap a restoration leaves."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from vending.audit.model import Head

CUSTODIANS_MIN: Final = 2
CUSTODIANS_MAX: Final = 5


class ValueKind(StrEnum):
    """What a column holds, the same on both engines."""

    NUMBER = "number"
    FLAG = "flag"
    TEXT = "text"
    BYTES = "bytes"
    INSTANT = "instant"
    UUID = "uuid"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table as a backup names it, and where it stands in the order of loading."""

    name: str
    columns: tuple[tuple[str, ValueKind], ...]
    key: tuple[str, ...]
    """The columns its rows are ordered by."""
    after: frozenset[str]
    """Tables whose rows must be there first."""


@dataclass(frozen=True, slots=True)
class TableSum:
    """How many rows of a table a backup holds, and the SHA-256 over them."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Custodian:
    """A person who, with any other custodian, opens a backup."""

    name: str
    public_key: bytes

    @property
    def fingerprint(self) -> str:
        """Return the public key in hexadecimal digits, as custodians compare it."""
        return self.public_key.hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupContents:
    """What the opening record of a backup says of it."""

    backup_id: uuid.UUID
    at: datetime
    """The instant of the snapshot."""
    revision: str
    engine: str
    store_generation: int | None
    """None: the installation had no key store."""
    seen_at: datetime | None
    """The last committed time of the clock guard."""
    audit_head: Mapping[str, object]
    """Position and digest of the last sealed audit row, as the audit log names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport:
    """What a backup was found to hold when it was read from end to end."""

    contents: BackupContents
    tables: Mapping[str, TableSum]
    file_bytes: int
    digest: str
    """SHA-256 of the whole file, hexadecimal."""
    custodians: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Return how many rows it holds."""
        return sum(each.rows for each in self.tables.values())


class RestorationKind(StrEnum):
    """How the database came back."""

    BACKUP = "backup"
    POINT_IN_TIME = "point-in-time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """One return from a disaster: everything between the two instants may be lost."""

    id: uuid.UUID
    kind: RestorationKind
    backup_id: uuid.UUID | None
    state_at: datetime
    """The instant the restored data are of."""
    restored_at: datetime
    tid_floor_min: int
    """Minutes past the clock that every last identifier was raised to."""
    audit_position: int
    """The last audit position that was restored; 0: none was sealed."""
    meter_count: int
    sessions_revoked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedSale:
    """A sale that a partner says it made."""

    receipt_number: str
    idempotency_key: str | None
    meter: str | None
    amount_minor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAudit:
    """How far the lost installation's audit chain had got, by the heads it exported."""

    restored_head: Head | None
    """Of the last position that was restored; None: none was sealed."""
    newest_head: Head | None
    """The newest that our chain does not have; None: it has all that were exported."""
    checked_count: int
    """Heads that bear our signature."""
    refused_count: int
    refused: tuple[str, ...]
    """Where the first lines are that are no head of ours."""
    differing: tuple[int, ...]
    """First positions before the loss at which our chain has another link than was signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What may be missing, as far as it is known."""

    restoration: Restoration
    lost_audit: LostAudit | None
    """None: no exported heads were shown."""
    unknown: tuple[StatedSale, ...]
    """Sales that partners state and the database does not know."""
    marked_meters: int
    marked_partners: int

    @property
    def audit_from(self) -> int:
        """Return the first position of the audit log that was not restored."""
        return self.restoration.audit_position + 1

    @property
    def audit_to(self) -> int | None:
        """Return the last position that is known to be missing; None: none is known to be."""
        newest = None if self.lost_audit is None else self.lost_audit.newest_head
        return None if newest is None else newest.position

"""A small audit chain, and a superuser of its database who may do anything to it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, select

from vending.audit.model import AuditReport
from vending.audit.repository import list_heads
from vending.audit.rules import ChainKeys
from vending.audit.service.coding import LONG_CHAIN
from vending.audit.service.heads import ExportedLine
from vending.audit.service.keys import load_keys
from vending.audit.service.sealing import seal_waiting
from vending.audit.service.verify import maybe_coded_elsewhere, verify
from vending.audit.tables import audit_heads, audit_links
from vending.keystore.sealing import Keyring, Purpose, Sealer
from vending.persistence.audit import AuditEvent, audit_events, record
from vending.persistence.column_types import Json, is_sqlite
from vending.persistence.engine import Database
from vending.values.actor import Actor, ActorKind
from vending.values.clock import FixedClock

TABLES = ("audit_events", "audit_links", "audit_heads", "audit_queue", "audit_keys")
KIOSK = Actor(ActorKind.PARTNER, "Corner Kiosk")


@dataclass
class Chain:
    """What writes a chain, and reads it again."""

    database: Database
    clock: FixedClock
    sealer: Sealer = field(default_factory=lambda: Keyring.generate().sealer(Purpose.AUDIT_KEYS))

    def record(self, count: int, *, action: str = "sale.issued") -> None:
        """Record so many events, each in a millisecond of its own."""
        with self.database.unit_of_work() as uow:
            for number in range(count):
                self.clock.advance(timedelta(milliseconds=1))
                details: dict[str, Json] = {
                    "receipt_number": f"R-{number:04}",
                    "tender_minor": number,
                }
                event = AuditEvent(KIOSK, action, f"sale:{number}", details)
                record(uow.connection, [event], self.clock)
            uow.commit()

    def seal(self, *, exported_position: int = 0) -> int:
        """Seal a batch."""
        return seal_waiting(
            self.database, self.sealer, clock=self.clock, exported_position=exported_position
        )

    def fill(self, sizes: Sequence[int]) -> None:
        """Record and seal batches of these sizes."""
        for size in sizes:
            self.record(size)
            self.clock.advance(timedelta(seconds=2))
            self.seal()

    @property
    def keys(self) -> ChainKeys:
        """The keys of the chain."""
        with self.database.read() as connection:
            return load_keys(connection, self.sealer)

    def exported(self) -> list[ExportedLine]:
        """The heads as lines of a file outside the database."""
        with self.database.read() as connection:
            heads = list_heads(connection, 0, 1_000)
        return [ExportedLine(f"line {n}", head) for n, (head, _) in enumerate(heads, 1)]

    def verify(
        self, exported: Sequence[ExportedLine] = (), *, links_min: int = LONG_CHAIN
    ) -> AuditReport:
        """Look at all of it, as the command does: with a second process from `links_min` on."""
        with (
            maybe_coded_elsewhere(self.database, self.sealer, links_min=links_min) as coded,
            self.database.read() as connection,
        ):
            keys = load_keys(connection, self.sealer)
            now = self.clock.now()
            return verify(connection, keys, now=now, exported=exported, coded=coded)

    @staticmethod
    def disarm(connection: Connection) -> None:
        """Drop every trigger and check on the tables, as a superuser can."""
        disarm(connection)

    @staticmethod
    def cut(connection: Connection, *, after: int) -> None:
        """Remove events, links and heads behind a position, as an older backup lacks them."""
        behind = audit_links.c.position > after
        gone = select(audit_links.c.event_id).where(behind)
        connection.execute(delete(audit_events).where(audit_events.c.id.in_(gone)))
        connection.execute(delete(audit_links).where(behind))
        connection.execute(delete(audit_heads).where(audit_heads.c.position > after))

    @contextmanager
    def superuser(self) -> Iterator[Connection]:
        """A transaction of somebody who may do anything."""
        with self.database.unit_of_work() as uow:
            yield uow.connection
            uow.commit()


def disarm(connection: Connection) -> None:
    """Drop every trigger on the tables of the audit log, as a superuser can."""
    if is_sqlite(connection.dialect):
        rows = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'audit_%'"
        )
        for (name,) in rows.all():
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        return
    for table in TABLES:
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    for table in ("audit_links", "audit_heads"):
        name = f"ck_{table}_position"
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")


def rows_of(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    """What the driver gives for a query."""
    return [tuple(row) for row in connection.exec_driver_sql(query)]

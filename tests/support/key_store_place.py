"""A key store in a database: what opens it, and what an attacker may do to its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, text, update

from vending.keystore import service
from vending.keystore.components import KeyImport
from vending.keystore.store import Finding, OpenKeyStore
from vending.keystore.tables import key_store_header, vending_keys
from vending.keystore.unlocking import Argon2Cost, Passphrase
from vending.persistence.engine import Database, EngineKind
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock

CHEAP = Argon2Cost(time_cost=1, memory_kib=8, parallelism=1)
TABLES = (key_store_header, vending_keys)
Rows = dict[str, list[dict[str, Any]]]


@dataclass
class KeyStorePlace:
    database: Database
    data_folder: Path
    clock: FixedClock
    passphrase: Passphrase = field(default_factory=lambda: Passphrase("correct horse battery"))

    def create(self) -> OpenKeyStore:
        return service.create_store(
            self.database,
            self.passphrase,
            data_folder=self.data_folder,
            clock=self.clock,
            cost=CHEAP,
        )

    def open(self) -> OpenKeyStore:
        return service.open_store(self.database, self.passphrase, data_folder=self.data_folder)

    def adopt(self) -> OpenKeyStore:
        return service.adopt_generation(
            self.database, self.passphrase, data_folder=self.data_folder
        )

    def check(self) -> list[Finding]:
        return service.check(self.database, self.passphrase, data_folder=self.data_folder)

    def take_in(self, store: OpenKeyStore, *keys: KeyImport) -> OpenKeyStore:
        for brought in keys:
            store, _ = service.import_components(
                self.database, store, brought, by=SYSTEM, clock=self.clock
            )
        return store

    # --- what an attacker with the database may do ---------------------------------------------
    def read_rows(self) -> Rows:
        with self.database.read() as connection:
            return {
                table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
                for table in TABLES
            }

    def write_rows(self, rows: Rows) -> None:
        """Put back exactly these rows."""
        with self.database.unit_of_work() as uow:
            self._lift_constraints(uow.connection)
            for table in TABLES:
                uow.connection.execute(delete(table))
                if rows[table.name]:
                    uow.connection.execute(insert(table), rows[table.name])
            uow.commit()

    def overwrite(self, table: Table, values: Mapping[str, Any], *, sgc: int | None = None) -> None:
        """Change some columns, of one key or of the header."""
        statement = update(table).values(**values)
        if sgc is not None:
            statement = statement.where(table.c.sgc == sgc)
        with self.database.unit_of_work() as uow:
            self._lift_constraints(uow.connection)
            uow.connection.execute(statement)
            uow.commit()

    def _lift_constraints(self, connection: Connection) -> None:
        if self.database.dialect is EngineKind.SQLITE:
            connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
            return
        for table in TABLES:
            for name in _check_names(connection, table.name):
                connection.exec_driver_sql(f'ALTER TABLE {table.name} DROP CONSTRAINT "{name}"')


def _check_names(connection: Connection, table: str) -> Sequence[str]:
    query = text(
        "SELECT conname FROM pg_constraint WHERE conrelid = :name ::regclass AND contype = 'c'"
    )
    return connection.execute(query, {"name": table}).scalars().all()

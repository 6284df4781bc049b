"""A table to write to, for tests of the plumbing."""

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select

from vending.persistence.engine import Database

notes = Table("notes", MetaData(), Column("id", Integer, primary_key=True), sqlite_strict=True)


@pytest.fixture
def noted_database(database: Database) -> Database:
    with database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
        uow.commit()
    return database


class Notes:
    """Rows of no meaning."""

    def add(self, connection: Connection, note_id: int) -> None:
        connection.execute(insert(notes).values(id=note_id))

    def count(self, database: Database) -> int:
        with database.read() as connection:
            return connection.execute(select(func.count()).select_from(notes)).scalar_one()


@pytest.fixture
def noted() -> Notes:
    return Notes()

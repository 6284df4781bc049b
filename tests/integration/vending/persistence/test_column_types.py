"""Each column type comes back as it went in, on both databases."""

import uuid
from datetime import UTC, datetime

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, insert, select
from sqlalchemy.exc import DBAPIError

from vending.persistence.column_types import (
    BigInt,
    Flag,
    JSONColumn,
    SmallInt,
    UTCDateTime,
    UUIDColumn,
)
from vending.persistence.engine import Database

samples = Table(
    "samples",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("big", BigInt),
    Column("small", SmallInt),
    Column("flag", Flag),
    Column("at", UTCDateTime),
    Column("uid", UUIDColumn),
    Column("document", JSONColumn),
    Column("content", LargeBinary),
    Column("note", Text),
    sqlite_strict=True,
)
FULL = {
    "id": 1,
    "big": 2**63 - 1,
    "small": -32_768,
    "flag": True,
    "at": datetime(2045, 11, 24, 20, 15, 0, 1, tzinfo=UTC),
    "uid": uuid.UUID("0193611f-3000-7000-8000-00000000abcd"),
    "document": {"facts": [1, "é", None, {"deep": True}]},
    "content": bytes(range(256)),
    "note": "电表 é \u2028",
}
EMPTY = dict.fromkeys(FULL) | {"id": 2}


@pytest.fixture
def sampled(database: Database) -> Database:
    with database.unit_of_work() as uow:
        samples.create(uow.connection)
        uow.connection.execute(insert(samples), [FULL, EMPTY])
        uow.commit()
    return database


def test_values_come_back_as_they_went_in(sampled: Database) -> None:
    with sampled.read() as connection:
        rows = connection.execute(select(samples).order_by(samples.c.id)).mappings().all()
    assert [dict(row) for row in rows] == [FULL, EMPTY]


@pytest.mark.parametrize("name", ["big", "small", "flag", "at", "uid", "content", "note"])
def test_values_can_be_searched_for(sampled: Database, name: str) -> None:
    with sampled.read() as connection:
        found = connection.execute(
            select(samples.c.id).where(samples.c[name].in_([FULL[name]]))
        ).scalars()
        assert found.all() == [1]


def test_instants_sort_and_subtract(sampled: Database) -> None:
    with sampled.read() as connection:
        later = connection.execute(
            select(samples.c.id).where(samples.c.at > datetime(2045, 11, 24, 20, 15, tzinfo=UTC))
        ).scalars()
        assert later.all() == [1]


def test_a_column_refuses_a_value_of_another_type(sampled: Database) -> None:
    with pytest.raises(DBAPIError), sampled.unit_of_work() as uow:
        uow.connection.exec_driver_sql("INSERT INTO samples (id, big) VALUES (3, 'many')")

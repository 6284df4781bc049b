"""Batches of rows on both databases."""

import uuid
from datetime import UTC, datetime

import pytest
from sqlalchemy import Column, MetaData, Table, Text, select
from sqlalchemy.exc import IntegrityError

from vending.persistence.bulk import insert_new_rows, insert_rows, is_one_of, update_rows
from vending.persistence.column_types import BigInt, Flag, JSONColumn, UTCDateTime, UUIDColumn
from vending.persistence.engine import Database

AT = datetime(2026, 11, 25, 8, 0, 0, 1, tzinfo=UTC)
things = Table(
    "things",
    MetaData(),
    Column("id", UUIDColumn, primary_key=True),
    Column("count", BigInt, nullable=False),
    Column("flag", Flag),
    Column("at", UTCDateTime),
    Column("document", JSONColumn),
    Column("note", Text),
    sqlite_strict=True,
)


def thing(number: int, **changed: object) -> dict[str, object]:
    return {
        "id": uuid.UUID(int=number),
        "count": number,
        "flag": bool(number % 2),
        "at": AT,
        "document": {"number": number, "list": [1, "é"]},
        "note": f"{{note}}, \"{number}\" \\ '电'",
    } | changed


@pytest.fixture
def things_database(database: Database) -> Database:
    with database.unit_of_work() as uow:
        things.create(uow.connection)
        uow.commit()
    return database


@pytest.mark.parametrize("count", [0, 1, 3_000])
def test_rows_come_back_as_they_were_inserted(things_database: Database, count: int) -> None:
    rows = [thing(number) for number in range(count)]
    with things_database.unit_of_work() as uow:
        insert_rows(uow.connection, things, rows)
        found = uow.connection.execute(select(things).order_by(things.c.count)).mappings()
        assert [dict(row) for row in found] == rows


def test_nulls_are_inserted(things_database: Database) -> None:
    rows = [thing(1), thing(2, flag=None, at=None, document=None, note=None)]
    with things_database.unit_of_work() as uow:
        insert_rows(uow.connection, things, rows)
        found = uow.connection.execute(select(things).order_by(things.c.count)).mappings()
        assert [dict(row) for row in found] == rows


def test_a_taken_key_fails_the_whole_batch(things_database: Database) -> None:
    with pytest.raises(IntegrityError), things_database.unit_of_work() as uow:
        insert_rows(uow.connection, things, [thing(1), thing(1)])


def test_new_rows_are_told_from_taken_keys(things_database: Database) -> None:
    with things_database.unit_of_work() as uow:
        insert_rows(uow.connection, things, [thing(2)])
        inserted = insert_new_rows(
            uow.connection, things, [thing(number) for number in (1, 2, 3)], returning=["id"]
        )
        assert sorted(row.id.int for row in inserted) == [1, 3]
        assert insert_new_rows(uow.connection, things, [], returning=["id"]) == []


def test_rows_are_updated_by_their_key(things_database: Database) -> None:
    with things_database.unit_of_work() as uow:
        insert_rows(uow.connection, things, [thing(number) for number in (1, 2, 3)])
        changed_count = update_rows(
            uow.connection,
            things,
            [
                {"id": uuid.UUID(int=number), "count": 100, "note": None, "at": AT}
                for number in (1, 3, 9)
            ],
            key=["id"],
            add=["count"],
        )
        rows = uow.connection.execute(
            select(things.c.count, things.c.note.is_(None)).order_by(things.c.id)
        ).all()
    assert changed_count == 2
    assert [(count, bool(is_null)) for count, is_null in rows] == [
        (101, True),
        (2, False),
        (103, True),
    ]


def test_no_rows_are_no_update(things_database: Database) -> None:
    with things_database.unit_of_work() as uow:
        assert update_rows(uow.connection, things, [], key=["id"]) == 0


@pytest.mark.parametrize(("wanted", "found"), [([1, 3, 9], [1, 3]), ([], [])])
def test_rows_are_found_by_any_of_several_values(
    things_database: Database, wanted: list[int], found: list[int]
) -> None:
    ids = [uuid.UUID(int=number) for number in wanted]
    with things_database.unit_of_work() as uow:
        insert_rows(uow.connection, things, [thing(number) for number in (1, 2, 3)])
        statement = select(things.c.count).where(is_one_of(uow.connection, things.c.id, ids))
        assert sorted(uow.connection.execute(statement).scalars()) == found

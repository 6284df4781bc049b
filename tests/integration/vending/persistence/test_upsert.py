"""INSERT … ON CONFLICT on both databases."""

from sqlalchemy import Column, Integer, MetaData, Table, select

from vending.persistence.engine import Database
from vending.persistence.upsert import insert_or_ignore, insert_or_update

marks = Table(
    "marks",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("value", Integer, nullable=False),
    Column("first", Integer, nullable=False),
    sqlite_strict=True,
)


def test_taken_keys_are_left_alone_and_new_ones_returned(database: Database) -> None:
    with database.unit_of_work() as uow:
        marks.create(uow.connection)
        statement = insert_or_ignore(uow.connection, marks)
        uow.connection.execute(statement, [{"id": 1, "value": 1, "first": 1}])
        inserted = uow.connection.execute(
            statement.returning(marks.c.id),
            [{"id": number, "value": 2, "first": 2} for number in (1, 2, 3)],
        ).scalars()
        assert sorted(inserted) == [2, 3]
        assert uow.connection.execute(
            select(marks.c.value).order_by(marks.c.id)
        ).scalars().all() == [
            1,
            2,
            2,
        ]


def test_taken_keys_are_overwritten_in_the_columns_named(database: Database) -> None:
    with database.unit_of_work() as uow:
        marks.create(uow.connection)
        statement = insert_or_update(uow.connection, marks, key=["id"], update=["value"])
        for value in (1, 2):
            uow.connection.execute(
                statement,
                [{"id": number, "value": value, "first": value} for number in range(value, 3)],
            )
        rows = uow.connection.execute(select(marks).order_by(marks.c.id)).all()
        assert [tuple(row) for row in rows] == [(1, 1, 1), (2, 2, 1)]

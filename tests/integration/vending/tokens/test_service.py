"""Tokens at rest: sealed to their own row, opened only there, never in the clear."""

import uuid
from typing import Any

import pytest
from sqlalchemy import Row, select, text
from sqlalchemy.exc import DBAPIError

from tests.support.shop import Shop
from vending.keystore.errors import SealBrokenError
from vending.persistence.base import metadata
from vending.persistence.idempotency import idempotency_keys
from vending.sales.service.quotes import quote
from vending.sales.tables import declined_sales, sale_quotes, sales
from vending.tokens import repository
from vending.tokens.service.sealed import open_tokens, open_tokens_of_sale
from vending.tokens.tables import issued_tokens
from vending.values.identifiers import SaleId, TokenId


def _rows(shop: Shop) -> list[Row[Any]]:
    with shop.database.read() as connection:
        return list(connection.execute(select(issued_tokens).order_by(issued_tokens.c.tid)))


def test_stored_token_opens_to_the_digits_that_were_answered(shop: Shop) -> None:
    sold = shop.issue("k1")
    (row,) = _rows(shop)
    sealer = shop.desk.token_sealer
    with shop.database.read() as connection:
        by_id = open_tokens(connection, [TokenId(row.id)], sealer)
        of_sale = open_tokens_of_sale(connection, SaleId(uuid.UUID(sold["id"])), sealer)
        none = open_tokens_of_sale(connection, SaleId(uuid.UUID(int=1)), sealer)
    digits = sold["tokens"][0]["digits"]
    assert [token.digits for token in (*by_id.values(), *of_sale)] == [digits, digits]
    assert none == []
    record = of_sale[0].record
    read = shop.enter_token(digits)
    assert (record.tid, record.units, record.rnd) == (read.tid.minutes, read.units, read.rnd)
    assert record.last_four == digits[-4:]


def test_token_is_found_by_its_last_four_digits(shop: Shop) -> None:
    digits = shop.issue("k1")["tokens"][0]["digits"]
    with shop.database.read() as connection:
        found = repository.list_by_last_four(connection, shop.meters[0].id, digits[-4:], limit=10)
        elsewhere = repository.list_by_last_four(
            connection, shop.meters[1].id, digits[-4:], limit=10
        )
    assert [record.last_four for record in found] == [digits[-4:]]
    assert elsewhere == []


def test_nothing_to_store_is_nothing_sent(shop: Shop) -> None:
    with shop.database.unit_of_work() as uow:
        repository.insert_tokens(uow.connection, [])
        uow.commit()
    assert _rows(shop) == []


def test_no_row_of_any_table_holds_the_digits_in_the_clear(shop: Shop) -> None:
    digits = shop.issue("k1")["tokens"][0]["digits"]
    grouped = " ".join(digits[n : n + 4] for n in range(0, 20, 4))
    for table in metadata.sorted_tables:
        with shop.database.read() as connection:
            for row in connection.execute(select(table)):
                for value in row:
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    assert digits.encode() not in raw
                    assert grouped.encode() not in raw


def test_no_file_of_the_database_holds_the_digits_in_the_clear(shop: Shop) -> None:
    if shop.database.engine.url.database is None or shop.database.writer_lock is None:
        return  # PostgreSQL: the test above reads every row
    digits = shop.issue("k1")["tokens"][0]["digits"]
    place = shop.database.engine.url.database
    for suffix in ("", "-wal"):
        with open(place + suffix, "rb") as file:  # noqa: PTH123 # a name with a suffix
            assert digits.encode() not in file.read()


def _without_wall(shop: Shop, table: str, statement: str, values: dict[str, object]) -> None:
    """Change a row behind the product's back, as somebody with the database's password can."""
    with shop.database.engine.begin() as connection:
        if shop.database.writer_lock is None:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        else:
            for name in connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :t"),
                {"t": table},
            ).scalars():
                connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text(statement), values)


@pytest.mark.parametrize("column", ["sealed_digits", "units", "tid"])
def test_row_that_was_changed_or_swapped_does_not_open(shop: Shop, column: str) -> None:
    shop.issue("k1")
    shop.issue("k2", meter=1)
    first, second = _rows(shop)[:2]
    value = second.sealed_digits if column == "sealed_digits" else getattr(first, column) + 7
    _without_wall(
        shop,
        "issued_tokens",
        f"UPDATE issued_tokens SET {column} = :value WHERE id = :id",  # noqa: S608 # by case
        {"value": value, "id": first.id if shop.database.writer_lock is None else first.id.bytes},
    )
    with shop.database.read() as connection, pytest.raises(SealBrokenError):
        open_tokens(connection, [TokenId(first.id)], shop.desk.token_sealer)


def test_answer_that_was_swapped_is_refused_and_does_not_stop_its_batch(shop: Shop) -> None:
    shop.issue("k1")
    shop.issue("k2", meter=1)
    with shop.database.read() as connection:
        body = connection.execute(
            select(idempotency_keys.c.body).where(idempotency_keys.c.key == "k2")
        ).scalar_one()
    _without_wall(
        shop,
        "idempotency_keys",
        "UPDATE idempotency_keys SET body = :body WHERE key = 'k1'",
        {"body": body},
    )
    assert shop.refuse(shop.request("k1")) == SealBrokenError.code
    assert shop.issue("k2", meter=1)


FROZEN = {
    "sale_quotes": sale_quotes,
    "sales": sales,
    "declined_sales": declined_sales,
    "issued_tokens": issued_tokens,
}


@pytest.mark.parametrize("table", FROZEN)
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE"])
def test_what_was_written_is_never_changed_or_deleted(shop: Shop, table: str, verb: str) -> None:
    shop.issue("k1")
    shop.refuse(shop.request("k2", minor=1))
    if table == "sale_quotes":
        quote(
            shop.partner.id,
            shop.meters[0].pan.iain,
            shop.request("x").tender,
            shop.desk,
        )
    statement = (
        f"DELETE FROM {table}"  # noqa: S608 # by case
        if verb == "DELETE"
        else f"UPDATE {table} SET meter_pan = '1'"  # noqa: S608 # by case
        if "meter_pan" in FROZEN[table].c
        else f"UPDATE {table} SET meter = '1'"  # noqa: S608 # by case
    )
    with (
        shop.database.unit_of_work() as uow,
        pytest.raises(DBAPIError, match="append_only"),
    ):
        uow.connection.execute(text(statement))


@pytest.mark.parametrize("table", [*FROZEN])
def test_postgresql_truncates_none_of_it(shop: Shop, table: str) -> None:
    if shop.database.writer_lock is not None:
        return  # SQLite has no TRUNCATE
    with (
        shop.database.unit_of_work() as uow,
        pytest.raises(DBAPIError, match="append_only"),
    ):
        uow.connection.execute(text(f"TRUNCATE {table} CASCADE"))

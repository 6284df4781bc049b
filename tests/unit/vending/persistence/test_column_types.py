import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import make_url
from sqlalchemy.engine import Dialect

from vending.persistence.column_types import (
    BigInt,
    Flag,
    Json,
    JSONColumn,
    SmallInt,
    UTCDateTime,
    UUIDColumn,
)


def dialect_of(url: str) -> Dialect:
    return make_url(url).get_dialect()()


SQLITE = dialect_of("sqlite://")
POSTGRESQL = dialect_of("postgresql+psycopg://")
IDENTIFIER = uuid.UUID("0193611f-3000-7000-8000-00000000abcd")
INSTANT = datetime(2026, 11, 25, 8, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column_type", "on_sqlite", "on_postgresql"),
    [
        (BigInt(), "INTEGER", "BIGINT"),
        (SmallInt(), "INTEGER", "SMALLINT"),
        (Flag(), "INTEGER", "BOOLEAN"),
        (UTCDateTime(), "INTEGER", "TIMESTAMP WITH TIME ZONE"),
        (UUIDColumn(), "BLOB", "UUID"),
        (JSONColumn(), "TEXT", "JSONB"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_column_is_declared_in_the_words_of_each_engine(
    column_type: BigInt, on_sqlite: str, on_postgresql: str
) -> None:
    assert column_type.compile(SQLITE) == on_sqlite
    assert column_type.compile(POSTGRESQL) == on_postgresql


def test_instant_is_stored_to_the_microsecond() -> None:
    stored = UTCDateTime().process_bind_param(INSTANT, SQLITE)
    assert stored == 1_795_593_600_123_456
    assert UTCDateTime().process_result_value(stored, SQLITE) == INSTANT
    assert UTCDateTime().process_bind_param(INSTANT, POSTGRESQL) == INSTANT


def test_instant_comes_back_in_utc_whatever_the_session_says() -> None:
    nairobi = INSTANT.astimezone(timezone(timedelta(hours=3)))
    found = UTCDateTime().process_result_value(nairobi, POSTGRESQL)
    assert found == INSTANT
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "value", [INSTANT.replace(tzinfo=None), INSTANT.astimezone(timezone(timedelta(hours=3)))]
)
def test_instant_outside_utc_is_refused(value: datetime) -> None:
    with pytest.raises(AssertionError, match="in UTC"):
        UTCDateTime().process_bind_param(value, SQLITE)


def test_identifier_is_16_bytes_on_sqlite() -> None:
    assert UUIDColumn().process_bind_param(IDENTIFIER, SQLITE) == IDENTIFIER.bytes
    assert UUIDColumn().process_bind_param(IDENTIFIER, POSTGRESQL) == IDENTIFIER
    assert UUIDColumn().process_result_value(IDENTIFIER.bytes, SQLITE) == IDENTIFIER


def test_flag_is_a_digit_on_sqlite() -> None:
    assert Flag().process_bind_param(value=True, dialect=SQLITE) == 1
    assert Flag().process_bind_param(value=False, dialect=POSTGRESQL) is False
    assert Flag().process_result_value(0, SQLITE) is False


def test_document_is_stored_with_sorted_keys_on_sqlite() -> None:
    document: Json = {"b": [1, None, True], "a": "电"}
    stored = JSONColumn().process_bind_param(document, SQLITE)
    assert stored == '{"a":"电","b":[1,null,true]}'
    assert JSONColumn().process_result_value(stored, SQLITE) == document
    assert JSONColumn().process_result_value(document, POSTGRESQL) == document


@pytest.mark.parametrize("column_type", [Flag(), UTCDateTime(), UUIDColumn(), JSONColumn()])
@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL], ids=["sqlite", "postgresql"])
def test_null_stays_null(column_type: Flag, dialect: Dialect) -> None:
    assert column_type.process_bind_param(None, dialect) is None
    assert column_type.process_result_value(None, dialect) is None


@pytest.mark.parametrize("column_type", [UTCDateTime(), UUIDColumn()])
def test_a_column_of_another_type_is_refused(column_type: UTCDateTime) -> None:
    with pytest.raises(TypeError, match="not str"):
        column_type.process_result_value("x", SQLITE)

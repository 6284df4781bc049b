"""Column types that mean the same on PostgreSQL and in a STRICT table of SQLite.

A STRICT table knows only INTEGER, TEXT, BLOB, REAL and ANY. Columns therefore use these types,
`sqlalchemy.Text` for text, `sqlalchemy.LargeBinary` for bytes and nothing else:

    type           PostgreSQL     SQLite
    BigInt         BIGINT         INTEGER (64 bits)
    SmallInt       SMALLINT       INTEGER
    Flag           BOOLEAN        INTEGER 0 or 1
    UTCDateTime    TIMESTAMPTZ    INTEGER, microseconds since 1970-01-01T00:00Z
    UUIDColumn     UUID           BLOB of 16 bytes, big-endian
    JSONColumn     JSONB          TEXT, keys sorted
"""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, DateTime, Integer, LargeBinary, SmallInteger, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

Implementation = TypeEngine[Any] | type[TypeEngine[Any]]
"""How SQLAlchemy declares `TypeDecorator.impl`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Json = dict[str, "Json"] | list["Json"] | str | int | bool | None
"""What a JSONColumn holds; no floats, so that amounts stay whole."""


def is_sqlite(dialect: Dialect) -> bool:
    """Return whether the dialect is SQLite's."""
    return dialect.name == "sqlite"


class BigInt(TypeDecorator[int]):
    """A whole number of 64 bits: minor units of money, watt-hours, counters."""

    impl: Implementation = BigInteger
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the engine's own type."""
        return dialect.type_descriptor(Integer() if is_sqlite(dialect) else BigInteger())


class SmallInt(TypeDecorator[int]):
    """A whole number of 16 bits: small enumerations and counts."""

    impl: Implementation = SmallInteger
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the engine's own type."""
        return dialect.type_descriptor(Integer() if is_sqlite(dialect) else SmallInteger())


class Flag(TypeDecorator[bool]):
    """True or false."""

    impl: Implementation = Boolean
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the engine's own type."""
        return dialect.type_descriptor(Integer() if is_sqlite(dialect) else Boolean())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> bool | int | None:  # noqa: FBT001 # the signature is SQLAlchemy's
        """Return the value as the engine stores it."""
        if value is None:
            return None
        return int(value) if is_sqlite(dialect) else value

    def process_result_value(self, value: object, dialect: Dialect) -> bool | None:
        """Return the stored value as a bool."""
        del dialect
        return None if value is None else bool(value)


class UTCDateTime(TypeDecorator[datetime]):
    """An instant: aware and in UTC on both sides, to the microsecond."""

    impl: Implementation = DateTime
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the engine's own type."""
        return dialect.type_descriptor(Integer() if is_sqlite(dialect) else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | int | None:
        """Return the instant as the engine stores it."""
        if value is None:
            return None
        assert value.tzinfo is UTC, "an instant is in UTC"
        return (value - _EPOCH) // _MICROSECOND if is_sqlite(dialect) else value

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """Return the stored instant in UTC.

        Raises:
            TypeError: The column holds something else.
        """
        del dialect
        match value:
            case None:
                return None
            case int():
                return _EPOCH + value * _MICROSECOND
            case datetime():
                return value.astimezone(UTC)
            case _:
                message = f"an instant is stored as int or timestamp, not {type(value).__name__}"
                raise TypeError(message)


class UUIDColumn(TypeDecorator[uuid.UUID]):
    """An identifier of ours."""

    impl: Implementation = Uuid
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the engine's own type."""
        return dialect.type_descriptor(LargeBinary(16) if is_sqlite(dialect) else Uuid())

    def process_bind_param(
        self, value: uuid.UUID | None, dialect: Dialect
    ) -> uuid.UUID | bytes | None:
        """Return the identifier as the engine stores it."""
        if value is None:
            return None
        return value.bytes if is_sqlite(dialect) else value

    def process_result_value(self, value: object, dialect: Dialect) -> uuid.UUID | None:
        """Return the stored identifier.

        Raises:
            TypeError: The column holds something else.
        """
        del dialect
        match value:
            case None | uuid.UUID():
                return value
            case bytes():
                return uuid.UUID(bytes=value)
            case _:
                message = f"an identifier is stored as 16 bytes, not {type(value).__name__}"
                raise TypeError(message)


class JSONColumn(TypeDecorator[Json]):
    """A small document of ours: a payload, facts; never something we search in."""

    impl: Implementation = Text
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the engine's own type."""
        return dialect.type_descriptor(Text() if is_sqlite(dialect) else JSONB(none_as_null=True))

    def process_bind_param(self, value: Json, dialect: Dialect) -> Json:
        """Return the document as the engine takes it."""
        if value is None or not is_sqlite(dialect):
            return value
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def process_result_value(self, value: Any, dialect: Dialect) -> Json:  # noqa: ANN401 # the driver's own decoding
        """Return the stored document."""
        if value is None or not is_sqlite(dialect):
            parsed: Json = value
            return parsed
        decoded: Json = json.loads(value)
        return decoded

"""Every query on tariff versions."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from vending.persistence.upsert import insert_or_ignore
from vending.tariffs.model import Tariff
from vending.tariffs.tables import tariffs
from vending.values.identifiers import TariffId
from vending.values.money import Currency


def insert_version(connection: Connection, tariff: Tariff, *, created_at: datetime) -> bool:
    """Store a version; return whether it was stored: its number may have been taken meanwhile."""
    statement = insert_or_ignore(connection, tariffs).returning(tariffs.c.id)
    row = {
        "id": tariff.id,
        "code": tariff.code,
        "version": tariff.version,
        "currency": tariff.currency.code,
        "price_per_kwh_micro": tariff.price_per_kwh_micro,
        "vat_basis_points": tariff.vat_basis_points,
        "effective_from": tariff.effective_from,
        "created_at": created_at,
    }
    return connection.execute(statement, row).one_or_none() is not None


def find_latest(connection: Connection, code: str) -> Tariff | None:
    """Return the version of a code that was stored last, effective or not."""
    query = select(tariffs).where(tariffs.c.code == code).order_by(tariffs.c.version.desc())
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _to_tariff(row)


def find_effective(
    connection: Connection, codes: Collection[str], at: datetime
) -> dict[str, Tariff]:
    """Return for each code the version that holds at the instant; none where none has started."""
    started = (
        select(tariffs.c.code, func.max(tariffs.c.version).label("version"))
        .where(tariffs.c.code.in_(set(codes)), tariffs.c.effective_from <= at)
        .group_by(tariffs.c.code)
        .subquery()
    )
    # A later version starts later, so the highest version that has started is the one that holds.
    query = select(tariffs).join(
        started,
        (tariffs.c.code == started.c.code) & (tariffs.c.version == started.c.version),
    )
    return {tariff.code: tariff for tariff in map(_to_tariff, connection.execute(query))}


def find_currencies(connection: Connection, codes: Collection[str]) -> dict[str, Currency]:
    """Return the currency of each code that has a version."""
    query = select(tariffs.c.code, tariffs.c.currency).where(
        tariffs.c.code.in_(set(codes)), tariffs.c.version == 1
    )
    return {row.code: Currency(row.currency) for row in connection.execute(query)}


def list_versions(connection: Connection, code: str | None, *, limit: int) -> list[Tariff]:
    """Return the versions of a code, or of all, the latest of each code first."""
    query = select(tariffs).order_by(tariffs.c.code, tariffs.c.version.desc()).limit(limit)
    if code is not None:
        query = query.where(tariffs.c.code == code)
    return [_to_tariff(row) for row in connection.execute(query)]


def _to_tariff(row: Row[Any]) -> Tariff:
    return Tariff(
        id=TariffId(row.id),
        code=row.code,
        version=row.version,
        currency=Currency(row.currency),
        price_per_kwh_micro=row.price_per_kwh_micro,
        vat_basis_points=row.vat_basis_points,
        effective_from=row.effective_from,
    )

"""Use cases of the tariffs, and what a sale needs of them inside its own transaction."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.persistence.engine import Database
from vending.tariffs import repository
from vending.tariffs.errors import TariffNotFoundError, TariffOverlapError
from vending.tariffs.model import Tariff, TariffDraft
from vending.tariffs.repository import find_currencies, find_effective
from vending.tariffs.rules import check_new_version
from vending.values.clock import Clock
from vending.values.identifiers import TariffId, new_uuid7

__all__ = [
    "VERSION_COUNT_MAX",
    "add_version",
    "find_currencies",
    "find_effective",
    "list_versions",
    "load_effective",
]

VERSION_COUNT_MAX: Final = 1_000


def add_version(database: Database, draft: TariffDraft, *, clock: Clock) -> Tariff:
    """Store the next version of a tariff; it takes effect by itself when its time comes.

    Raises:
        TariffInvalidError: The smallest amount would buy more than a token carries.
        TariffBackdatedError: It starts before now.
        TariffCurrencyFixedError: It changes the currency of the code.
        TariffOverlapError: It does not start after the latest version.
    """
    now = clock.now()
    with database.unit_of_work() as uow:
        latest = repository.find_latest(uow.connection, draft.code)
        version = check_new_version(draft, latest, now)
        tariff = Tariff(
            id=TariffId(new_uuid7(clock)),
            version=version,
            code=draft.code,
            currency=draft.currency,
            price_per_kwh_micro=draft.price_per_kwh_micro,
            vat_basis_points=draft.vat_basis_points,
            effective_from=draft.effective_from,
        )
        if not repository.insert_version(uow.connection, tariff, created_at=now):
            # Someone added a version between our look and our insert.
            raise TariffOverlapError(draft.code, draft.effective_from, draft.effective_from)
        uow.commit()
    return tariff


def load_effective(connection: Connection, code: str, at: datetime) -> Tariff:
    """Return the version of a tariff that holds at the instant.

    Raises:
        TariffNotFoundError: None has started.
    """
    tariff = find_effective(connection, [code], at).get(code)
    if tariff is None:
        raise TariffNotFoundError(code, at)
    return tariff


def list_versions(
    connection: Connection, code: str | None = None, *, limit: int = VERSION_COUNT_MAX
) -> list[Tariff]:
    """Return the versions of a code, or of all codes, the latest of each first."""
    assert 1 <= limit <= VERSION_COUNT_MAX, "a list is bounded"
    return repository.list_versions(connection, code, limit=limit)

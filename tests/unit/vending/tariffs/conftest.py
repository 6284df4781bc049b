from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from vending.tariffs.model import Tariff
from vending.values.identifiers import TariffId
from vending.values.money import Currency

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)


@pytest.fixture
def make_tariff() -> Callable[..., Tariff]:
    def make(
        price_per_kwh_micro: int = 20_000_000,
        *,
        vat_basis_points: int = 1600,
        currency: str = "KES",
        version: int = 1,
        effective_from: datetime = START,
    ) -> Tariff:
        return Tariff(
            id=TariffId(UUID(int=version)),
            code="RES-1",
            version=version,
            currency=Currency(currency),
            price_per_kwh_micro=price_per_kwh_micro,
            vat_basis_points=vat_basis_points,
            effective_from=effective_from,
        )

    return make

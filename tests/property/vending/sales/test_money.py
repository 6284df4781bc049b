"""However tenders fall, no money is made or lost: it is energy, VAT, or the customer's credit."""

import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.support.shop import KES, TARIFF
from vending.sales.receipt import breakdown_lines
from vending.tariffs.errors import AmountTooHighError, AmountTooLowError
from vending.tariffs.model import Tariff
from vending.tariffs.rules import compute_quote
from vending.values.identifiers import TariffId
from vending.values.money import Money

prices = st.integers(1_000, 500_000_000)
vats = st.integers(0, 10_000)
tenders = st.lists(st.integers(1, 2_000_000), min_size=1, max_size=40)


def _tariff(price: int, vat: int) -> Tariff:
    return Tariff(
        id=TariffId(uuid.UUID(int=1)),
        version=1,
        code=TARIFF,
        currency=KES,
        price_per_kwh_micro=price,
        vat_basis_points=vat,
        effective_from=datetime(2026, 1, 1, tzinfo=UTC),
    )


@given(prices, vats, tenders)
def test_tenders_are_energy_and_vat_and_credit_to_the_last_cent(
    price: int, vat: int, minors: list[int]
) -> None:
    tariff = _tariff(price, vat)
    credit = Money(0, KES)
    paid = net = tax = 0
    for minor in minors:
        try:
            quote = compute_quote(Money(minor, KES), credit, tariff)
        except (AmountTooLowError, AmountTooHighError):
            continue
        lines = [line["minor"] for line in breakdown_lines(quote)]
        assert sum(one for one in lines if isinstance(one, int)) == minor
        credit = quote.carried_forward
        paid += minor
        net += quote.net.minor
        tax += quote.vat.minor
    assert paid == net + tax + credit.minor

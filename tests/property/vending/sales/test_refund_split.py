"""Whatever the parts, refunds of a sale sum to its own net and VAT, and none is negative."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from vending.sales.rules import split_refund
from vending.tariffs.model import Quote
from vending.values.identifiers import TariffId
from vending.values.money import Currency, Money

KES = Currency("KES")
NOTHING = Money(0, KES)


def quote_of(net_minor: int, vat_minor: int) -> Quote:
    return Quote(
        tariff_id=TariffId(uuid.UUID(int=1)),
        tariff_code="RES-1",
        tariff_version=1,
        tender=Money(net_minor + vat_minor, KES),
        brought_forward=NOTHING,
        units=1,
        units_on_token=1,
        net=Money(net_minor, KES),
        vat=Money(vat_minor, KES),
        carried_forward=NOTHING,
        rounding_expense=NOTHING,
    )


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.data())
def test_refunds_sum_to_the_split_of_the_sale(
    net_minor: int, vat_minor: int, data: st.DataObject
) -> None:
    quote = quote_of(net_minor, vat_minor)
    left, before = quote.gross.minor, 0
    net_back = vat_back = NOTHING
    while left:
        part = data.draw(st.integers(max(1, left // 4), left))
        net, vat = split_refund(quote, before_minor=before, amount_minor=part)
        assert net + vat == Money(part, KES)
        assert min(net.minor, vat.minor) >= 0
        net_back, vat_back = net_back + net, vat_back + vat
        before, left = before + part, left - part
    assert (net_back, vat_back) == (quote.net, quote.vat)

"""A quote says what a tender buys, and is kept to the cent."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.books import count_rows, find_broken
from tests.support.shop import KES, Shop, document_of, pan_of
from vending.meters.errors import MeterCheckDigitError, MeterNotFoundError
from vending.sales.model import Answer
from vending.sales.service.quotes import quote
from vending.tariffs.errors import AmountTooLowError, WrongCurrencyError
from vending.values.money import Currency, Money


def test_quote_holds_nothing_and_is_sold_to_the_cent(shop: Shop) -> None:
    before = count_rows(shop.database)
    stored, tariff = quote(shop.partner.id, shop.meters[0].pan.digits, Money(5000, KES), shop.desk)
    assert count_rows(shop.database) == before
    assert stored.expires_at - stored.created_at == timedelta(minutes=10)
    assert tariff.id == stored.quote.tariff_id
    request = replace(shop.request("k1"), quote_id=stored.id)
    sold = shop.sell(request)
    assert document_of(sold)["lines"][0]["minor"] == stored.quote.net.minor
    assert isinstance(sold, Answer)
    shop.clock.advance(timedelta(hours=1))
    assert shop.sell(request) == replace(sold, replayed=True), "a repeat outlives its quote"
    assert find_broken(shop.database) == []


def test_quote_counts_the_credit_of_the_meter(shop: Shop) -> None:
    kept = shop.issue("k1")["lines"][3]["minor"]
    stored, _ = quote(shop.partner.id, shop.meters[0].pan.iain, Money(5000, KES), shop.desk)
    assert stored.quote.brought_forward == Money(kept, KES)


def test_request_that_cannot_be_sold_is_not_quoted(shop: Shop) -> None:
    number = shop.meters[0].pan.iain
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    with pytest.raises(MeterCheckDigitError):
        quote(shop.partner.id, wrong, Money(5000, KES), shop.desk)
    with pytest.raises(MeterNotFoundError):
        quote(shop.partner.id, pan_of(99_999_999).iain, Money(5000, KES), shop.desk)
    with pytest.raises(AmountTooLowError):
        quote(shop.partner.id, number, Money(1, KES), shop.desk)
    with pytest.raises(WrongCurrencyError):
        quote(shop.partner.id, number, Money(5000, Currency("UGX")), shop.desk)

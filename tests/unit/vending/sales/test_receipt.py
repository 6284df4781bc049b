"""The receipt: its sum, its two languages, its mark as a copy."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.shop import KES
from vending.sales.model import IssuedSale, StoredQuote
from vending.sales.receipt import (
    Holder,
    Language,
    Letterhead,
    breakdown_lines,
    kwh_text,
    percent_text,
    price_text,
    quote_document,
    receipt_lines,
    sale_document,
    watermark,
)
from vending.tariffs.model import Tariff
from vending.tariffs.rules import compute_quote
from vending.values.energy import Energy
from vending.values.identifiers import QuoteId
from vending.values.money import Money

LETTERHEAD = Letterhead("Lumen Utility", "Africa/Nairobi", "en")


def _lines(issued: IssuedSale, tariff: Tariff, holder: Holder | None) -> list[str]:
    lines = receipt_lines(issued, tariff, holder, LETTERHEAD)["lines"]
    assert isinstance(lines, list)
    return lines


def test_receipt_in_english(issued: IssuedSale, tariff: Tariff) -> None:
    assert _lines(issued, tariff, Holder("A**** W******", "en")) == [
        "Lumen Utility",
        "Prepaid electricity receipt",
        f"Receipt: {issued.sale.receipt_number}",
        "Date: 2026-11-25 11:00",
        f"Meter: {issued.sale.meter_pan.iain}",
        "Customer: A**** W******",
        "Paid: 50.00 KES",
        "Energy 2.1 kWh @ 20.00: 42.00 KES",
        "VAT 16%: 6.72 KES",
        "Credit kept for next time: 1.28 KES",
        "Units: 2.1 kWh",
        "Token: 7063 0503 4700 2872 6114",
    ]


def test_receipt_in_chinese(issued: IssuedSale, tariff: Tariff) -> None:
    lines = _lines(issued, tariff, Holder("王*", "zh-CN"))
    assert lines[1:3] == ["预付费购电凭证", f"凭证号: {issued.sale.receipt_number}"]
    assert "日期: 2026-11-25 11:00" in lines
    assert "充值码: 7063 0503 4700 2872 6114" in lines


def test_receipt_without_a_customer_is_in_the_language_of_the_utility(
    issued: IssuedSale, tariff: Tariff
) -> None:
    receipt = receipt_lines(issued, tariff, None, replace(LETTERHEAD, language="zh-CN"))
    assert receipt["language"] == "zh-CN"
    assert not any("用户" in line for line in _lines(issued, tariff, None))


def test_credit_of_last_time_is_shown_when_there_is_some(
    issued: IssuedSale, tariff: Tariff
) -> None:
    quote = compute_quote(Money(5000, KES), Money(128, KES), tariff)
    sale = replace(issued.sale, quote=quote)
    assert "Credit from last time: 1.28 KES" in _lines(replace(issued, sale=sale), tariff, None)


@pytest.mark.parametrize("brought_minor", [0, 1, 231])
@pytest.mark.parametrize("tender_minor", [232, 5000, 99_999])
def test_lines_sum_to_the_tender(tariff: Tariff, tender_minor: int, brought_minor: int) -> None:
    quote = compute_quote(Money(tender_minor, KES), Money(brought_minor, KES), tariff)
    amounts = [line["minor"] for line in breakdown_lines(quote)]
    assert sum(minor for minor in amounts if isinstance(minor, int)) == tender_minor


@pytest.mark.parametrize(
    ("language", "mark"),
    [("en", "*** COPY - not a new token ***"), ("zh-CN", "*** 补打凭证 - 非新充值码 ***")],
)
def test_copy_is_marked_at_both_ends(
    issued: IssuedSale, tariff: Tariff, language: Language, mark: str
) -> None:
    receipt = receipt_lines(issued, tariff, Holder("A", language), LETTERHEAD)
    copied = watermark(receipt)
    assert copied["lines"] == [mark, *_lines(issued, tariff, Holder("A", language)), mark]
    assert mark not in str(receipt)


def test_document_names_the_sale_and_masks_its_customer(issued: IssuedSale, tariff: Tariff) -> None:
    document = sale_document(issued, tariff, Holder("A**** W******", "en"), LETTERHEAD)
    assert document["id"] == str(issued.sale.id)
    assert document["issued_at"] == "2026-11-25T08:00:30Z"
    assert document["meter"] == {
        "pan": issued.sale.meter_pan.digits,
        "drn": issued.sale.meter_pan.iain,
        "customer": "A**** W******",
    }
    nobody = sale_document(issued, tariff, None, LETTERHEAD)["meter"]
    assert isinstance(nobody, dict)
    assert nobody["customer"] is None


def test_quote_document_has_its_end_and_no_token(issued: IssuedSale, tariff: Tariff) -> None:
    sale = issued.sale
    stored = StoredQuote(
        id=QuoteId(uuid.UUID(int=9)),
        partner_id=sale.partner_id,
        meter_id=sale.meter_id,
        meter_pan=sale.meter_pan,
        quote=sale.quote,
        created_at=sale.created_at,
        expires_at=sale.created_at + timedelta(minutes=10),
    )
    document = quote_document(stored, tariff)
    assert document["expires_at"] == "2026-11-25T08:10:30Z"
    assert document["energy_wh"] == 2100
    assert "tokens" not in document


@pytest.mark.parametrize(
    ("micro", "text"),
    [(20_000_000, "20.00"), (21_500_000, "21.50"), (123_456, "0.123456"), (1, "0.000001")],
)
def test_price_shows_the_places_it_needs(tariff: Tariff, micro: int, text: str) -> None:
    assert price_text(replace(tariff, price_per_kwh_micro=micro)) == text


@pytest.mark.parametrize(
    ("basis_points", "text"), [(0, "0"), (1600, "16"), (750, "7.5"), (5, "0.05"), (1234, "12.34")]
)
def test_percentage_shows_no_empty_places(tariff: Tariff, basis_points: int, text: str) -> None:
    assert percent_text(replace(tariff, vat_basis_points=basis_points)) == text


def test_energy_is_shown_in_units_of_a_token() -> None:
    assert kwh_text(Energy(1_234_500)) == "1234.5 kWh"
    with pytest.raises(AssertionError):
        kwh_text(Energy(50))

"""The records of a sale and the table of its states."""

import uuid
from dataclasses import replace

import pytest

from tests.support.shop import KES
from vending.sales.model import (
    OPEN_SALE_STATES,
    SALE_TRANSITIONS,
    Answer,
    IssuedSale,
    Sale,
    SaleState,
    VendRequest,
)
from vending.values.identifiers import QuoteId
from vending.values.money import Currency, Money


def test_every_state_has_its_row() -> None:
    assert set(SALE_TRANSITIONS) == set(SaleState)


def test_open_sale_may_become_issued_refused_or_unknown_and_nothing_reopens_one() -> None:
    for state in OPEN_SALE_STATES:
        assert SaleState.DECLINED in SALE_TRANSITIONS[state]
        assert SaleState.RELEASED in SALE_TRANSITIONS[state]
    for state in set(SaleState) - OPEN_SALE_STATES - {SaleState.QUOTED}:
        assert not SALE_TRANSITIONS[state] & OPEN_SALE_STATES


@pytest.mark.parametrize(
    "change",
    [
        {"meter": "600727000000000999"},
        {"tender": Money(5001, KES)},
        {"tender": Money(5000, Currency("UGX"))},
        {"quote_id": QuoteId(uuid.UUID(int=1))},
        {"terminal": "till"},
        {"operator": "Ann"},
        {"terminal": ""},
    ],
    ids=str,
)
def test_any_other_body_has_another_fingerprint(
    request_: VendRequest, change: dict[str, object]
) -> None:
    changed = replace(request_, **change)  # type: ignore[arg-type] # by case
    assert changed.fingerprint() != request_.fingerprint()
    assert replace(request_).fingerprint() == request_.fingerprint()


def test_text_cannot_move_from_one_field_of_the_body_to_the_next(request_: VendRequest) -> None:
    one = replace(request_, terminal="a\x1fb", operator="c")
    other = replace(request_, terminal="a", operator="b\x1fc")
    assert one.fingerprint() != other.fingerprint()


def test_module_is_asked_the_same_every_time(sale: Sale) -> None:
    request = sale.credit_token_request()
    assert request == sale.credit_token_request()
    assert (request.tid.minutes, request.rnd) == (sale.tid, sale.rnd)
    assert request.units == sale.quote.units


def test_no_repr_shows_a_token(issued: IssuedSale) -> None:
    assert issued.digits not in repr(issued)
    assert "6114" in repr(issued)
    assert issued.digits not in repr(Answer(201, issued.digits.encode()))

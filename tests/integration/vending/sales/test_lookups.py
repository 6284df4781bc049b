"""Sales are found and printed again, by their own partner only."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.support.shop import KES, Shop
from tests.support.slow_security_module import Fault, SlowSecurityModule
from vending.partners.service import add_partner
from vending.persistence.audit import audit_events
from vending.sales import repository
from vending.sales.errors import SaleNotFoundError, SaleNotReprintableError
from vending.sales.service.lookups import load_document, load_sale, load_sale_by_key, reprint
from vending.values.actor import SYSTEM
from vending.values.identifiers import IdempotencyKey, SaleId


def test_reprint_is_recorded_as_a_view(shop: Shop) -> None:
    sold = shop.issue("k-1")
    reprint(shop.partner.id, SaleId(uuid.UUID(sold["id"])), shop.desk)
    with shop.database.read() as connection:
        query = select(audit_events).where(audit_events.c.action == "token.viewed")
        (event,) = connection.execute(query).all()
    assert (event.actor_name, event.subject) == ("Corner Shop", f"sale:{sold['id']}")
    assert sold["tokens"][0]["digits"] not in str(event)


def test_reprint_is_the_first_receipt_marked_as_a_copy(shop: Shop) -> None:
    sold = shop.issue("k1")
    copied = reprint(shop.partner.id, SaleId(uuid.UUID(sold["id"])), shop.desk)
    assert copied["copy"] is True
    assert copied["tokens"] == sold["tokens"]
    assert copied["receipt"]["lines"][1:-1] == sold["receipt"]["lines"]
    assert "COPY" in copied["receipt"]["lines"][0]


def test_sale_is_found_by_id_and_by_key(shop: Shop) -> None:
    sold = shop.issue("k1")
    with shop.database.read() as connection:
        by_key = load_sale_by_key(connection, shop.partner.id, IdempotencyKey("k1"))
        by_id = load_sale(connection, shop.partner.id, by_key.id)
        assert by_id == by_key
        assert load_document(connection, by_id, shop.desk) == sold
        assert repository.count_sales(connection) == 1


def test_other_partner_finds_nothing(shop: Shop) -> None:
    sale_id = SaleId(uuid.UUID(shop.issue("k1")["id"]))
    rival = add_partner(shop.database, "Rival", KES, by=SYSTEM, clock=shop.clock)
    with shop.database.read() as connection:
        with pytest.raises(SaleNotFoundError):
            load_sale(connection, rival.id, sale_id)
        with pytest.raises(SaleNotFoundError):
            load_sale_by_key(connection, rival.id, IdempotencyKey("k1"))
    with pytest.raises(SaleNotFoundError):
        reprint(rival.id, sale_id, shop.desk)


def test_sale_without_a_token_cannot_be_printed(shop: Shop, module: SlowSecurityModule) -> None:
    module.plan(Fault.LOSE_REQUEST)
    shop.sell(shop.request("k1"), shop.using(module))
    with shop.database.read() as connection:
        sale = load_sale_by_key(connection, shop.partner.id, IdempotencyKey("k1"))
    with pytest.raises(SaleNotReprintableError):
        reprint(shop.partner.id, sale.id, shop.desk)


def test_sales_are_listed_in_pages_from_the_newest(shop: Shop) -> None:
    for number in range(5):
        shop.issue(f"k{number}")
        if number != 2:
            shop.clock.advance(timedelta(minutes=1))
    seen = []
    after = None
    with shop.database.read() as connection:
        while page := repository.list_sales(connection, shop.partner.id, after=after, limit=2):
            seen += page
            after = (page[-1].created_at, page[-1].id)
    assert len({sale.id for sale in seen}) == 5
    order = [(sale.created_at, sale.id.bytes) for sale in seen]
    assert order == sorted(order, reverse=True)

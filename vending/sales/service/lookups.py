"""Look up and reprint: what was sold, from what was stored; nothing here can make a token.

Whoever is shown a token is recorded, a partner too.
"""

import json
from typing import Any

from sqlalchemy import Connection

from vending.partners.service import load_partner
from vending.persistence.audit import AuditEvent, record
from vending.persistence.idempotency import Replay, find_answer
from vending.sales import repository
from vending.sales.errors import SaleNotFoundError, SaleNotReprintableError
from vending.sales.model import Sale
from vending.sales.receipt import watermark
from vending.sales.service.books import CREATED
from vending.sales.service.claims import open_answer
from vending.sales.service.desk import SalesDesk
from vending.values.actor import Actor, ActorKind
from vending.values.identifiers import IdempotencyKey, PartnerId, SaleId


def load_sale(connection: Connection, partner_id: PartnerId, sale_id: SaleId) -> Sale:
    """Return a sale of the partner.

    Raises:
        SaleNotFoundError: The partner has none of this id.
    """
    sale = repository.find_sale(connection, partner_id, sale_id)
    if sale is None:
        raise SaleNotFoundError
    return sale


def load_sale_by_key(connection: Connection, partner_id: PartnerId, key: IdempotencyKey) -> Sale:
    """Return the sale that was made under the partner's key.

    Raises:
        SaleNotFoundError: No sale was made under it.
    """
    sale = repository.find_sale_by_key(connection, partner_id, key)
    if sale is None:
        raise SaleNotFoundError
    return sale


def load_document(connection: Connection, sale: Sale, desk: SalesDesk) -> dict[str, Any] | None:
    """Return the document the sale was answered with; None: it has no token.

    Raises:
        SealBrokenError: The stored answer was altered.
    """
    found = find_answer(connection, sale.partner_id, sale.key)
    if not isinstance(found, Replay) or found.status != CREATED:
        return None
    answer = open_answer(found, sale.partner_id, sale.key, desk.answer_sealer)
    document: dict[str, Any] = json.loads(answer.body)
    return document


def note_view(sale: Sale, purpose: str, desk: SalesDesk) -> None:
    """Record that the partner of a sale is shown its token again."""
    with desk.database.unit_of_work() as uow:
        _record_view(uow.connection, sale, purpose, desk)
        uow.commit()


def reprint(partner_id: PartnerId, sale_id: SaleId, desk: SalesDesk) -> dict[str, Any]:
    """Return the receipt of a sale again, marked as a copy; the token is the one first issued.

    That the partner saw it again is recorded.

    Raises:
        SaleNotFoundError: The partner has none of this id.
        SaleNotReprintableError: The sale has no token.
        SealBrokenError: The stored answer was altered.
    """
    with desk.database.unit_of_work() as uow:
        sale = load_sale(uow.connection, partner_id, sale_id)
        document = load_document(uow.connection, sale, desk)
        if document is None:
            raise SaleNotReprintableError(sale.state)
        _record_view(uow.connection, sale, "reprint", desk)
        uow.commit()
    return {**document, "copy": True, "receipt": watermark(document["receipt"])}


def _record_view(connection: Connection, sale: Sale, purpose: str, desk: SalesDesk) -> None:
    partner = load_partner(connection, sale.partner_id)
    event = AuditEvent(
        Actor(ActorKind.PARTNER, partner.name, partner.id),
        "token.viewed",
        f"sale:{sale.id}",
        {"purpose": purpose},
    )
    record(connection, [event], desk.clock)

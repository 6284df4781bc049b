"""Orders of tokens as tests place them: approved by another person, then made."""

from sqlalchemy import select

from tests.support.people import approve, sign_in_as
from tests.support.shop import Shop
from vending.keystore.model import KeyReference
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.persistence.audit import audit_events
from vending.sts import (
    decode,
)
from vending.sts.dkga import derive_decoder_key
from vending.tokens.model import (
    FreeUnitsRequest,
    ManagementRequest,
    TokenKind,
)
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.free_units import issue_free_units, propose_free_units
from vending.tokens.service.management import issue_management_token, propose_management_token
from vending.tokens.service.orders import IssuedOrder
from vending.tokens.tables import token_orders
from vending.values.identifiers import ApprovalId


def read(shop: Shop, digits: str, *, meter: int = 0) -> object:
    """What the meter reads under the key it was given in the factory."""
    held = shop.meters[meter]
    key = shop.store.vending_key(KeyReference(held.sgc, held.krn, held.kt))
    return decode(digits, derive_decoder_key(key, pan=held.pan, ti=held.ti, ea=held.ea))


def approved(shop: Shop, desk: TokenDesk, by: SignedIn, request: ManagementRequest) -> ApprovalId:
    other = sign_in_as(shop.database, shop.clock, Role.FINANCE, name="approver")
    asked = propose_management_token(request, desk, by=by, reason="fault 12")
    approve(shop.database, shop.clock, asked.id, other)
    return asked.id


def order(
    shop: Shop,
    desk: TokenDesk,
    by: SignedIn,
    kind: TokenKind = TokenKind.CLEAR_TAMPER_CONDITION,
    value: int = 0,
) -> IssuedOrder:
    request = ManagementRequest(shop.meters[0].pan.iain, kind, value)
    approval_id = approved(shop, desk, by, request)
    return issue_management_token(request, desk, by=by, reason="fault 12", approval_id=approval_id)


def approved_units(shop: Shop, desk: TokenDesk, by: SignedIn, units: int) -> ApprovalId:
    other = sign_in_as(shop.database, shop.clock, Role.FINANCE, name="approver")
    request = FreeUnitsRequest(shop.meters[0].pan.iain, units)
    asked = propose_free_units(request, desk, by=by, reason="outage")
    approve(shop.database, shop.clock, asked.id, other)
    return asked.id


def give(shop: Shop, desk: TokenDesk, by: SignedIn, units: int) -> IssuedOrder:
    return issue_free_units(
        FreeUnitsRequest(shop.meters[0].pan.iain, units),
        desk,
        by=by,
        reason="outage",
        approval_id=approved_units(shop, desk, by, units),
    )


def states(shop: Shop) -> list[str]:
    with shop.database.read() as connection:
        query = select(token_orders.c.state).order_by(token_orders.c.created_at)
        return list(connection.execute(query).scalars())


def actions(shop: Shop, prefix: str) -> list[tuple[str, str]]:
    with shop.database.read() as connection:
        query = select(audit_events.c.actor_name, audit_events.c.action).order_by(audit_events.c.id)
        rows = [(row.actor_name, row.action) for row in connection.execute(query)]
    return [row for row in rows if row[1].startswith(prefix)]

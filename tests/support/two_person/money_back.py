"""A refund and a replacement above the limits of one person."""

import uuid

from sqlalchemy import func, select

from tests.support.shop import Shop, build_shop
from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from vending.approvals.model import UseCase
from vending.sales.model import (
    RefundDestination,
    RefundReason,
    RefundRequest,
    ReplacementReason,
    ReplacementRequest,
)
from vending.sales.service.refunds import list_refunds, propose_refund, refund_sale
from vending.sales.service.replacements import propose_replacement, replace_token
from vending.tokens.service.views import list_tokens
from vending.tokens.tables import token_orders
from vending.values.identifiers import SaleId


@scenario(UseCase.REFUND)
def refund(stage: Stage) -> TwoPersonAct:
    """Half of a sale, where one person may give nothing back."""
    shop = build_shop(stage.database, stage.clock, stage.folder)
    sale_id = SaleId(uuid.UUID(shop.issue("k-1")["id"]))
    request = RefundRequest(
        sale_id=sale_id,
        amount_minor=2_000,
        destination=RefundDestination.PARTNER,
        reason=RefundReason.PAID_TWICE,
        note="paid at two tills",
        key="refund-1",
    )

    def effect() -> object:
        with shop.database.read() as connection:
            return list_refunds(connection, sale_id)

    return TwoPersonAct(
        propose=lambda by: propose_refund(request, shop.desk, by=by).id,
        carry_out=lambda by, approval_id: refund_sale(
            request, shop.desk, by=by, approval_id=approval_id
        ),
        effect=effect,
    )


@scenario(UseCase.REPLACEMENT)
def replacement(stage: Stage) -> TwoPersonAct:
    """A token whose meter did not take it, where one person may replace none."""
    shop = build_shop(stage.database, stage.clock, stage.folder)
    shop.issue("k-1")
    desk = shop.container().token_desk
    with shop.database.read() as connection:
        ((token,), _) = list_tokens(connection, shop.meters[0].pan.digits)
    request = ReplacementRequest(token_id=token.id, reason=ReplacementReason.TOKEN_REJECTED)
    return TwoPersonAct(
        propose=lambda by: propose_replacement(request, desk, by=by, reason="keypad says no").id,
        carry_out=lambda by, approval_id: replace_token(
            request, desk, by=by, approval_id=approval_id
        ),
        effect=lambda: count_orders(shop),
    )


def count_orders(shop: Shop) -> int:
    """How many orders of tokens there are."""
    with shop.database.read() as connection:
        return connection.execute(select(func.count()).select_from(token_orders)).scalar_one()

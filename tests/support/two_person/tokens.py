"""Tokens that no sale makes: one that changes a meter, and one that nobody pays for."""

from tests.support.shop import build_shop
from tests.support.two_person.money_back import count_orders
from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from vending.approvals.model import UseCase
from vending.tokens.model import FreeUnitsRequest, ManagementRequest, TokenKind
from vending.tokens.service.free_units import issue_free_units, propose_free_units
from vending.tokens.service.management import issue_management_token, propose_management_token


@scenario(UseCase.MANAGEMENT_TOKEN)
def management_token(stage: Stage) -> TwoPersonAct:
    """A token that clears a tamper condition."""
    shop = build_shop(stage.database, stage.clock, stage.folder)
    desk = shop.container().token_desk
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    return TwoPersonAct(
        propose=lambda by: (
            propose_management_token(request, desk, by=by, reason="cover was open").id
        ),
        carry_out=lambda by, approval_id: issue_management_token(
            request, desk, by=by, reason="cover was open", approval_id=approval_id
        ),
        effect=lambda: count_orders(shop),
    )


@scenario(UseCase.FREE_TOKEN)
def free_token(stage: Stage) -> TwoPersonAct:
    """5 kWh for nothing."""
    shop = build_shop(stage.database, stage.clock, stage.folder)
    desk = shop.container().token_desk
    request = FreeUnitsRequest(shop.meters[0].pan.iain, 50)
    return TwoPersonAct(
        propose=lambda by: propose_free_units(request, desk, by=by, reason="outage").id,
        carry_out=lambda by, approval_id: issue_free_units(
            request, desk, by=by, reason="outage", approval_id=approval_id
        ),
        effect=lambda: count_orders(shop),
    )

"""Orders around a module that takes its time: left open, finished by a repeat or the worker."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.policies import set_policies
from tests.support.shop import Shop
from tests.support.slow_security_module import Fault, Refuse, SlowSecurityModule
from tests.support.token_orders import approved, approved_units, order, read, states
from vending.keystore.errors import KeyRetiredError, ModuleUnavailableError
from vending.ledger.service import verify
from vending.operators.model import SignedIn
from vending.policies.model import PolicyName
from vending.sts import (
    ClearTamperCondition,
    TransferCredit,
)
from vending.tokens.errors import (
    TokenOrderRefusedError,
    TokenOrderUnknownError,
)
from vending.tokens.model import (
    FreeUnitsRequest,
    ManagementRequest,
    TokenKind,
)
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.free_units import issue_free_units
from vending.tokens.service.management import issue_management_token
from vending.tokens.service.orders import finish_open_orders


@pytest.fixture
def module(shop: Shop) -> SlowSecurityModule:
    return SlowSecurityModule(shop.desk.security_module)


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_ANSWER])
def test_lost_answer_leaves_the_order_open_and_a_repeat_gives_its_token(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, module: SlowSecurityModule, fault: Fault
) -> None:
    slow = replace(desk, security_module=module)
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    approval_id = approved(shop, slow, clerk, request)
    module.plan(fault)
    with pytest.raises(TokenOrderUnknownError):
        issue_management_token(request, slow, by=clerk, reason="x", approval_id=approval_id)
    assert states(shop) == ["open"]
    issued = issue_management_token(request, slow, by=clerk, reason="x", approval_id=approval_id)
    assert isinstance(read(shop, issued.token.digits), ClearTamperCondition)
    assert states(shop) == ["issued"]


def test_worker_finishes_what_was_left_open(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, module: SlowSecurityModule
) -> None:
    slow = replace(desk, security_module=module)
    approval_id = approved_units(shop, slow, clerk, 10)
    request = FreeUnitsRequest(shop.meters[0].pan.iain, 10)
    module.plan(Fault.LOSE_ANSWER, Fault.LOSE_REQUEST)
    with pytest.raises(TokenOrderUnknownError):
        issue_free_units(request, slow, by=clerk, reason="x", approval_id=approval_id)
    assert finish_open_orders(slow, limit=10) == 0
    shop.clock.advance(timedelta(seconds=11))
    assert finish_open_orders(slow, limit=10) == 0
    shop.clock.advance(timedelta(seconds=11))
    assert finish_open_orders(slow, limit=10) == 1
    assert states(shop) == ["issued"]
    issued = issue_free_units(request, slow, by=clerk, reason="x", approval_id=approval_id)
    assert isinstance(read(shop, issued.token.digits), TransferCredit)
    with shop.database.read() as connection:
        assert verify(connection) == []


def test_module_that_refuses_for_good_ends_the_order_and_gives_the_ceiling_back(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, module: SlowSecurityModule
) -> None:
    set_policies(shop.database, shop.clock, {PolicyName.CEILING_MANAGEMENT_TOKENS: 1})
    slow = replace(desk, security_module=module)
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    approval_id = approved(shop, slow, clerk, request)
    module.plan(Refuse(KeyRetiredError("123457/1/DUTK")))
    for _ in range(2):
        with pytest.raises(TokenOrderRefusedError):
            issue_management_token(request, slow, by=clerk, reason="x", approval_id=approval_id)
    assert states(shop) == ["refused"]
    order(shop, slow, clerk)
    assert states(shop) == ["refused", "issued"]


def test_dead_module_refuses_before_anything_is_kept(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, module: SlowSecurityModule
) -> None:
    slow = replace(desk, security_module=module)
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    approval_id = approved(shop, slow, clerk, request)
    module.refuses = ModuleUnavailableError()
    with pytest.raises(ModuleUnavailableError):
        issue_management_token(request, slow, by=clerk, reason="x", approval_id=approval_id)
    assert states(shop) == []

"""Replacements: the same units under a new identifier, once, and not when the first was taken."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from tests.support.people import approve, sign_in_as
from tests.support.policies import set_policies
from tests.support.shop import Shop
from vending.approvals.errors import ApprovalMismatchError, ApprovalRequiredError
from vending.commands.model import CommandKind, CommandState, NewCommand
from vending.commands.service import queue_commands
from vending.commands.tables import commands
from vending.customers.service import hold_customer
from vending.ledger.tables import journal_entries
from vending.meters.service import assign_customer, change_link
from vending.operators.errors import PermissionDeniedError
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.policies.model import PolicyName
from vending.sales.errors import ReplacementRefusedError
from vending.sales.model import (
    RefundDestination,
    RefundReason,
    RefundRequest,
    ReplacementReason,
    ReplacementRequest,
)
from vending.sales.service.refunds import refund_sale
from vending.sales.service.replacements import propose_replacement, replace_token
from vending.tokens.errors import TokenNotFoundError, TokenReplacedError
from vending.tokens.model import TokenRecord
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.views import list_tokens
from vending.values.actor import SYSTEM
from vending.values.identifiers import SaleId, TokenId
from vending.worker.context import make_context
from vending.worker.jobs import HANDLERS, relay_outbox

ALONE = {PolicyName.REPLACEMENT_LIMIT_WH: 1_000_000}
NOT_ALONE: dict[PolicyName, object] = {PolicyName.REPLACEMENT_LIMIT_WH: 0}


@pytest.fixture
def desk(shop: Shop) -> TokenDesk:
    """One person may replace any token."""
    set_policies(shop.database, shop.clock, ALONE)
    return shop.container().token_desk


@pytest.fixture
def clerk(shop: Shop) -> SignedIn:
    return sign_in_as(shop.database, shop.clock, Role.CUSTOMER_SERVICE, name="clerk")


@pytest.fixture
def token(shop: Shop) -> TokenRecord:
    shop.issue("k-1")
    with shop.database.read() as connection:
        ((sold,), _) = list_tokens(connection, shop.meters[0].pan.digits)
    return sold


def request(token: TokenRecord, meter: str | None = None) -> ReplacementRequest:
    return ReplacementRequest(
        token_id=token.id, reason=ReplacementReason.TOKEN_REJECTED, meter=meter
    )


def test_replacement_carries_the_units_under_the_next_identifier(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, token: TokenRecord
) -> None:
    issued = replace_token(request(token), desk, by=clerk)
    read = shop.enter_token(issued.token.digits)
    assert read.units == token.units
    assert token.tid is not None
    assert read.tid.minutes == token.tid + 1
    assert issued.order.replaces_token_id == token.id
    assert issued.order.sale_id == token.sale_id
    with shop.database.read() as connection:
        entries = connection.execute(select(func.count()).select_from(journal_entries)).scalar_one()
    assert entries == 1, "nothing is paid for a replacement"


def test_token_is_replaced_once_by_whoever_asks(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, token: TokenRecord
) -> None:
    issued = replace_token(request(token), desk, by=clerk)
    again = replace_token(request(token), desk, by=clerk)
    assert again.token.digits == issued.token.digits
    other = sign_in_as(shop.database, shop.clock, Role.CUSTOMER_SERVICE, name="other")
    with pytest.raises(TokenReplacedError):
        replace_token(request(token), desk, by=other)


def test_one_person_makes_no_chain_of_replacements(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, token: TokenRecord
) -> None:
    """Each link would be as good as the first: one small sale, and units without end."""
    issued = replace_token(request(token), desk, by=clerk)
    second = request(issued.token.record)
    other = sign_in_as(shop.database, shop.clock, Role.CUSTOMER_SERVICE, name="other")
    for by in (clerk, other):
        with pytest.raises(ApprovalRequiredError):
            replace_token(second, desk, by=by)

    finance = sign_in_as(shop.database, shop.clock, Role.FINANCE, name="finance")
    asked = propose_replacement(second, desk, by=clerk, reason="keypad")
    approve(shop.database, shop.clock, asked.id, finance)
    made = replace_token(second, desk, by=clerk, approval_id=asked.id)
    assert (made.order.sale_id, made.order.approval_id) == (token.sale_id, asked.id)


def test_one_person_gives_no_money_back_for_units_given_twice(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, token: TokenRecord
) -> None:
    replace_token(request(token), desk, by=clerk)
    assert token.sale_id is not None
    set_policies(shop.database, shop.clock, {PolicyName.REFUND_LIMIT_MINOR: {"KES": 1_000}})
    wanted = RefundRequest(
        sale_id=token.sale_id,
        amount_minor=1,
        destination=RefundDestination.PARTNER,
        reason=RefundReason.WRONG_METER,
        note="typed the wrong meter",
        key="r-1",
    )
    with pytest.raises(ApprovalRequiredError):
        refund_sale(wanted, shop.desk, by=clerk)


def test_more_than_the_limit_takes_two(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, token: TokenRecord
) -> None:
    too_little = {PolicyName.REPLACEMENT_LIMIT_WH: token.units * 100 - 1}
    set_policies(shop.database, shop.clock, too_little)
    with pytest.raises(ApprovalRequiredError):
        replace_token(request(token), desk, by=clerk)
    finance = sign_in_as(shop.database, shop.clock, Role.FINANCE, name="finance")
    asked = propose_replacement(request(token), desk, by=clerk, reason="keypad")
    approve(shop.database, shop.clock, asked.id, finance)
    changed = replace(request(token), reason=ReplacementReason.METER_REPLACED)
    with pytest.raises(ApprovalMismatchError):
        replace_token(changed, desk, by=clerk, approval_id=asked.id)
    made = [replace_token(request(token), desk, by=clerk, approval_id=asked.id) for _ in range(2)]
    assert made[0].token.digits == made[1].token.digits


def test_units_follow_the_customer_to_the_new_meter_alone(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, token: TokenRecord
) -> None:
    assign_customer(
        shop.database,
        shop.meters[2].pan,
        None,
        hold_customer=hold_customer,
        by=SYSTEM,
        clock=shop.clock,
    )
    with pytest.raises(ReplacementRefusedError):
        replace_token(request(token, shop.meters[2].pan.iain), desk, by=clerk)
    issued = replace_token(request(token, shop.meters[1].pan.iain), desk, by=clerk)
    assert shop.enter_token(issued.token.digits, meter=1).units == token.units


@pytest.mark.parametrize(
    ("state", "is_replaced"),
    [
        (CommandState.DONE, False),
        (CommandState.RECONCILED, False),
        (CommandState.QUEUED, False),
        (CommandState.NEEDS_HUMAN, False),
        (CommandState.REFUSED, True),
        (CommandState.EXPIRED, True),
    ],
)
def test_delivery_decides_whether_a_token_is_replaced(
    shop: Shop,
    desk: TokenDesk,
    clerk: SignedIn,
    token: TokenRecord,
    state: CommandState,
    is_replaced: bool,  # noqa: FBT001 # a column of the table
) -> None:
    entry = NewCommand(
        kind=CommandKind.ENTER_TOKEN,
        meter_id=token.meter_id,
        sale_id=token.sale_id,
        token_id=token.id,
        dedupe_key="sale:1",
        reason="sale",
        requested_by="sale",
    )
    with shop.database.unit_of_work() as uow:
        queue_commands(uow.connection, [entry], shop.clock)
        uow.connection.execute(commands.update().values(state=state.value))
        uow.commit()
    if is_replaced:
        replace_token(request(token), desk, by=clerk)
    else:
        with pytest.raises(ReplacementRefusedError):
            replace_token(request(token), desk, by=clerk)


def test_replaced_token_is_no_longer_delivered(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, token: TokenRecord
) -> None:
    change_link(
        shop.database,
        token.meter_pan,
        profile="reference_prepay",
        link="modbus-tcp://127.0.0.1:502/1",
        by=SYSTEM,
        clock=shop.clock,
    )
    issued = replace_token(request(token), desk, by=clerk)
    context = make_context(shop.container())
    relay_outbox(context, lambda _, action: action(), HANDLERS)
    with shop.database.read() as connection:
        entered = connection.execute(select(commands.c.token_id)).scalars().all()
    assert entered == [issued.token.record.id]


def test_two_at_once_replace_a_token_once(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, token: TokenRecord
) -> None:
    other = sign_in_as(shop.database, shop.clock, Role.CUSTOMER_SERVICE, name="other")

    def attempt(by: SignedIn, meter: int) -> str:
        wanted = request(token, shop.meters[meter].pan.iain)
        try:
            return replace_token(wanted, desk, by=by).token.digits
        except TokenReplacedError:
            return "replaced"

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(attempt, (clerk, other), (0, 1)))
    assert made.count("replaced") == 1


def test_refunded_sale_gives_no_other_token(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, token: TokenRecord
) -> None:
    assert token.sale_id is not None
    money = RefundRequest(
        sale_id=SaleId(token.sale_id),
        amount_minor=100,
        destination=RefundDestination.PARTNER,
        reason=RefundReason.TOKEN_REJECTED,
        note="keypad",
        key="r-1",
    )
    set_policies(shop.database, shop.clock, {PolicyName.REFUND_LIMIT_MINOR: {"KES": 100}})
    refund_sale(money, shop.desk, by=clerk)
    with pytest.raises(ReplacementRefusedError):
        replace_token(request(token), desk, by=clerk)


def test_unknown_token_and_cashier_are_refused(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, token: TokenRecord
) -> None:
    nothing = replace(request(token), token_id=TokenId(uuid.UUID(int=1)))
    with pytest.raises(TokenNotFoundError):
        replace_token(nothing, desk, by=clerk)
    cashier = sign_in_as(shop.database, shop.clock, Role.CASHIER)
    with pytest.raises(PermissionDeniedError):
        replace_token(request(token), desk, by=cashier)

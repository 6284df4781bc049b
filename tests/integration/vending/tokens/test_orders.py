"""Tokens outside a sale: approved by another person, made once, counted, booked and recorded."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from tests.support.people import sign_in_as
from tests.support.policies import set_policies
from tests.support.shop import KES, Shop
from tests.support.token_orders import actions, approved, approved_units, give, order, read, states
from vending.approvals.errors import (
    ApprovalMismatchError,
    ApprovalRequiredError,
    ApprovalStateError,
    ApprovalUsedError,
)
from vending.custody.errors import CeilingReachedError, IssuingStoppedError
from vending.custody.model import StopTarget
from vending.custody.service.switches import stop
from vending.keystore.model import KeyReference
from vending.ledger.model import account_code
from vending.ledger.service import read_balances, verify
from vending.meters.model import MeterKey, MeterState
from vending.meters.service import change_state, record_key
from vending.operators.errors import PermissionDeniedError
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.persistence.audit import audit_events
from vending.persistence.outbox import outbox
from vending.policies.model import PolicyName
from vending.sales.service.clock_guard import confirm_clock
from vending.sts import (
    TI,
    ClearCredit,
    ClearTamperCondition,
    InitiateMeterTest,
    SetMaximumPhasePowerUnbalanceLimit,
    SetMaximumPowerLimit,
    SetTariffRate,
    SetWaterMeterFactor,
    TransferCredit,
)
from vending.sts.tokens import CreditRegister, Token
from vending.tokens.errors import (
    FreeUnitsLimitError,
    MeterTakesNoTokenError,
    TokenNotFoundError,
    TokenRequestInvalidError,
)
from vending.tokens.model import (
    FreeUnitsRequest,
    ManagementRequest,
    OrderState,
    TokenKind,
)
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.free_units import issue_free_units, propose_free_units
from vending.tokens.service.management import issue_management_token, propose_management_token
from vending.tokens.service.orders import TOKEN_ISSUED
from vending.tokens.service.views import list_tokens, view_token
from vending.tokens.tables import issued_tokens, token_orders
from vending.values.actor import SYSTEM
from vending.values.identifiers import TokenId


# --- management tokens ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (TokenKind.SET_MAXIMUM_POWER_LIMIT, 5_000, SetMaximumPowerLimit),
        (TokenKind.CLEAR_CREDIT, int(CreditRegister.ALL), ClearCredit),
        (TokenKind.SET_TARIFF_RATE, 7, SetTariffRate),
        (TokenKind.CLEAR_TAMPER_CONDITION, 0, ClearTamperCondition),
        (
            TokenKind.SET_MAXIMUM_PHASE_POWER_UNBALANCE_LIMIT,
            1_000,
            SetMaximumPhasePowerUnbalanceLimit,
        ),
        (TokenKind.SET_WATER_METER_FACTOR, 3, SetWaterMeterFactor),
    ],
)
def test_each_management_token_is_what_the_meter_reads(
    shop: Shop,
    desk: TokenDesk,
    clerk: SignedIn,
    kind: TokenKind,
    value: int,
    expected: type[Token],
) -> None:
    issued = order(shop, desk, clerk, kind, value)
    token = read(shop, issued.token.digits)
    assert isinstance(token, expected)
    assert issued.order.tid is not None
    assert getattr(token, "tid").minutes == issued.order.tid  # noqa: B009 # of each of the kinds
    with shop.database.read() as connection:
        (row,) = connection.execute(select(issued_tokens)).all()
    assert (row.sale_id, row.order_id, row.kind) == (None, issued.order.id, kind.value)


def test_order_of_a_token_and_sales_share_one_row_of_identifiers(
    shop: Shop, desk: TokenDesk, clerk: SignedIn
) -> None:
    first = shop.enter_token(shop.issue("k-1")["tokens"][0]["digits"]).tid.minutes
    issued = order(shop, desk, clerk)
    second = shop.enter_token(shop.issue("k-2")["tokens"][0]["digits"]).tid.minutes
    assert [first, issued.order.tid, second] == [first, first + 1, first + 2]


def test_same_approval_gives_the_same_token_and_no_second_one(
    shop: Shop, desk: TokenDesk, clerk: SignedIn
) -> None:
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    approval_id = approved(shop, desk, clerk, request)
    made = [
        issue_management_token(request, desk, by=clerk, reason="again", approval_id=approval_id)
        for _ in range(2)
    ]
    assert made[0].token.digits == made[1].token.digits
    assert states(shop) == ["issued"]
    other = replace(request, kind=TokenKind.CLEAR_CREDIT)
    with pytest.raises(ApprovalUsedError):
        issue_management_token(other, desk, by=clerk, reason="again", approval_id=approval_id)


def test_meter_test_takes_one_person_and_no_identifier(
    shop: Shop, desk: TokenDesk, engineer: SignedIn
) -> None:
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.INITIATE_METER_TEST, 1)
    issued = issue_management_token(request, desk, by=engineer, reason="display test")
    assert isinstance(read(shop, issued.token.digits), InitiateMeterTest)
    assert (issued.order.tid, issued.order.rnd, issued.order.approval_id) == (None, None, None)
    with shop.database.read() as connection:
        assert view_tokens(connection, shop) == [TokenKind.INITIATE_METER_TEST]
    assert actions(shop, "token.") == [("engineer", "token.issued"), ("engineer", "token.viewed")]


def view_tokens(connection: object, shop: Shop) -> list[TokenKind]:
    tokens, _ = list_tokens(connection, shop.meters[0].pan.digits)  # type: ignore[arg-type] # of SQLAlchemy
    return [token.kind for token in tokens]


def test_without_approval_nothing_is_made(shop: Shop, desk: TokenDesk, clerk: SignedIn) -> None:
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.CLEAR_CREDIT)
    with pytest.raises(ApprovalRequiredError):
        issue_management_token(request, desk, by=clerk, reason="mine")
    asked = propose_management_token(request, desk, by=clerk, reason="mine")
    with pytest.raises(ApprovalStateError):
        issue_management_token(request, desk, by=clerk, reason="mine", approval_id=asked.id)
    assert states(shop) == []


def test_approval_of_another_value_meter_or_key_is_refused(
    shop: Shop, desk: TokenDesk, clerk: SignedIn
) -> None:
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.SET_MAXIMUM_POWER_LIMIT, 1_000)
    approval_id = approved(shop, desk, clerk, request)
    for changed in (
        replace(request, value=9_000),
        replace(request, meter=shop.meters[1].pan.iain),
        replace(request, kind=TokenKind.SET_TARIFF_RATE),
    ):
        with pytest.raises(ApprovalMismatchError):
            issue_management_token(changed, desk, by=clerk, reason="x", approval_id=approval_id)
    held = shop.meters[0]
    key = MeterKey(sgc=held.sgc, krn=held.krn, kt=held.kt, ti=TI("02"), base_date=held.base_date)
    with shop.database.unit_of_work() as uow:
        record_key(uow.connection, held.pan, key)
        uow.commit()
    with pytest.raises(ApprovalMismatchError):
        issue_management_token(request, desk, by=clerk, reason="x", approval_id=approval_id)
    assert states(shop) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TokenKind.TRANSFER_CREDIT, 1),
        (TokenKind.CLEAR_TAMPER_CONDITION, 1),
        (TokenKind.SET_TARIFF_RATE, 70_000),
        (TokenKind.CLEAR_CREDIT, 99),
        (TokenKind.SET_MAXIMUM_POWER_LIMIT, -1),
        (TokenKind.INITIATE_METER_TEST, 2**36),
    ],
)
def test_value_that_the_token_cannot_carry_is_refused(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, kind: TokenKind, value: int
) -> None:
    request = ManagementRequest(shop.meters[0].pan.iain, kind, value)
    with pytest.raises(TokenRequestInvalidError):
        propose_management_token(request, desk, by=clerk, reason="x")
    with pytest.raises(TokenRequestInvalidError):
        issue_management_token(request, desk, by=clerk, reason="x")


def test_meter_in_store_takes_no_token(shop: Shop, desk: TokenDesk, clerk: SignedIn) -> None:
    pan = shop.meters[0].pan
    change_state(
        shop.database, pan, MeterState.REMOVED, by=SYSTEM, reason="moved", clock=shop.clock
    )
    request = ManagementRequest(pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    with pytest.raises(MeterTakesNoTokenError):
        propose_management_token(request, desk, by=clerk, reason="x")


def test_who_may_not_order_is_refused(shop: Shop, desk: TokenDesk) -> None:
    cashier = sign_in_as(shop.database, shop.clock, Role.CASHIER)
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.INITIATE_METER_TEST)
    with pytest.raises(PermissionDeniedError):
        issue_management_token(request, desk, by=cashier, reason="x")
    with pytest.raises(PermissionDeniedError):
        propose_free_units(FreeUnitsRequest("1", 1), desk, by=cashier, reason="x")
    with pytest.raises(PermissionDeniedError):
        view_token(TokenId(cashier.session_id), desk, by=cashier, purpose="curious")


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 201])
def test_order_says_why(shop: Shop, desk: TokenDesk, engineer: SignedIn, reason: str) -> None:
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.INITIATE_METER_TEST)
    with pytest.raises(TokenRequestInvalidError):
        issue_management_token(request, desk, by=engineer, reason=reason)


# --- free units ----------------------------------------------------------------------------------
def test_free_units_are_credit_booked_as_an_expense(
    shop: Shop, desk: TokenDesk, clerk: SignedIn
) -> None:
    issued = give(shop, desk, clerk, 50)
    token = read(shop, issued.token.digits)
    assert isinstance(token, TransferCredit)
    assert token.units == 50
    expense = account_code("expense", "free-units", KES)
    revenue = account_code("revenue", "energy", KES)
    with shop.database.read() as connection:
        balances = read_balances(connection, [expense, revenue])
        assert [balances[code].minor for code in (expense, revenue)] == [10_000, 10_000]
        assert verify(connection) == []


def test_free_units_end_with_the_month(shop: Shop, desk: TokenDesk, clerk: SignedIn) -> None:
    give(shop, desk, clerk, 600)
    with pytest.raises(FreeUnitsLimitError) as refused:
        approved_units(shop, desk, clerk, 401)
    assert refused.value.facts["given_wh"] == 60_000
    give(shop, desk, clerk, 400)
    shop.clock.advance(timedelta(days=7))  # 2 December in Nairobi
    confirm_clock(shop.database, shop.clock)
    give(shop, desk, clerk, 1_000)


def test_limit_of_the_month_is_seen_again_when_the_units_are_made(
    shop: Shop, desk: TokenDesk, clerk: SignedIn
) -> None:
    approvals = [approved_units(shop, desk, clerk, 600) for _ in range(2)]
    request = FreeUnitsRequest(shop.meters[0].pan.iain, 600)
    issue_free_units(request, desk, by=clerk, reason="x", approval_id=approvals[0])
    with pytest.raises(FreeUnitsLimitError):
        issue_free_units(request, desk, by=clerk, reason="x", approval_id=approvals[1])
    assert states(shop) == ["issued"]


def test_stricter_policy_applies_to_units_approved_before(
    shop: Shop, desk: TokenDesk, clerk: SignedIn
) -> None:
    approval_id = approved_units(shop, desk, clerk, 600)
    set_policies(shop.database, shop.clock, {PolicyName.FREE_UNITS_MONTH_WH: 59_900})
    request = FreeUnitsRequest(shop.meters[0].pan.iain, 600)
    with pytest.raises(FreeUnitsLimitError):
        issue_free_units(request, desk, by=clerk, reason="x", approval_id=approval_id)
    assert states(shop) == []


@pytest.mark.parametrize("units", [0, -5, 180_224])
def test_units_fit_on_one_token(shop: Shop, desk: TokenDesk, clerk: SignedIn, units: int) -> None:
    with pytest.raises(TokenRequestInvalidError):
        propose_free_units(
            FreeUnitsRequest(shop.meters[0].pan.iain, units), desk, by=clerk, reason="x"
        )


def test_free_and_management_tokens_have_ceilings_of_their_own(
    shop: Shop, desk: TokenDesk, clerk: SignedIn
) -> None:
    bounds = {PolicyName.CEILING_FREE_TOKENS: 0, PolicyName.CEILING_MANAGEMENT_TOKENS: 1}
    set_policies(shop.database, shop.clock, bounds)
    order(shop, desk, clerk)
    with pytest.raises(CeilingReachedError):
        order(shop, desk, clerk)
    with pytest.raises(CeilingReachedError):
        give(shop, desk, clerk, 10)
    shop.issue("k-1")
    assert states(shop) == ["issued"]


def test_kill_switch_stops_orders_at_once(
    shop: Shop, desk: TokenDesk, clerk: SignedIn, engineer: SignedIn
) -> None:
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    approval_id = approved(shop, desk, clerk, request)
    held = shop.meters[0]
    target = StopTarget.key(KeyReference(held.sgc, held.krn, held.kt))
    stop(shop.database, engineer, target, reason="theft", clock=shop.clock)
    with pytest.raises(IssuingStoppedError):
        issue_management_token(request, desk, by=clerk, reason="x", approval_id=approval_id)
    assert states(shop) == []


def test_one_approval_carried_out_twice_at_once_makes_one_token(
    shop: Shop, desk: TokenDesk, clerk: SignedIn
) -> None:
    request = ManagementRequest(shop.meters[0].pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    approval_id = approved(shop, desk, clerk, request)

    def carry_out(_: int) -> str:
        issued = issue_management_token(
            request, desk, by=clerk, reason="x", approval_id=approval_id
        )
        return issued.token.digits

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(carry_out, range(4)))) == 1
    assert states(shop) == ["issued"]


# --- what is left behind -------------------------------------------------------------------------
def test_view_of_digits_is_recorded_with_its_purpose(
    shop: Shop, desk: TokenDesk, clerk: SignedIn
) -> None:
    issued = order(shop, desk, clerk)
    seen = view_token(issued.token.record.id, desk, by=clerk, purpose="complaint 7")
    assert seen.digits == issued.token.digits
    assert actions(shop, "token.viewed") == [("clerk", "token.viewed")] * 2
    with pytest.raises(TokenNotFoundError):
        view_token(TokenId(issued.order.id), desk, by=clerk, purpose="complaint 7")
    with pytest.raises(TokenRequestInvalidError):
        view_token(issued.token.record.id, desk, by=clerk, purpose="")
    with shop.database.read() as connection:
        told = str(connection.execute(select(audit_events)).all())
        orders = str(connection.execute(select(token_orders)).all())
    assert issued.token.digits not in told + orders + repr(issued)


def test_token_is_announced_to_the_worker(shop: Shop, desk: TokenDesk, clerk: SignedIn) -> None:
    issued = order(shop, desk, clerk)
    with shop.database.read() as connection:
        query = select(outbox.c.payload).where(outbox.c.topic == TOKEN_ISSUED)
        (payload,) = connection.execute(query).scalars()
    assert payload == {
        "order_id": str(issued.order.id),
        "token_id": str(issued.token.record.id),
        "meter_id": str(shop.meters[0].id),
    }


def test_database_keeps_an_order_as_it_ended(shop: Shop, desk: TokenDesk, clerk: SignedIn) -> None:
    order(shop, desk, clerk)
    for change in (
        update(token_orders).values(state=OrderState.OPEN.value),
        update(token_orders).values(value=1),
        token_orders.delete(),
    ):
        with pytest.raises(IntegrityError), shop.database.unit_of_work() as uow:
            uow.connection.execute(change)


def test_database_takes_no_management_token_without_an_approval(
    shop: Shop, desk: TokenDesk, clerk: SignedIn
) -> None:
    issued = order(shop, desk, clerk)
    with shop.database.read() as connection:
        row = dict(connection.execute(select(token_orders)).mappings().one())
    forged = row | {"id": issued.token.record.id, "approval_id": None, "tid": row["tid"] + 5}
    with (
        pytest.raises(IntegrityError, match="takes_two"),
        shop.database.unit_of_work() as uow,
    ):
        uow.connection.execute(insert(token_orders).values(forged))

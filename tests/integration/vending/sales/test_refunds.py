"""Refunds: never more than the sale, split as the sale was, once, above the limit by two."""

import uuid
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from tests.support.people import approve, sign_in_as
from tests.support.policies import set_policies
from tests.support.shop import KES, Shop
from tests.support.slow_security_module import Fault, SlowSecurityModule
from vending.approvals.errors import ApprovalMismatchError, ApprovalRequiredError
from vending.approvals.model import Approval
from vending.ledger.model import account_code
from vending.ledger.service import read_balances, verify
from vending.operators.errors import PermissionDeniedError
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.persistence.audit import audit_events
from vending.policies.model import PolicyName
from vending.sales.errors import (
    RefundInvalidError,
    RefundKeyReusedError,
    RefundTooLargeError,
    SaleNotFoundError,
    SaleNotRefundableError,
)
from vending.sales.model import RefundDestination, RefundReason, RefundRequest
from vending.sales.rules import meter_credit_code
from vending.sales.service.desk import SalesDesk
from vending.sales.service.refunds import list_refunds, propose_refund, refund_sale
from vending.sales.tables import refunds, sales
from vending.tokens.tables import issued_tokens
from vending.values.identifiers import SaleId


@pytest.fixture
def clerk(shop: Shop) -> SignedIn:
    return sign_in_as(shop.database, shop.clock, Role.CUSTOMER_SERVICE, name="clerk")


@pytest.fixture
def desk(shop: Shop) -> SalesDesk:
    """One person may give back up to 10.00."""
    set_policies(shop.database, shop.clock, {PolicyName.REFUND_LIMIT_MINOR: {"KES": 1_000}})
    return shop.desk


@pytest.fixture
def sold(shop: Shop) -> SaleId:
    """50.00: 43.08 of energy at 2.1 kWh less credit, 6.72 of VAT, the rest carried."""
    return SaleId(uuid.UUID(shop.issue("k-1")["id"]))


def request(sale_id: SaleId, amount_minor: int, key: str = "r-1") -> RefundRequest:
    return RefundRequest(
        sale_id=sale_id,
        amount_minor=amount_minor,
        destination=RefundDestination.PARTNER,
        reason=RefundReason.WRONG_METER,
        note="typed the wrong meter",
        key=key,
    )


def approved(shop: Shop, desk: SalesDesk, by: SignedIn, wanted: RefundRequest) -> Approval:
    finance = sign_in_as(shop.database, shop.clock, Role.FINANCE, name="finance")
    asked = propose_refund(wanted, desk, by=by)
    return approve(shop.database, shop.clock, asked.id, finance)


def owed_minor(shop: Shop) -> int:
    code = account_code("partner-receivable", shop.partner.id, KES)
    with shop.database.read() as connection:
        return read_balances(connection, [code])[code].minor


def test_one_person_gives_back_up_to_the_limit_of_a_sale(
    shop: Shop, desk: SalesDesk, clerk: SignedIn, sold: SaleId
) -> None:
    before = owed_minor(shop)
    made = refund_sale(request(sold, 600), desk, by=clerk)
    assert made.gross.minor == 600
    assert made.approval_id is None
    assert owed_minor(shop) == before - 600
    refund_sale(request(sold, 400, "r-2"), desk, by=clerk)
    with pytest.raises(ApprovalRequiredError):
        refund_sale(request(sold, 1, "r-3"), desk, by=clerk)
    with shop.database.read() as connection:
        assert len(list_refunds(connection, sold)) == 2
        assert verify(connection) == []


def test_refunds_of_a_sale_sum_to_its_own_split(
    shop: Shop, desk: SalesDesk, clerk: SignedIn, sold: SaleId
) -> None:
    with shop.database.read() as connection:
        sale = connection.execute(select(sales)).one()
    gross = sale.net_minor + sale.vat_minor
    parts = [333, 1, 777, gross - 1_111]
    made = []
    for place, part in enumerate(parts):
        wanted = request(sold, part, f"r-{place}")
        approval_id = approved(shop, desk, clerk, wanted).id
        made.append(refund_sale(wanted, desk, by=clerk, approval_id=approval_id))
    assert sum(one.net.minor for one in made) == sale.net_minor
    assert sum(one.vat.minor for one in made) == sale.vat_minor
    with pytest.raises(RefundTooLargeError):
        refund_sale(request(sold, 1, "r-9"), desk, by=clerk)
    with shop.database.read() as connection:
        assert verify(connection) == []


def test_refund_to_the_meter_is_credit_of_its_next_sale(
    shop: Shop, desk: SalesDesk, clerk: SignedIn, sold: SaleId
) -> None:
    code = meter_credit_code(shop.meters[0].pan, KES)
    with shop.database.read() as connection:
        before = read_balances(connection, [code])[code].minor
    wanted = replace(request(sold, 500), destination=RefundDestination.METER_CREDIT)
    refund_sale(wanted, desk, by=clerk)
    following = shop.issue("k-2", minor=1_000)
    lines = {line["code"]: line["minor"] for line in following["lines"]}
    assert lines["credit_brought_forward"] == -(before + 500)


def test_refund_touches_no_token(
    shop: Shop, desk: SalesDesk, clerk: SignedIn, sold: SaleId
) -> None:
    with shop.database.read() as connection:
        before = connection.execute(select(issued_tokens)).all()
    refund_sale(request(sold, 500), desk, by=clerk)
    with shop.database.read() as connection:
        assert connection.execute(select(issued_tokens)).all() == before
        (event,) = connection.execute(
            select(audit_events.c.details).where(audit_events.c.action == "sale.refunded")
        ).scalars()
    assert event["reason"] == "wrong-meter"


def test_same_key_is_one_refund(shop: Shop, desk: SalesDesk, clerk: SignedIn, sold: SaleId) -> None:
    first = refund_sale(request(sold, 500), desk, by=clerk)
    assert refund_sale(request(sold, 500), desk, by=clerk) == first
    with pytest.raises(RefundKeyReusedError):
        refund_sale(request(sold, 400), desk, by=clerk)
    with shop.database.read() as connection:
        assert list_refunds(connection, sold) == [first]


def test_approval_holds_for_this_amount_of_this_sale_as_it_stood(
    shop: Shop, desk: SalesDesk, clerk: SignedIn, sold: SaleId
) -> None:
    wanted = request(sold, 2_000)
    approval_id = approved(shop, desk, clerk, wanted).id
    with pytest.raises(ApprovalMismatchError):
        refund_sale(replace(wanted, amount_minor=2_500), desk, by=clerk, approval_id=approval_id)
    refund_sale(request(sold, 100, "r-2"), desk, by=clerk)  # it has changed since
    with pytest.raises(ApprovalMismatchError):
        refund_sale(wanted, desk, by=clerk, approval_id=approval_id)


@pytest.mark.parametrize(
    "change",
    [{"amount_minor": 0}, {"amount_minor": -1}, {"note": " "}, {"note": "a\x1bb"}, {"key": ""}],
)
def test_malformed_refund_is_refused(
    shop: Shop, desk: SalesDesk, clerk: SignedIn, sold: SaleId, change: dict[str, object]
) -> None:
    del shop
    with pytest.raises(RefundInvalidError):
        refund_sale(replace(request(sold, 100), **change), desk, by=clerk)  # type: ignore[arg-type] # a column of the table


def test_only_a_sale_with_a_token_is_refunded(shop: Shop, desk: SalesDesk, clerk: SignedIn) -> None:
    nobody = request(SaleId(uuid.UUID(int=1)), 100)
    with pytest.raises(SaleNotFoundError):
        refund_sale(nobody, desk, by=clerk)
    module = SlowSecurityModule(shop.desk.security_module)
    module.plan(Fault.LOSE_REQUEST)
    shop.refuse(shop.request("k-9"), shop.using(module))
    with shop.database.read() as connection:
        sale_id = SaleId(connection.execute(select(sales.c.id)).scalar_one())
    with pytest.raises(SaleNotRefundableError):
        refund_sale(request(sale_id, 100), desk, by=clerk)


def test_cashier_gives_nothing_back(shop: Shop, desk: SalesDesk, sold: SaleId) -> None:
    cashier = sign_in_as(shop.database, shop.clock, Role.CASHIER)
    with pytest.raises(PermissionDeniedError):
        refund_sale(request(sold, 100), desk, by=cashier)


def test_database_keeps_refunds_as_they_are(
    shop: Shop, desk: SalesDesk, clerk: SignedIn, sold: SaleId
) -> None:
    refund_sale(request(sold, 100), desk, by=clerk)
    for change in (refunds.update().values(note="x"), refunds.delete()):
        with (
            pytest.raises(IntegrityError, match="append_only:refunds"),
            shop.database.unit_of_work() as uow,
        ):
            uow.connection.execute(change)


def test_limit_is_that_of_the_moment_and_of_the_currency(
    shop: Shop, desk: SalesDesk, clerk: SignedIn, sold: SaleId
) -> None:
    """Another desk with other settings finds the same limit: it is in the database."""
    set_policies(shop.database, shop.clock, {PolicyName.REFUND_LIMIT_MINOR: {"UGX": 1_000}})
    with pytest.raises(ApprovalRequiredError):
        refund_sale(request(sold, 1), desk, by=clerk)
    set_policies(shop.database, shop.clock, {PolicyName.REFUND_LIMIT_MINOR: {"KES": 1}})
    refund_sale(request(sold, 1), desk, by=clerk)

"""Personal data: masked, seen for a purpose, exported whole, erased so that the books stay."""

import json
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Table, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from tests.support.people import approve, sign_in_as
from tests.support.policies import set_policies
from tests.support.racing_clock import RacingClock
from tests.support.shop import Shop, build_shop
from vending.customers.errors import CustomerErasedError, CustomerNotFoundError
from vending.customers.model import ERASED_NAME, Channel, Customer, Language, NewCustomer
from vending.customers.service import (
    Contact,
    change_contact,
    hold_customer,
    load_customer,
    register_customer,
    set_consent,
)
from vending.customers.tables import consent_changes, customers
from vending.ledger.service import verify
from vending.meters.model import MeterState
from vending.meters.service import assign_customer, change_state
from vending.operators.errors import PermissionDeniedError
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.persistence.audit import audit_events
from vending.persistence.base import metadata
from vending.persistence.engine import Database
from vending.persistence.idempotency import Replay, find_answer, idempotency_keys
from vending.personal_data.errors import ErasureHeldError, PurposeMissingError
from vending.personal_data.service import (
    erase_due,
    erase_person,
    export_person,
    look_up,
    propose_erasure,
    subtract_months,
    view_identity,
)
from vending.policies.model import PolicyName
from vending.sales.service.claims import open_answer
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.values.identifiers import CustomerId, IdempotencyKey

NAME, PHONE, EMAIL = "Zawadi Chebet", "+254712345678", "amina@example.org"
NEW = NewCustomer(
    account_number="A-7", name=NAME, phone=PHONE, email=EMAIL, consents=frozenset({Channel.SMS})
)


@pytest.fixture
def shop(database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Shop:
    return build_shop(database, fixed_clock, tmp_path)


@pytest.fixture
def amina(shop: Shop) -> Customer:
    """A customer with a meter and a sale."""
    customer = register_customer(shop.database, NEW, by=SYSTEM, clock=shop.clock)
    assign_customer(
        shop.database,
        shop.meters[0].pan,
        customer.id,
        hold_customer=hold_customer,
        by=SYSTEM,
        clock=shop.clock,
    )
    shop.issue("k-1")
    return customer


@pytest.fixture
def clerk(shop: Shop) -> SignedIn:
    return sign_in_as(shop.database, shop.clock, Role.CUSTOMER_SERVICE, name="clerk")


@pytest.fixture
def cashier(shop: Shop) -> SignedIn:
    return sign_in_as(shop.database, shop.clock, Role.CASHIER, name="cashier")


def take_meter_away(shop: Shop) -> None:
    change_state(
        shop.database,
        shop.meters[0].pan,
        MeterState.REMOVED,
        by=SYSTEM,
        reason="moved away",
        clock=shop.clock,
    )


def erase(shop: Shop, customer_id: CustomerId, by: SignedIn) -> Customer:
    other = sign_in_as(shop.database, shop.clock, Role.ADMINISTRATOR, name="administrator")
    asked = propose_erasure(
        shop.database, customer_id, by=by, reason="asked by letter", clock=shop.clock
    )
    approve(shop.database, shop.clock, asked.id, other)
    return erase_person(shop.database, customer_id, by=by, approval_id=asked.id, clock=shop.clock)


def actions(shop: Shop) -> list[tuple[str, str]]:
    with shop.database.read() as connection:
        query = select(audit_events.c.actor_name, audit_events.c.action).order_by(audit_events.c.id)
        rows = [(row.actor_name, row.action) for row in connection.execute(query)]
    return [row for row in rows if row[0] != "service" and row[1].startswith("customer.")]


def everything(shop: Shop, *, without: set[Table]) -> str:
    """All rows of all tables as text, sealed answers opened."""
    told = []
    with shop.database.read() as connection:
        told += [
            str(connection.execute(select(table)).all())
            for table in metadata.sorted_tables
            if table not in without
        ]
        for row in connection.execute(select(idempotency_keys)):
            found = find_answer(connection, row.partner_id, row.key)
            if isinstance(found, Replay):
                key = IdempotencyKey(row.key)
                answer = open_answer(found, row.partner_id, key, shop.desk.answer_sealer)
                told.append(answer.body.decode())
    return "\n".join(told)


# --- who sees what -------------------------------------------------------------------------------
def test_look_up_shows_initials_and_last_digits(
    shop: Shop, amina: Customer, cashier: SignedIn
) -> None:
    with shop.database.read() as connection:
        found = look_up(connection, "A-7", by=cashier)
        with pytest.raises(CustomerNotFoundError):
            look_up(connection, "A-8", by=cashier)
    assert found.id == amina.id
    assert found.masked() == {
        "name": "Z***** C*****",
        "phone": "+254*******78",
        "email": "a***@e***.org",
    }


def test_identity_is_seen_with_a_permission_and_a_purpose(
    shop: Shop, amina: Customer, cashier: SignedIn, clerk: SignedIn
) -> None:
    for see in (view_identity, export_person):
        with pytest.raises(PermissionDeniedError):
            see(shop.database, amina.id, by=cashier, purpose="curious", clock=shop.clock)
        with pytest.raises(PurposeMissingError):
            see(shop.database, amina.id, by=clerk, purpose=" ", clock=shop.clock)
        with pytest.raises(PurposeMissingError):
            see(shop.database, amina.id, by=clerk, purpose="a\nb", clock=shop.clock)
    assert actions(shop) == []
    seen = view_identity(shop.database, amina.id, by=clerk, purpose="complaint 7", clock=shop.clock)
    assert (seen.name, seen.phone, seen.email) == (NAME, PHONE, EMAIL)
    assert actions(shop) == [("clerk", "customer.identity-viewed")]


def test_export_holds_what_every_feature_keeps(
    shop: Shop, amina: Customer, clerk: SignedIn
) -> None:
    document = export_person(
        shop.database, amina.id, by=clerk, purpose="asked by letter", clock=shop.clock
    )
    parts = json.loads(json.dumps(document))
    assert parts["customer"]["name"] == NAME
    assert [one["channel"] for one in parts["customer"]["consents"]] == ["sms"]
    assert [one["drn"] for one in parts["meters"]] == [shop.meters[0].pan.iain]
    assert [one["tender_minor"] for one in parts["sales"]] == [5_000]
    assert actions(shop) == [("clerk", "customer.exported")]


# --- erasure -------------------------------------------------------------------------------------
def test_nobody_is_erased_while_a_meter_is_in_use(
    shop: Shop, amina: Customer, clerk: SignedIn
) -> None:
    with pytest.raises(ErasureHeldError):
        propose_erasure(shop.database, amina.id, by=clerk, reason="x", clock=shop.clock)
    take_meter_away(shop)
    assert erase(shop, amina.id, clerk).name == ERASED_NAME


def test_meter_that_comes_into_use_meanwhile_stops_the_erasure(
    shop: Shop, amina: Customer, clerk: SignedIn
) -> None:
    take_meter_away(shop)
    other = sign_in_as(shop.database, shop.clock, Role.ADMINISTRATOR, name="administrator")
    asked = propose_erasure(shop.database, amina.id, by=clerk, reason="x", clock=shop.clock)
    approve(shop.database, shop.clock, asked.id, other)
    assign_customer(
        shop.database,
        shop.meters[1].pan,
        amina.id,
        hold_customer=hold_customer,
        by=SYSTEM,
        clock=shop.clock,
    )
    with pytest.raises(ErasureHeldError):
        erase_person(shop.database, amina.id, by=clerk, approval_id=asked.id, clock=shop.clock)


def test_erasure_leaves_nothing_that_names_the_person_and_every_book(
    shop: Shop, amina: Customer, clerk: SignedIn
) -> None:
    take_meter_away(shop)
    erased = erase(shop, amina.id, clerk)
    assert (erased.name, erased.phone, erased.email) == (ERASED_NAME, None, None)
    told = everything(shop, without=set())
    for trace in ("Zawadi", "Chebet", "712345678", "amina@example.org"):
        assert trace not in told
    with shop.database.read() as connection:
        assert verify(connection) == []
        channels = connection.execute(
            select(consent_changes.c.granted).where(consent_changes.c.customer_id == amina.id)
        ).scalars()
        assert sorted(channels) == [False, True]
    document = export_person(
        shop.database, amina.id, by=clerk, purpose="what is left", clock=shop.clock
    )
    assert NAME not in str(document)


def test_only_the_customers_table_ever_holds_who_somebody_is(
    shop: Shop, amina: Customer, clerk: SignedIn
) -> None:
    """Answers, receipts, messages, audit and approvals hold masked names and identifiers alone."""
    view_identity(shop.database, amina.id, by=clerk, purpose="complaint 7", clock=shop.clock)
    contact = Contact(name="Zawadi Njeri", phone=PHONE, email=None, language=Language.ZH_CN)
    change_contact(shop.database, amina.id, contact, by=clerk.actor, clock=shop.clock)
    shop.issue("k-2")
    told = everything(shop, without={customers})
    for trace in ("Zawadi", "Chebet", "Njeri", "712345678", "amina@example.org"):
        assert trace not in told


def test_erased_customer_stays_erased(shop: Shop, amina: Customer, clerk: SignedIn) -> None:
    take_meter_away(shop)
    erase(shop, amina.id, clerk)
    contact = Contact(name=NAME, phone=PHONE, email=None, language=Language.EN)
    with pytest.raises(CustomerErasedError):
        change_contact(shop.database, amina.id, contact, by=SYSTEM, clock=shop.clock)
    with pytest.raises(CustomerErasedError):
        set_consent(shop.database, amina.id, Channel.SMS, granted=True, by=SYSTEM, clock=shop.clock)
    with pytest.raises(CustomerErasedError):
        propose_erasure(shop.database, amina.id, by=clerk, reason="x", clock=shop.clock)
    change = update(customers).where(customers.c.id == amina.id).values(name=NAME)
    with (
        pytest.raises(IntegrityError, match="customers:erased"),
        shop.database.unit_of_work() as uow,
    ):
        uow.connection.execute(change)


# --- retention -----------------------------------------------------------------------------------
def test_retention_runs_from_the_last_sale_and_spares_who_has_a_meter(
    shop: Shop, amina: Customer
) -> None:
    gone = register_customer(
        shop.database, NewCustomer(account_number="A-8", name="Bob Otieno"),
        by=SYSTEM, clock=shop.clock,
    )  # fmt: skip
    shop.clock.advance(timedelta(days=200))
    take_meter_away(shop)
    assert erase_due(shop.database, after=None, clock=shop.clock) == (0, None), "never by itself"
    set_policies(shop.database, shop.clock, {PolicyName.RETENTION_MONTHS: 7})
    erased = []
    for _ in range(2):
        count, after = erase_due(shop.database, after=None, clock=shop.clock)
        erased.append(count)
        assert after is None
        shop.clock.advance(timedelta(days=30))
    with shop.database.read() as connection:
        names = [load_customer(connection, one).name for one in (gone.id, amina.id)]
        first = connection.execute(
            select(customers.c.name).where(customers.c.account_number == "A-1")
        ).scalar_one()
    assert (erased, names) == ([0, 2], [ERASED_NAME, ERASED_NAME])
    assert first == "Amina Wanjiru", "still has a meter in use"
    assert {row for row in all_actions(shop) if row[1] == "customer.erased"} == {
        ("retention", "customer.erased")
    }


def all_actions(shop: Shop) -> list[tuple[str, str]]:
    with shop.database.read() as connection:
        query = select(audit_events.c.actor_name, audit_events.c.action)
        return [(row.actor_name, row.action) for row in connection.execute(query)]


@pytest.mark.parametrize(
    ("months", "expected"), [(1, "2026-10-25"), (11, "2025-12-25"), (12, "2025-11-25")]
)
def test_months_are_counted_back(shop: Shop, months: int, expected: str) -> None:
    assert subtract_months(shop.clock.now(), months).date().isoformat() == expected


def test_unknown_customer_is_refused(shop: Shop, clerk: SignedIn) -> None:
    nobody = CustomerId(uuid.UUID(int=1))
    for ask in (view_identity, export_person):
        with pytest.raises(CustomerNotFoundError):
            ask(shop.database, nobody, by=clerk, purpose="x", clock=shop.clock)


def test_nobody_gets_a_meter_while_being_erased(
    postgres_database: Database, fixed_clock: FixedClock, tmp_path: Path
) -> None:
    """SQLite has one writer, so that only PostgreSQL lets a rival look in between."""
    shop = build_shop(postgres_database, fixed_clock, tmp_path)
    customer = register_customer(shop.database, NEW, by=SYSTEM, clock=shop.clock)
    by = sign_in_as(shop.database, shop.clock, Role.CUSTOMER_SERVICE, name="clerk")
    other = sign_in_as(shop.database, shop.clock, Role.ADMINISTRATOR, name="administrator")
    asked = propose_erasure(shop.database, customer.id, by=by, reason="x", clock=shop.clock)
    approve(shop.database, shop.clock, asked.id, other)
    refusals = []

    def give_meanwhile() -> None:
        query = select(customers.c.id).where(customers.c.id == customer.id)
        with shop.database.unit_of_work() as uow:
            try:
                uow.connection.execute(query.with_for_update(read=True, nowait=True))
            except OperationalError as refused:
                refusals.append(type(refused.orig).__name__)

    racing = RacingClock(shop.clock, at_call=1, rival=give_meanwhile)
    erase_person(shop.database, customer.id, by=by, approval_id=asked.id, clock=racing)
    assert refusals == ["LockNotAvailable"]

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from vending.customers.errors import (
    AccountNumberTakenError,
    CustomerInvalidError,
    CustomerNotFoundError,
)
from vending.customers.model import Channel, Customer, Language, NewCustomer
from vending.customers.service import (
    Contact,
    change_contact,
    find_customers,
    find_ids,
    list_customers,
    load_customer,
    register_customer,
    set_consent,
)
from vending.customers.tables import consent_changes, customers
from vending.persistence.engine import Database
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.values.identifiers import CustomerId

NOBODY = CustomerId(UUID(int=1))
NEW = NewCustomer(
    account_number="A-1",
    name="张三",
    phone="+254712345678",
    email="a@example.org",
    language=Language.ZH_CN,
    consents=frozenset({Channel.SMS}),
)


@pytest.fixture
def customer(database: Database, fixed_clock: FixedClock) -> Customer:
    return register_customer(database, NEW, by=SYSTEM, clock=fixed_clock)


def consents(database: Database) -> list[tuple[str, bool]]:
    with database.read() as connection:
        query = select(consent_changes.c.channel, consent_changes.c.granted)
        rows = connection.execute(query.order_by(consent_changes.c.at))
        return [(row.channel, row.granted) for row in rows]


def contact_of(customer: Customer) -> Contact:
    return Contact(
        name=customer.name,
        phone=customer.phone,
        email=customer.email,
        language=customer.language,
    )


def test_a_customer_is_found_again(
    database: Database, customer: Customer, fixed_clock: FixedClock
) -> None:
    assert customer.consent_sms_at == fixed_clock.now()
    with database.read() as connection:
        assert load_customer(connection, customer.id) == customer
        assert find_customers(connection, [customer.id, NOBODY]) == {customer.id: customer}
        assert find_ids(connection, ["A-1", "A-2"]) == {"A-1": customer.id}
    assert consents(database) == [("sms", True)]


def test_a_customer_that_does_not_exist_is_not_found(
    database: Database, customer: Customer, fixed_clock: FixedClock
) -> None:
    with database.read() as connection, pytest.raises(CustomerNotFoundError):
        load_customer(connection, NOBODY)
    with pytest.raises(CustomerNotFoundError):
        change_contact(database, NOBODY, contact_of(customer), by=SYSTEM, clock=fixed_clock)
    with pytest.raises(CustomerNotFoundError):
        set_consent(database, NOBODY, Channel.SMS, granted=True, by=SYSTEM, clock=fixed_clock)


def test_an_account_number_is_taken_once(
    database: Database, customer: Customer, fixed_clock: FixedClock
) -> None:
    with pytest.raises(AccountNumberTakenError, match=customer.account_number):
        register_customer(database, replace(NEW, name="Other"), by=SYSTEM, clock=fixed_clock)
    with database.read() as connection:
        assert load_customer(connection, customer.id).name == "张三"


def test_pages_show_every_customer_once(database: Database, fixed_clock: FixedClock) -> None:
    registered = []
    for number in range(5):
        fixed_clock.advance(timedelta(seconds=1))
        new = replace(NEW, account_number=f"A-{number}")
        registered.append(register_customer(database, new, by=SYSTEM, clock=fixed_clock))
    seen: list[Customer] = []
    after = None
    with database.read() as connection:
        while True:
            page = list_customers(connection, after=after, limit=2)
            seen += page.customers
            after = page.next_after
            if after is None:
                break
    assert seen == registered


def test_a_consent_is_given_and_withdrawn_and_both_are_kept(
    database: Database, customer: Customer, fixed_clock: FixedClock
) -> None:
    fixed_clock.advance(timedelta(hours=1))
    given = set_consent(
        database, customer.id, Channel.EMAIL, granted=True, by=SYSTEM, clock=fixed_clock
    )
    assert given.consent_email_at == fixed_clock.now()
    fixed_clock.advance(timedelta(hours=1))
    withdrawn = set_consent(
        database, customer.id, Channel.SMS, granted=False, by=SYSTEM, clock=fixed_clock
    )
    assert not withdrawn.allows(Channel.SMS)
    assert withdrawn.allows(Channel.EMAIL)
    assert consents(database) == [("sms", True), ("email", True), ("sms", False)]


def test_a_consent_needs_an_address(database: Database, fixed_clock: FixedClock) -> None:
    bare = register_customer(
        database, NewCustomer(account_number="A-2", name="Ann"), by=SYSTEM, clock=fixed_clock
    )
    with pytest.raises(CustomerInvalidError):
        set_consent(database, bare.id, Channel.SMS, granted=True, by=SYSTEM, clock=fixed_clock)
    assert consents(database) == []


def test_a_consent_ends_with_its_address(
    database: Database, customer: Customer, fixed_clock: FixedClock
) -> None:
    fixed_clock.advance(timedelta(hours=1))
    contact = replace(contact_of(customer), phone="+254799999999", name="李四")
    changed = change_contact(database, customer.id, contact, by=SYSTEM, clock=fixed_clock)
    assert (changed.name, changed.phone) == ("李四", "+254799999999")
    assert not changed.allows(Channel.SMS)
    assert consents(database) == [("sms", True), ("sms", False)]
    with database.read() as connection:
        assert load_customer(connection, customer.id) == changed


def test_a_consent_outlives_another_name(
    database: Database, customer: Customer, fixed_clock: FixedClock
) -> None:
    contact = replace(contact_of(customer), name="李四")
    changed = change_contact(database, customer.id, contact, by=SYSTEM, clock=fixed_clock)
    assert changed.allows(Channel.SMS)
    assert consents(database) == [("sms", True)]


def test_the_database_keeps_customers_and_their_consents(
    database: Database, customer: Customer
) -> None:
    assert customer.account_number == "A-1"
    for table, statement in (
        ("customers", delete(customers)),
        ("customers", update(customers).values(account_number="A-9")),
        ("consent_changes", delete(consent_changes)),
        ("consent_changes", update(consent_changes).values(granted=False)),
    ):
        with (
            pytest.raises(IntegrityError, match=f"append_only:{table}"),
            database.unit_of_work() as uow,
        ):
            uow.connection.execute(statement)

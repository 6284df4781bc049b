"""Use cases of the customers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection

from vending.customers import repository
from vending.customers.errors import (
    AccountNumberTakenError,
    CustomerErasedError,
    CustomerNotFoundError,
)
from vending.customers.model import (
    ERASED_NAME,
    Channel,
    Customer,
    CustomerPage,
    Language,
    NewCustomer,
    require_address,
)
from vending.customers.repository import (
    find_customers,
    find_erased,
    find_ids,
    list_kept,
    lock_customers,
)
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.persistence.engine import Database
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import CustomerId, new_uuid7

__all__ = [
    "PAGE_SIZE_MAX",
    "Contact",
    "change_contact",
    "erase_customer",
    "export_customer",
    "find_customers",
    "find_erased",
    "find_ids",
    "hold_customer",
    "list_customers",
    "list_kept",
    "load_customer",
    "lock_customers",
    "make_customer",
    "register_customer",
    "set_consent",
    "store_customers",
]

PAGE_SIZE_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How a customer is reached from now on; None: not by this way."""

    name: str
    phone: str | None
    email: str | None
    language: Language


def register_customer(database: Database, new: NewCustomer, *, by: Actor, clock: Clock) -> Customer:
    """Store a new customer and return it.

    Raises:
        AccountNumberTakenError: Another customer has the account number.
    """
    customer = make_customer(new, clock)
    with database.unit_of_work() as uow:
        if not store_customers(uow.connection, [customer], by=by, clock=clock):
            raise AccountNumberTakenError(new.account_number)
        uow.commit()
    return customer


def make_customer(new: NewCustomer, clock: Clock) -> Customer:
    """Return the customer with an identifier of its own; consents are given now."""
    now = clock.now()
    return Customer(
        id=CustomerId(new_uuid7(clock)),
        account_number=new.account_number,
        name=new.name,
        phone=new.phone,
        email=new.email,
        language=new.language,
        consent_sms_at=now if Channel.SMS in new.consents else None,
        consent_email_at=now if Channel.EMAIL in new.consents else None,
    )


def store_customers(
    connection: Connection, new_customers: list[Customer], *, by: Actor, clock: Clock
) -> set[str]:
    """Store the customers whose account number is free, with their consents.

    Returns the account numbers that were stored.
    """
    stored = repository.insert_customers(connection, new_customers, registered_at=clock.now())
    changes = [
        _make_change(customer.id, channel, granted=True, clock=clock)
        for customer in new_customers
        if customer.account_number in stored
        for channel in Channel
        if customer.allows(channel)
    ]
    repository.append_consent_changes(connection, changes)
    events = [
        _event(by, "customer.registered", customer.id, {})
        for customer in new_customers
        if customer.account_number in stored
    ]
    record(connection, events, clock)
    return stored


def load_customer(connection: Connection, customer_id: CustomerId) -> Customer:
    """Return one customer.

    Raises:
        CustomerNotFoundError: There is none with this id.
    """
    customer = find_customers(connection, [customer_id]).get(customer_id)
    if customer is None:
        raise CustomerNotFoundError(str(customer_id))
    return customer


def hold_customer(connection: Connection, customer_id: CustomerId) -> Customer:
    """Return a customer who may be given something, and who is not erased until the commit.

    Raises:
        CustomerNotFoundError: There is none with this id.
        CustomerErasedError: The customer's personal data was erased.
    """
    customer = repository.hold_customer(connection, customer_id)
    if customer is None:
        raise CustomerNotFoundError(str(customer_id))
    return _require_kept(customer)


def list_customers(
    connection: Connection, *, after: CustomerId | None = None, limit: int = 100
) -> CustomerPage:
    """Return the customers after one, in the order of their registration, at most `limit`."""
    assert 1 <= limit <= PAGE_SIZE_MAX, "a page is bounded"
    found = repository.list_customers(connection, after=after, limit=limit + 1)
    page = tuple(found[:limit])
    return CustomerPage(page, page[-1].id if len(found) > limit else None)


def change_contact(
    database: Database, customer_id: CustomerId, contact: Contact, *, by: Actor, clock: Clock
) -> Customer:
    """Store how a customer is reached; a consent ends with the address that it was given for.

    Raises:
        CustomerInvalidError: A field is outside its limits.
        CustomerNotFoundError: There is none with this id.
        CustomerErasedError: The customer's personal data was erased.
    """
    with database.unit_of_work() as uow:
        customer = _require_kept(_lock_customer(uow.connection, customer_id))
        keeps_sms = contact.phone == customer.phone
        keeps_email = contact.email == customer.email
        changed = replace(
            customer,
            name=contact.name,
            phone=contact.phone,
            email=contact.email,
            language=contact.language,
            consent_sms_at=customer.consent_sms_at if keeps_sms else None,
            consent_email_at=customer.consent_email_at if keeps_email else None,
        )
        repository.update_customer(uow.connection, changed)
        ended = [
            _make_change(customer.id, channel, granted=False, clock=clock)
            for channel in Channel
            if customer.allows(channel) and not changed.allows(channel)
        ]
        repository.append_consent_changes(uow.connection, ended)
        names = ("name", "phone", "email", "language")
        fields: list[Json] = [
            name for name in names if getattr(customer, name) != getattr(changed, name)
        ]
        event = _event(by, "customer.contact-changed", customer_id, {"fields": fields})
        record(uow.connection, [event], clock)
        uow.commit()
    return changed


def set_consent(
    database: Database,
    customer_id: CustomerId,
    channel: Channel,
    *,
    granted: bool,
    by: Actor,
    clock: Clock,
) -> Customer:
    """Store that a customer allows a channel, or no longer does.

    Raises:
        CustomerInvalidError: There is no address for the channel.
        CustomerNotFoundError: There is none with this id.
        CustomerErasedError: The customer's personal data was erased.
    """
    at = clock.now() if granted else None
    with database.unit_of_work() as uow:
        customer = _require_kept(_lock_customer(uow.connection, customer_id))
        if granted:
            require_address(customer, channel)
        changed = customer.with_consent(channel, at)
        repository.update_customer(uow.connection, changed)
        change = _make_change(customer.id, channel, granted=granted, clock=clock)
        repository.append_consent_changes(uow.connection, [change])
        details: dict[str, Json] = {"channel": channel.value, "granted": granted}
        record(uow.connection, [_event(by, "customer.consent-set", customer_id, details)], clock)
        uow.commit()
    return changed


def export_customer(connection: Connection, customer_id: CustomerId) -> dict[str, Json]:
    """Return all that is kept here of one customer, as a document.

    Raises:
        CustomerNotFoundError: There is none with this id.
    """
    customer = load_customer(connection, customer_id)
    consents: list[Json] = [
        {"channel": row.channel, "granted": row.granted, "at": row.at.isoformat()}
        for row in repository.list_consents(connection, customer_id)
    ]
    return {
        "id": str(customer.id),
        "account_number": customer.account_number,
        "name": customer.name,
        "phone": customer.phone,
        "email": customer.email,
        "language": customer.language.value,
        "consents": consents,
        "erased_at": None if customer.erased_at is None else customer.erased_at.isoformat(),
    }


def erase_customer(
    connection: Connection, customer_id: CustomerId, *, by: Actor, clock: Clock
) -> Customer:
    """Put a tombstone where name, phone and e-mail were; the caller has decided that it may be.

    Identifier, account number and history of consents stay: the books name the first two, the
    third proves what was allowed, and none tells who it was.

    Raises:
        CustomerNotFoundError: There is none with this id.
        CustomerErasedError: It was done before.
    """
    customer = _require_kept(_lock_customer(connection, customer_id))
    erased = replace(
        customer,
        name=ERASED_NAME,
        phone=None,
        email=None,
        consent_sms_at=None,
        consent_email_at=None,
        erased_at=clock.now(),
    )
    ended = [
        _make_change(customer_id, channel, granted=False, clock=clock)
        for channel in Channel
        if customer.allows(channel)
    ]
    repository.append_consent_changes(connection, ended)
    repository.update_customer(connection, erased)
    record(connection, [_event(by, "customer.erased", customer_id, {})], clock)
    return erased


def _require_kept(customer: Customer) -> Customer:
    if customer.erased_at is not None:
        raise CustomerErasedError(customer.id)
    return customer


def _event(
    by: Actor, action: str, customer_id: CustomerId, details: Mapping[str, Json]
) -> AuditEvent:
    return AuditEvent(by, action, f"customer:{customer_id}", details)


def _lock_customer(connection: Connection, customer_id: CustomerId) -> Customer:
    customer = repository.lock_customer(connection, customer_id)
    if customer is None:
        raise CustomerNotFoundError(str(customer_id))
    return customer


def _make_change(
    customer_id: CustomerId, channel: Channel, *, granted: bool, clock: Clock
) -> dict[str, Any]:
    return {
        "id": new_uuid7(clock),
        "customer_id": customer_id,
        "channel": channel.value,
        "granted": granted,
        "at": clock.now(),
    }

"""Every query on customers and their consents."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from vending.customers.model import Customer, Language
from vending.customers.tables import consent_changes, customers
from vending.persistence.upsert import insert_or_ignore
from vending.values.identifiers import CustomerId


def insert_customers(
    connection: Connection, new_customers: Sequence[Customer], *, registered_at: datetime
) -> set[str]:
    """Store the customers whose account number is free; return the numbers stored."""
    statement = insert_or_ignore(connection, customers).returning(customers.c.account_number)
    rows = [_to_row(customer) | {"registered_at": registered_at} for customer in new_customers]
    return set(connection.execute(statement, rows).scalars())


def append_consent_changes(connection: Connection, changes: Sequence[Mapping[str, Any]]) -> None:
    """Store which consents were given and withdrawn."""
    if changes:
        connection.execute(insert(consent_changes), list(changes))


def find_customers(
    connection: Connection, ids: Collection[CustomerId]
) -> dict[CustomerId, Customer]:
    """Return the registered ones of these customers."""
    found = connection.execute(select(customers).where(customers.c.id.in_(set(ids))))
    return {customer.id: customer for customer in map(_to_customer, found)}


def find_ids(connection: Connection, account_numbers: Collection[str]) -> dict[str, CustomerId]:
    """Return the customers of those account numbers that are taken."""
    found = connection.execute(
        select(customers.c.account_number, customers.c.id).where(
            customers.c.account_number.in_(set(account_numbers))
        )
    )
    return {row.account_number: CustomerId(row.id) for row in found}


def find_erased(connection: Connection, account_numbers: Collection[str]) -> set[str]:
    """Return those of the account numbers whose customers were erased."""
    query = select(customers.c.account_number).where(
        customers.c.account_number.in_(set(account_numbers)), customers.c.erased_at.is_not(None)
    )
    return set(connection.execute(query).scalars())


def lock_customers(connection: Connection, ids: Collection[CustomerId]) -> None:
    """Lock customers until the transaction ends, in the order of their ids."""
    query = select(customers.c.id).where(customers.c.id.in_(set(ids))).order_by(customers.c.id)
    connection.execute(query.with_for_update()).all()


def hold_customer(connection: Connection, customer_id: CustomerId) -> Customer | None:
    """Return the customer, kept from any change until the transaction ends; None: there is none."""
    query = select(customers).where(customers.c.id == customer_id).with_for_update(read=True)
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_customer(row)


def lock_customer(connection: Connection, customer_id: CustomerId) -> Customer | None:
    """Return the customer, locked until the transaction ends; None: there is none."""
    query = select(customers).where(customers.c.id == customer_id).with_for_update()
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_customer(row)


def list_customers(
    connection: Connection, *, after: CustomerId | None, limit: int
) -> list[Customer]:
    """Return up to `limit` customers that come after one, in the order of their ids."""
    query = select(customers).order_by(customers.c.id).limit(limit)
    if after is not None:
        query = query.where(customers.c.id > after)
    return [_to_customer(row) for row in connection.execute(query)]


def list_consents(connection: Connection, customer_id: CustomerId) -> list[Row[Any]]:
    """Return which consents a customer gave and withdrew, the oldest first."""
    query = (
        select(consent_changes.c.channel, consent_changes.c.granted, consent_changes.c.at)
        .where(consent_changes.c.customer_id == customer_id)
        .order_by(consent_changes.c.at, consent_changes.c.id)
    )
    return list(connection.execute(query))


def list_kept(
    connection: Connection, *, before: datetime, after: CustomerId | None, limit: int
) -> dict[CustomerId, datetime]:
    """Return when customers who are not erased were registered, if before an instant, by id."""
    query = (
        select(customers.c.id, customers.c.registered_at)
        .where(customers.c.erased_at.is_(None), customers.c.registered_at < before)
        .order_by(customers.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(customers.c.id > after)
    return {CustomerId(row.id): row.registered_at for row in connection.execute(query)}


def update_customer(connection: Connection, customer: Customer) -> None:
    """Store what has changed about a customer; the id and account number never do."""
    row = _to_row(customer)
    del row["id"], row["account_number"]
    connection.execute(update(customers).where(customers.c.id == customer.id).values(row))


def _to_customer(row: Row[Any]) -> Customer:
    return Customer(
        id=CustomerId(row.id),
        account_number=row.account_number,
        name=row.name,
        phone=row.phone,
        email=row.email,
        language=Language(row.language),
        consent_sms_at=row.consent_sms_at,
        consent_email_at=row.consent_email_at,
        erased_at=row.erased_at,
    )


def _to_row(customer: Customer) -> dict[str, Any]:
    return {
        "id": customer.id,
        "account_number": customer.account_number,
        "name": customer.name,
        "phone": customer.phone,
        "email": customer.email,
        "language": customer.language.value,
        "consent_sms_at": customer.consent_sms_at,
        "consent_email_at": customer.consent_email_at,
        "erased_at": customer.erased_at,
    }

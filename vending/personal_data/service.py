"""Use cases of personal data: look up, see in full, export, erase, and erase what is due.

What names a person is shown masked. Whoever sees it in full, or exports it, says what for, and
the audit log has it before the answer. An erasure takes two people, unless the retention rule
that the utility set says that the time is over.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.approvals.model import Act, Approval, UseCase
from vending.approvals.service import redeem, request_approval
from vending.customers.errors import CustomerErasedError, CustomerNotFoundError
from vending.customers.model import Customer
from vending.customers.service import (
    erase_customer,
    find_ids,
    list_kept,
    load_customer,
    lock_customers,
)
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.persistence.engine import Database
from vending.personal_data.errors import ErasureHeldError, PurposeMissingError
from vending.personal_data.port import PersonalDataSource
from vending.personal_data.sources import SOURCES
from vending.policies.service import load_policies
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId, CustomerId

PURPOSE_LENGTH_MAX: Final = 200
SCAN_COUNT_MAX: Final = 200
"""Customers that one round of the retention job looks at; the next goes on behind them."""
RETENTION: Final = Actor.system("retention")
_MONTHS_PER_YEAR: Final = 12


def look_up(connection: Connection, account_number: str, *, by: SignedIn) -> Customer:
    """Return a customer by account number; show nothing of it but `masked()`.

    Raises:
        PermissionDeniedError: The operator may not see customers.
        CustomerNotFoundError: There is none of this number.
    """
    by.require(Permission.CUSTOMERS_READ)
    customer_id = find_ids(connection, [account_number]).get(account_number)
    if customer_id is None:
        raise CustomerNotFoundError(account_number)
    return load_customer(connection, customer_id)


def view_identity(
    database: Database, customer_id: CustomerId, *, by: SignedIn, purpose: str, clock: Clock
) -> Customer:
    """Return a customer in full, once it is recorded who sees it and for what.

    Raises:
        PermissionDeniedError: The operator may not see who customers are.
        PurposeMissingError: No purpose is given.
        CustomerNotFoundError: There is none with this id.
    """
    by.require(Permission.CUSTOMERS_IDENTITY)
    _require_purpose(purpose)
    with database.unit_of_work() as uow:
        customer = load_customer(uow.connection, customer_id)
        event = _event(by.actor, "customer.identity-viewed", customer_id, {"purpose": purpose})
        record(uow.connection, [event], clock)
        uow.commit()
    return customer


def export_person(
    database: Database, customer_id: CustomerId, *, by: SignedIn, purpose: str, clock: Clock
) -> dict[str, Json]:
    """Return all that is kept of one person, each feature's part under its name.

    Raises:
        PermissionDeniedError: The operator may not see who customers are.
        PurposeMissingError: No purpose is given.
        CustomerNotFoundError: There is none with this id.
    """
    by.require(Permission.CUSTOMERS_IDENTITY)
    _require_purpose(purpose)
    with database.unit_of_work() as uow:
        parts = {source.name: source.export(uow.connection, customer_id) for source in SOURCES}
        event = _event(by.actor, "customer.exported", customer_id, {"purpose": purpose})
        record(uow.connection, [event], clock)
        uow.commit()
    return {"exported_at": clock.now().isoformat(timespec="seconds"), **parts}


def propose_erasure(
    database: Database, customer_id: CustomerId, *, by: SignedIn, reason: str, clock: Clock
) -> Approval:
    """Ask for the approval to erase one person's data.

    Raises:
        PermissionDeniedError: The operator may not ask.
        CustomerNotFoundError: There is none with this id.
        CustomerErasedError: It was done before.
        ErasureHeldError: Something still needs to know who the customer is.
        ApprovalContentError: The reason cannot be shown.
    """
    by.require(Permission.CUSTOMERS_ERASE)
    with database.unit_of_work() as uow:
        act = _erasure_act(uow.connection, customer_id)
        approval = request_approval(uow.connection, by, act, reason=reason, clock=clock)
        uow.commit()
    return approval


def erase_person(
    database: Database,
    customer_id: CustomerId,
    *,
    by: SignedIn,
    approval_id: ApprovalId,
    clock: Clock,
) -> Customer:
    """Erase who a customer is; the books stay, and name an identifier that leads to nobody.

    Raises:
        PermissionDeniedError: The operator may not do it.
        CustomerNotFoundError: There is none with this id.
        CustomerErasedError: It was done before.
        ErasureHeldError: Something still needs to know who the customer is.
        VendingError: The approval does not allow it.
    """
    by.require(Permission.CUSTOMERS_ERASE)
    with database.unit_of_work() as uow:
        # Nobody gives the customer a meter between the look at what holds them and the erasure.
        lock_customers(uow.connection, [customer_id])
        act = _erasure_act(uow.connection, customer_id)
        redeem(uow.connection, by, approval_id, act, clock=clock)
        erased = erase_customer(uow.connection, customer_id, by=by.actor, clock=clock)
        uow.commit()
    return erased


def erase_due(
    database: Database, *, after: CustomerId | None, clock: Clock
) -> tuple[int, CustomerId | None]:
    """Erase customers whose time is over, where policy sets one, among the next after an id.

    The time runs from the last activity any feature knows of, else from the registration; who
    still has a meter in use stays. Returns how many were erased, and the last id looked at;
    None: there are no more, begin anew.
    """
    with database.unit_of_work() as uow:
        months = load_policies(uow.connection).retention_months
        if months is None:
            return 0, None
        due_before = subtract_months(clock.now(), months)
        kept = list_kept(uow.connection, before=due_before, after=after, limit=SCAN_COUNT_MAX)
        lock_customers(uow.connection, list(kept))
        active = _find_last_activity(uow.connection, list(kept), SOURCES)
        held = _find_holds(uow.connection, list(kept), SOURCES)
        due = [one for one in kept if one not in held and active.get(one, kept[one]) < due_before]
        for customer_id in due:
            erase_customer(uow.connection, customer_id, by=RETENTION, clock=clock)
        uow.commit()
    last = max(kept) if len(kept) == SCAN_COUNT_MAX else None
    return len(due), last


def subtract_months(instant: datetime, months: int) -> datetime:
    """Return the same moment so many months earlier, on the 28th at the latest."""
    month_count = instant.year * _MONTHS_PER_YEAR + instant.month - 1 - months
    return instant.replace(
        year=month_count // _MONTHS_PER_YEAR,
        month=month_count % _MONTHS_PER_YEAR + 1,
        day=min(instant.day, 28),
    )


def _erasure_act(connection: Connection, customer_id: CustomerId) -> Act:
    customer = load_customer(connection, customer_id)
    if customer.erased_at is not None:
        raise CustomerErasedError(customer_id)
    hold = _find_holds(connection, [customer_id], SOURCES).get(customer_id)
    if hold is not None:
        raise ErasureHeldError(customer_id, hold)
    payload = {"account_number": customer.account_number}
    return Act(UseCase.ERASURE, f"customer:{customer_id}", payload)


def _find_last_activity(
    connection: Connection, ids: Sequence[CustomerId], sources: Sequence[PersonalDataSource]
) -> dict[CustomerId, datetime]:
    last: dict[CustomerId, datetime] = {}
    for source in sources:
        for customer_id, at in source.find_last_activity(connection, ids).items():
            last[customer_id] = max(at, last.get(customer_id, at))
    return last


def _find_holds(
    connection: Connection, ids: Sequence[CustomerId], sources: Sequence[PersonalDataSource]
) -> dict[CustomerId, str]:
    holds: dict[CustomerId, str] = {}
    for source in sources:
        holds |= source.find_holds(connection, ids)
    return holds


def _require_purpose(purpose: str) -> None:
    if not (1 <= len(purpose.strip()) <= PURPOSE_LENGTH_MAX and purpose.isprintable()):
        raise PurposeMissingError(PURPOSE_LENGTH_MAX)


def _event(
    by: Actor, action: str, customer_id: CustomerId, details: Mapping[str, Json]
) -> AuditEvent:
    return AuditEvent(by, action, f"customer:{customer_id}", details)

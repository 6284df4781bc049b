"""Use cases of the partners: take one on, give and revoke keys, tell who is calling."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.approvals.errors import ApprovalRequiredError
from vending.approvals.model import Act, Approval
from vending.approvals.service import redeem, request_approval
from vending.ledger.model import JournalEntry, Posting
from vending.ledger.service import change_floor, open_accounts, post_entries, read_balances
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.partners import repository
from vending.partners.errors import (
    APIKeyNotFoundError,
    CreditLineTooLowError,
    PartnerNameTakenError,
    PartnerNotFoundError,
    PartnerSuspendedError,
)
from vending.partners.model import APIKey, IssuedAPIKey, Partner, PartnerStatus
from vending.partners.repository import find_names, list_api_keys, load_lines
from vending.partners.rules import (
    PREFIX_SIZE_BYTES,
    SECRET_SIZE_BYTES,
    api_key_act,
    can_sell,
    check_api_key,
    credit_line_act,
    make_api_key,
    parse_prefix,
    partner_line,
    partner_receivable,
    require_line,
)
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.persistence.engine import Database
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId, EntryId, PartnerId, new_uuid7
from vending.values.money import Currency, Money

__all__ = [
    "PARTNER_COUNT_MAX",
    "add_partner",
    "authenticate",
    "change_status",
    "find_names",
    "issue_api_key",
    "issue_approved_api_key",
    "list_api_keys",
    "list_partners",
    "load_lines",
    "load_owed",
    "load_partner",
    "load_partner_by_name",
    "propose_api_key",
    "propose_credit_line",
    "revoke_api_key",
    "set_credit_line",
]

CREDIT_LINE_ENTRY: Final = "credit-line"
PARTNER_COUNT_MAX: Final = 1_000


def add_partner(
    database: Database, name: str, currency: Currency, *, by: Actor, clock: Clock
) -> Partner:
    """Store a new partner, active, and return it.

    It may owe nothing, so it sells nothing, until two people agree on its line: else whoever adds
    a partner would have credit without end.

    Raises:
        PartnerInvalidError: The name is outside its limits.
        PartnerNameTakenError: Another partner has the name.
    """
    partner = Partner(PartnerId(new_uuid7(clock)), name, currency, credit_line_minor=0)
    with database.unit_of_work() as uow:
        if not repository.insert_partner(uow.connection, partner, created_at=clock.now()):
            raise PartnerNameTakenError(name)
        details = {"currency": currency.code}
        record(uow.connection, [_event(by, "partner.added", partner, details)], clock)
        uow.commit()
    return partner


def load_partner(connection: Connection, partner_id: PartnerId) -> Partner:
    """Return one partner.

    Raises:
        PartnerNotFoundError: There is none with this id.
    """
    partner = repository.find_partner(connection, partner_id)
    if partner is None:
        raise PartnerNotFoundError(str(partner_id))
    return partner


def load_partner_by_name(connection: Connection, name: str) -> Partner:
    """Return one partner.

    Raises:
        PartnerNotFoundError: There is none of this name.
    """
    partner = repository.find_partner_by_name(connection, name)
    if partner is None:
        raise PartnerNotFoundError(name)
    return partner


def list_partners(connection: Connection, *, limit: int = PARTNER_COUNT_MAX) -> list[Partner]:
    """Return the partners in the order of their names."""
    assert 1 <= limit <= PARTNER_COUNT_MAX, "a list is bounded"
    return repository.list_partners(connection, limit=limit)


def change_status(
    database: Database, partner_id: PartnerId, status: PartnerStatus, *, by: Actor, clock: Clock
) -> Partner:
    """Suspend a partner at once, or let it sell again; one person does it.

    Raises:
        PartnerNotFoundError: There is none with this id.
    """
    with database.unit_of_work() as uow:
        repository.update_status(uow.connection, partner_id, status)
        partner = load_partner(uow.connection, partner_id)
        action = "partner.suspended" if status is PartnerStatus.SUSPENDED else "partner.resumed"
        record(uow.connection, [_event(by, action, partner, {})], clock)
        uow.commit()
    return partner


def propose_credit_line(
    database: Database,
    partner_id: PartnerId,
    line_minor: int | None,
    *,
    by: SignedIn,
    reason: str,
    clock: Clock,
) -> Approval:
    """Ask for the approval of another credit line; None: without limit.

    Raises:
        PermissionDeniedError: The operator may not ask.
        CreditLineInvalidError: No line is of this size.
        PartnerNotFoundError: There is none with this id.
        ApprovalContentError: The reason cannot be shown.
    """
    by.require(Permission.PARTNERS_CREDIT)
    require_line(line_minor)
    with database.unit_of_work() as uow:
        partner = load_partner(uow.connection, partner_id)
        act = _credit_line_act(uow.connection, partner, line_minor, clock)
        approval = request_approval(uow.connection, by, act, reason=reason, clock=clock)
        uow.commit()
    return approval


def set_credit_line(
    database: Database,
    partner_id: PartnerId,
    line_minor: int | None,
    *,
    by: SignedIn,
    approval_id: ApprovalId,
    clock: Clock,
) -> Partner:
    """Set the most that a partner may owe, in the same instant for every sale.

    What it owes moves to the account whose floor holds the line, or back where there is none.

    Raises:
        PermissionDeniedError: The operator may not do it.
        CreditLineInvalidError: No line is of this size.
        PartnerNotFoundError: There is none with this id.
        CreditLineTooLowError: It owes more already.
        VendingError: The approval does not allow it.
    """
    by.require(Permission.PARTNERS_CREDIT)
    require_line(line_minor)
    with database.unit_of_work() as uow:
        partner = _lock_partner(uow.connection, partner_id)
        act = _credit_line_act(uow.connection, partner, line_minor, clock)
        redeem(uow.connection, by, approval_id, act, clock=clock)
        _move_line(uow.connection, partner, line_minor, clock)
        repository.update_credit_line(uow.connection, partner_id, line_minor)
        changed = load_partner(uow.connection, partner_id)
        details = {
            "from_minor": partner.credit_line_minor,
            "to_minor": line_minor,
            "approval": str(approval_id),
        }
        record(
            uow.connection, [_event(by.actor, "partner.credit-line-set", partner, details)], clock
        )
        uow.commit()
    return changed


def load_owed(connection: Connection, partner: Partner) -> Money:
    """Return what a partner owes; below zero: what it has paid ahead."""
    accounts = (
        partner_receivable(partner.id, partner.currency),
        partner_line(partner.id, partner.currency, 0),
    )
    balances = read_balances(connection, [account.code for account in accounts])
    return Money(
        sum(one.minor * one.account.kind.sign for one in balances.values()), partner.currency
    )


def issue_api_key(
    database: Database, partner_id: PartnerId, *, by: Actor, clock: Clock
) -> IssuedAPIKey:
    """Make a key for a partner that can sell nothing yet; one person does it.

    Its secret is in the answer and nowhere else. Who agree on the partner's line see the key.

    Raises:
        PartnerNotFoundError: There is none with this id.
        ApprovalRequiredError: The key would sell at once.
    """
    with database.unit_of_work() as uow:
        partner = _lock_partner(uow.connection, partner_id)
        if can_sell(partner, load_owed(uow.connection, partner)):
            act = api_key_act(partner)
            raise ApprovalRequiredError(act.use_case, act.subject)
        issued = _insert_api_key(uow.connection, partner, by, clock)
        uow.commit()
    return issued


def propose_api_key(
    database: Database, partner_id: PartnerId, *, by: SignedIn, reason: str, clock: Clock
) -> Approval:
    """Ask for the approval of a key that sells at once.

    Raises:
        PermissionDeniedError: The operator may not ask.
        PartnerNotFoundError: There is none with this id.
        ApprovalContentError: The reason cannot be shown.
    """
    by.require(Permission.PARTNERS_WRITE)
    with database.unit_of_work() as uow:
        act = api_key_act(load_partner(uow.connection, partner_id))
        approval = request_approval(uow.connection, by, act, reason=reason, clock=clock)
        uow.commit()
    return approval


def issue_approved_api_key(
    database: Database,
    partner_id: PartnerId,
    *,
    by: SignedIn,
    approval_id: ApprovalId,
    clock: Clock,
) -> IssuedAPIKey:
    """Make a key that sells at once; its secret is in the answer and nowhere else.

    Raises:
        PermissionDeniedError: The operator may not do it.
        PartnerNotFoundError: There is none with this id.
        VendingError: The approval does not allow it.
    """
    by.require(Permission.PARTNERS_WRITE)
    with database.unit_of_work() as uow:
        partner = _lock_partner(uow.connection, partner_id)
        redeem(uow.connection, by, approval_id, api_key_act(partner), clock=clock)
        issued = _insert_api_key(uow.connection, partner, by.actor, clock)
        uow.commit()
    return issued


def revoke_api_key(
    database: Database, prefix: str, *, by: Actor, clock: Clock, at: datetime | None = None
) -> APIKey:
    """End a key now, or at a later instant; an earlier end that it has stands.

    Raises:
        APIKeyNotFoundError: No key has this prefix.
    """
    end = clock.now() if at is None else at
    with database.unit_of_work() as uow:
        key = repository.find_api_key(uow.connection, prefix)
        if key is None:
            raise APIKeyNotFoundError(prefix)
        if key.is_valid(end):
            repository.update_revoked_at(uow.connection, prefix, end)
            partner = load_partner(uow.connection, key.partner_id)
            details = {"prefix": prefix, "at": end.isoformat()}
            record(uow.connection, [_event(by, "partner.key-revoked", partner, details)], clock)
        revoked = repository.find_api_key(uow.connection, prefix)
        assert revoked is not None, "keys are never deleted"
        uow.commit()
    return revoked


def authenticate(connection: Connection, presented: str, now: datetime) -> Partner:
    """Return the partner that a presented key proves.

    Raises:
        UnauthenticatedError: The key is malformed, unknown, wrong or revoked.
        PartnerSuspendedError: The key is valid, and its partner may not sell.
    """
    stored = repository.find_api_key(connection, parse_prefix(presented))
    key = check_api_key(presented, stored, now)
    partner = load_partner(connection, key.partner_id)
    if partner.status is PartnerStatus.SUSPENDED:
        raise PartnerSuspendedError(partner.name)
    return partner


def _lock_partner(connection: Connection, partner_id: PartnerId) -> Partner:
    partner = repository.lock_partner(connection, partner_id)
    if partner is None:
        raise PartnerNotFoundError(str(partner_id))
    return partner


def _credit_line_act(
    connection: Connection, partner: Partner, line_minor: int | None, clock: Clock
) -> Act:
    now = clock.now()
    keys = [key for key in list_api_keys(connection, partner.id) if key.is_valid(now)]
    return credit_line_act(partner, line_minor, [key.prefix for key in keys])


def _insert_api_key(
    connection: Connection, partner: Partner, by: Actor, clock: Clock
) -> IssuedAPIKey:
    issued = make_api_key(
        partner.id,
        prefix=secrets.token_bytes(PREFIX_SIZE_BYTES),
        secret=secrets.token_bytes(SECRET_SIZE_BYTES),
        created_at=clock.now(),
    )
    repository.insert_api_key(connection, issued.key)
    details = {"prefix": issued.key.prefix}
    record(connection, [_event(by, "partner.key-issued", partner, details)], clock)
    return issued


def _move_line(
    connection: Connection, partner: Partner, line_minor: int | None, clock: Clock
) -> None:
    """Move what is owed to the account that the partner's sales use from now on.

    Raises:
        CreditLineTooLowError: It owes more than the new line.
    """
    owed = load_owed(connection, partner)
    if line_minor is not None and owed.minor > line_minor:
        raise CreditLineTooLowError(Money(line_minor, partner.currency), owed)
    receivable = partner_receivable(partner.id, partner.currency)
    line = partner_line(partner.id, partner.currency, line_minor or 0)
    if line_minor is not None:
        open_accounts(connection, [line])
        change_floor(connection, line.code, -line_minor)
    if (partner.credit_line_minor is None) != (line_minor is None) and owed.minor:
        source, target = (line, receivable) if line_minor is None else (receivable, line)
        entry = JournalEntry(
            id=EntryId(new_uuid7(clock)),
            at=clock.now(),
            kind=CREDIT_LINE_ENTRY,
            reference=str(partner.id),
            currency=partner.currency,
            postings=(Posting(target.code, owed.minor), Posting(source.code, -owed.minor)),
        )
        post_entries(connection, [entry], [receivable, line])


def _event(by: Actor, action: str, partner: Partner, details: Mapping[str, Json]) -> AuditEvent:
    return AuditEvent(by, action, f"partner:{partner.id}", details)

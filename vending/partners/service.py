"""Use cases of the partners: take one on, give and revoke keys, tell who is calling."""

import secrets
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.partners import repository
from vending.partners.errors import (
    APIKeyNotFoundError,
    PartnerNameTakenError,
    PartnerNotFoundError,
    PartnerSuspendedError,
)
from vending.partners.model import APIKey, IssuedAPIKey, Partner, PartnerStatus
from vending.partners.repository import list_api_keys
from vending.partners.rules import (
    PREFIX_SIZE_BYTES,
    SECRET_SIZE_BYTES,
    check_api_key,
    make_api_key,
    parse_prefix,
)
from vending.persistence.engine import Database
from vending.values.clock import Clock
from vending.values.identifiers import PartnerId, new_uuid7
from vending.values.money import Currency

__all__ = [
    "PARTNER_COUNT_MAX",
    "add_partner",
    "authenticate",
    "change_status",
    "issue_api_key",
    "list_api_keys",
    "list_partners",
    "load_partner",
    "load_partner_by_name",
    "revoke_api_key",
]

PARTNER_COUNT_MAX: Final = 1_000


def add_partner(database: Database, name: str, currency: Currency, *, clock: Clock) -> Partner:
    """Store a new partner, active, and return it.

    Raises:
        PartnerInvalidError: The name is outside its limits.
        PartnerNameTakenError: Another partner has the name.
    """
    partner = Partner(PartnerId(new_uuid7(clock)), name, currency)
    with database.unit_of_work() as uow:
        if not repository.insert_partner(uow.connection, partner, created_at=clock.now()):
            raise PartnerNameTakenError(name)
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


def change_status(database: Database, partner_id: PartnerId, status: PartnerStatus) -> Partner:
    """Suspend a partner, or let it sell again.

    Raises:
        PartnerNotFoundError: There is none with this id.
    """
    with database.unit_of_work() as uow:
        repository.update_status(uow.connection, partner_id, status)
        partner = load_partner(uow.connection, partner_id)
        uow.commit()
    return partner


def issue_api_key(database: Database, partner_id: PartnerId, *, clock: Clock) -> IssuedAPIKey:
    """Make a key for a partner; its secret is in the answer and nowhere else.

    Raises:
        PartnerNotFoundError: There is none with this id.
    """
    with database.unit_of_work() as uow:
        load_partner(uow.connection, partner_id)
        issued = make_api_key(
            partner_id,
            prefix=secrets.token_bytes(PREFIX_SIZE_BYTES),
            secret=secrets.token_bytes(SECRET_SIZE_BYTES),
            created_at=clock.now(),
        )
        repository.insert_api_key(uow.connection, issued.key)
        uow.commit()
    return issued


def revoke_api_key(database: Database, prefix: str, *, at: datetime) -> APIKey:
    """End a key at an instant, now or later; an earlier end that it has stands.

    Raises:
        APIKeyNotFoundError: No key has this prefix.
    """
    with database.unit_of_work() as uow:
        key = repository.find_api_key(uow.connection, prefix)
        if key is None:
            raise APIKeyNotFoundError(prefix)
        if key.is_valid(at):
            repository.update_revoked_at(uow.connection, prefix, at)
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

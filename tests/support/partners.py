"""Partners as tests want them: most are not about what a partner may owe."""

import secrets

from vending.partners import repository
from vending.partners.model import IssuedAPIKey, Partner
from vending.partners.rules import PREFIX_SIZE_BYTES, SECRET_SIZE_BYTES, make_api_key
from vending.partners.service import add_partner, load_partner
from vending.persistence.engine import Database
from vending.values.actor import SYSTEM
from vending.values.clock import Clock
from vending.values.identifiers import PartnerId
from vending.values.money import Currency


def add_unlimited_partner(
    database: Database, name: str, currency: Currency, *, clock: Clock
) -> Partner:
    """A new partner that may owe without limit, as if two people had said so."""
    partner = add_partner(database, name, currency, by=SYSTEM, clock=clock)
    with database.unit_of_work() as uow:
        repository.update_credit_line(uow.connection, partner.id, None)
        changed = load_partner(uow.connection, partner.id)
        uow.commit()
    return changed


def issue_key(database: Database, partner_id: PartnerId, *, clock: Clock) -> IssuedAPIKey:
    """A key of a partner, whatever it may owe, as if two people had agreed to it."""
    issued = make_api_key(
        partner_id,
        prefix=secrets.token_bytes(PREFIX_SIZE_BYTES),
        secret=secrets.token_bytes(SECRET_SIZE_BYTES),
        created_at=clock.now(),
    )
    with database.unit_of_work() as uow:
        repository.insert_api_key(uow.connection, issued.key)
        uow.commit()
    return issued

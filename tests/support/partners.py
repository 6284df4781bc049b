"""Partners as tests want them: most are not about what a partner may owe."""

from vending.partners import repository
from vending.partners.model import Partner
from vending.partners.service import add_partner, load_partner
from vending.persistence.engine import Database
from vending.values.actor import SYSTEM
from vending.values.clock import Clock
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

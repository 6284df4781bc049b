"""Tariff versions as two people make them, in one step."""

from tests.support.people import sign_in_as
from vending.approvals.model import Decision
from vending.approvals.service import decide
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.tariffs.model import Tariff, TariffDraft, TariffTerms
from vending.tariffs.service import activate, draft_version, propose_activation
from vending.values.clock import Clock


def add_version(database: Database, draft: TariffDraft, *, clock: Clock) -> Tariff:
    """Draft a version, have it approved by another person, and activate it."""
    owner = sign_in_as(database, clock, Role.TARIFF_OWNER, name="tariff-owner")
    finance = sign_in_as(database, clock, Role.FINANCE, name="tariff-approver")
    drafted = draft_version(database, terms_of(draft), by=owner, clock=clock)
    asked = propose_activation(database, drafted.id, by=owner, reason="new price", clock=clock)
    with database.unit_of_work() as uow:
        decide(
            uow.connection,
            finance,
            asked.id,
            Decision(approve=True),
            clock=clock,
        )
        uow.commit()
    return activate(database, drafted.id, by=owner, approval_id=asked.id, clock=clock)


def terms_of(draft: TariffDraft) -> TariffTerms:
    """The terms that a draft of a version fixes."""
    return TariffTerms(
        code=draft.code,
        currency=draft.currency,
        price_per_kwh_micro=draft.price_per_kwh_micro,
        vat_basis_points=draft.vat_basis_points,
        effective_from=draft.effective_from,
    )

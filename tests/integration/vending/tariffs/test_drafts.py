"""Drafts of tariffs: they sell nothing until two people have activated them."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from tests.support.people import approve, sign_in_as
from vending.approvals.errors import ApprovalMismatchError, ApprovalUsedError
from vending.operators.errors import PermissionDeniedError
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.tariffs.errors import (
    TariffBackdatedError,
    TariffDraftNotFoundError,
    TariffDraftStateError,
    TariffOverlapError,
)
from vending.tariffs.model import DraftState, TariffTerms
from vending.tariffs.service import (
    activate,
    draft_version,
    find_effective,
    list_drafts,
    list_versions,
    propose_activation,
    withdraw_draft,
)
from vending.tariffs.tables import tariff_drafts
from vending.values.clock import FixedClock
from vending.values.identifiers import ApprovalId, TariffDraftId
from vending.values.money import Currency

TERMS = TariffTerms(
    code="RES-1",
    currency=Currency("KES"),
    price_per_kwh_micro=21_500_000,
    vat_basis_points=1600,
)


@pytest.fixture
def owner(database: Database, fixed_clock: FixedClock) -> SignedIn:
    return sign_in_as(database, fixed_clock, Role.TARIFF_OWNER, name="owner")


def approved(
    database: Database, clock: FixedClock, draft_id: TariffDraftId, owner: SignedIn
) -> ApprovalId:
    finance = sign_in_as(database, clock, Role.FINANCE, name="finance")
    asked = propose_activation(database, draft_id, by=owner, reason="new price", clock=clock)
    approve(database, clock, asked.id, finance)
    return asked.id


def test_draft_sells_nothing_until_it_is_activated(
    database: Database, fixed_clock: FixedClock, owner: SignedIn
) -> None:
    draft = draft_version(database, TERMS, by=owner, clock=fixed_clock)
    with database.read() as connection:
        assert find_effective(connection, ["RES-1"], fixed_clock.now()) == {}
    approval_id = approved(database, fixed_clock, draft.id, owner)
    fixed_clock.advance(timedelta(hours=1))
    version = activate(database, draft.id, by=owner, approval_id=approval_id, clock=fixed_clock)
    assert version.effective_from == fixed_clock.now(), "from its activation on"
    with database.read() as connection:
        assert find_effective(connection, ["RES-1"], fixed_clock.now()) == {"RES-1": version}
        (stored,) = list_drafts(connection)
        actions = connection.execute(
            select(audit_events.c.action).where(audit_events.c.subject == "tariff:RES-1")
        ).scalars()
        assert list(actions) == ["tariff.drafted", "tariff.activated"]
    assert (stored.state, stored.tariff_id) == (DraftState.ACTIVATED, version.id)


def test_version_waits_for_its_own_time_after_the_activation(
    database: Database, fixed_clock: FixedClock, owner: SignedIn
) -> None:
    later = fixed_clock.now() + timedelta(days=2)
    draft = draft_version(
        database, replace(TERMS, effective_from=later), by=owner, clock=fixed_clock
    )
    approval_id = approved(database, fixed_clock, draft.id, owner)
    version = activate(database, draft.id, by=owner, approval_id=approval_id, clock=fixed_clock)
    with database.read() as connection:
        assert find_effective(connection, ["RES-1"], fixed_clock.now()) == {}
        assert find_effective(connection, ["RES-1"], later) == {"RES-1": version}


def test_same_approval_gives_the_same_version(
    database: Database, fixed_clock: FixedClock, owner: SignedIn
) -> None:
    draft = draft_version(database, TERMS, by=owner, clock=fixed_clock)
    approval_id = approved(database, fixed_clock, draft.id, owner)
    made = [
        activate(database, draft.id, by=owner, approval_id=approval_id, clock=fixed_clock)
        for _ in range(2)
    ]
    assert made[0] == made[1]
    other = draft_version(database, replace(TERMS, code="BIZ-1"), by=owner, clock=fixed_clock)
    with pytest.raises((ApprovalUsedError, ApprovalMismatchError)):
        activate(database, other.id, by=owner, approval_id=approval_id, clock=fixed_clock)


def test_version_in_between_needs_a_new_approval(
    database: Database, fixed_clock: FixedClock, owner: SignedIn
) -> None:
    drafts = [draft_version(database, TERMS, by=owner, clock=fixed_clock) for _ in range(2)]
    approvals = [approved(database, fixed_clock, draft.id, owner) for draft in drafts]
    activate(database, drafts[0].id, by=owner, approval_id=approvals[0], clock=fixed_clock)
    with pytest.raises(ApprovalMismatchError):
        activate(database, drafts[1].id, by=owner, approval_id=approvals[1], clock=fixed_clock)
    with database.read() as connection:
        assert len(list_versions(connection)) == 1


def test_time_that_passed_while_it_waited_is_no_start(
    database: Database, fixed_clock: FixedClock, owner: SignedIn
) -> None:
    soon = replace(TERMS, effective_from=fixed_clock.now() + timedelta(hours=1))
    draft = draft_version(database, soon, by=owner, clock=fixed_clock)
    approval_id = approved(database, fixed_clock, draft.id, owner)
    fixed_clock.advance(timedelta(hours=2))
    with pytest.raises(TariffBackdatedError):
        activate(database, draft.id, by=owner, approval_id=approval_id, clock=fixed_clock)


def test_withdrawn_draft_is_over(
    database: Database, fixed_clock: FixedClock, owner: SignedIn
) -> None:
    draft = draft_version(database, TERMS, by=owner, clock=fixed_clock)
    approval_id = approved(database, fixed_clock, draft.id, owner)
    withdraw_draft(database, draft.id, by=owner, clock=fixed_clock)
    with pytest.raises(TariffDraftStateError):
        activate(database, draft.id, by=owner, approval_id=approval_id, clock=fixed_clock)
    with pytest.raises(TariffDraftStateError):
        withdraw_draft(database, draft.id, by=owner, clock=fixed_clock)


def test_draft_that_could_never_start_is_refused_at_once(
    database: Database, fixed_clock: FixedClock, owner: SignedIn
) -> None:
    past = replace(TERMS, effective_from=fixed_clock.now() - timedelta(seconds=1))
    with pytest.raises(TariffBackdatedError):
        draft_version(database, past, by=owner, clock=fixed_clock)
    first = draft_version(database, TERMS, by=owner, clock=fixed_clock)
    approval_id = approved(database, fixed_clock, first.id, owner)
    activate(database, first.id, by=owner, approval_id=approval_id, clock=fixed_clock)
    with pytest.raises(TariffOverlapError):
        draft_version(database, TERMS, by=owner, clock=fixed_clock)


def test_who_may_not_and_what_is_not_there_are_refused(
    database: Database, fixed_clock: FixedClock, owner: SignedIn
) -> None:
    finance = sign_in_as(database, fixed_clock, Role.FINANCE, name="finance")
    with pytest.raises(PermissionDeniedError):
        draft_version(database, TERMS, by=finance, clock=fixed_clock)
    nothing = TariffDraftId(uuid.UUID(int=1))
    with pytest.raises(TariffDraftNotFoundError):
        propose_activation(database, nothing, by=owner, reason="x", clock=fixed_clock)


def test_database_keeps_the_terms_of_a_draft(
    database: Database, fixed_clock: FixedClock, owner: SignedIn
) -> None:
    draft_version(database, TERMS, by=owner, clock=fixed_clock)
    for change in (
        tariff_drafts.update().values(price_per_kwh_micro=1),
        tariff_drafts.update().values(state="activated"),
        tariff_drafts.delete(),
    ):
        with pytest.raises(IntegrityError), database.unit_of_work() as uow:
            uow.connection.execute(change)

"""Use cases of the tariffs, and what a sale needs of them inside its own transaction."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.approvals.model import Approval
from vending.approvals.service import redeem, request_approval
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.tariffs import repository
from vending.tariffs.errors import (
    TariffDraftNotFoundError,
    TariffDraftStateError,
    TariffNotFoundError,
    TariffOverlapError,
)
from vending.tariffs.model import DraftState, StoredDraft, Tariff, TariffDraft, TariffTerms
from vending.tariffs.repository import find_currencies, find_effective
from vending.tariffs.rules import activation_act, check_new_version
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId, TariffDraftId, TariffId, new_uuid7

__all__ = [
    "VERSION_COUNT_MAX",
    "activate",
    "draft_version",
    "find_currencies",
    "find_effective",
    "list_drafts",
    "list_versions",
    "load_effective",
    "propose_activation",
    "withdraw_draft",
]

VERSION_COUNT_MAX: Final = 1_000


def draft_version(
    database: Database, terms: TariffTerms, *, by: SignedIn, clock: Clock
) -> StoredDraft:
    """Store what the next version of a tariff is to say; it sells nothing yet.

    Raises:
        PermissionDeniedError: The operator may not draft tariffs.
        TariffInvalidError: The smallest amount would buy more than a token carries.
        TariffBackdatedError: It starts before now.
        TariffCurrencyFixedError: It changes the currency of the code.
        TariffOverlapError: It does not start after the latest version.
    """
    by.require(Permission.TARIFFS_WRITE)
    now = clock.now()
    draft = StoredDraft(
        id=TariffDraftId(new_uuid7(clock)),
        terms=terms,
        drafted_by=by.operator_id,
        drafted_at=now,
    )
    with database.unit_of_work() as uow:
        latest = repository.find_latest(uow.connection, terms.code)
        check_new_version(terms.starting(now), latest, now)
        repository.insert_draft(uow.connection, draft)
        record(uow.connection, [_event(by, "tariff.drafted", draft)], clock)
        uow.commit()
    return draft


def propose_activation(
    database: Database, draft_id: TariffDraftId, *, by: SignedIn, reason: str, clock: Clock
) -> Approval:
    """Ask for the approval of a draft: of the whole version as it would be stored now.

    Raises:
        PermissionDeniedError: The operator may not ask.
        TariffDraftNotFoundError: There is none of this id.
        TariffDraftStateError: It was activated or withdrawn before.
        ApprovalContentError: The reason cannot be shown.
    """
    with database.unit_of_work() as uow:
        draft = _lock_draft(uow.connection, draft_id)
        _require_draft(draft)
        latest = repository.find_latest(uow.connection, draft.terms.code)
        act = activation_act(draft, latest)
        approval = request_approval(uow.connection, by, act, reason=reason, clock=clock)
        uow.commit()
    return approval


def activate(
    database: Database,
    draft_id: TariffDraftId,
    *,
    by: SignedIn,
    approval_id: ApprovalId,
    clock: Clock,
) -> Tariff:
    """Make a version of a draft; it takes effect by itself when its time comes, and never changes.

    The same approval gives the same version again.

    Raises:
        TariffDraftNotFoundError: There is none of this id.
        TariffDraftStateError: It was activated otherwise, or withdrawn.
        TariffBackdatedError: Its time has passed while it waited.
        TariffCurrencyFixedError: It changes the currency of the code.
        TariffOverlapError: It does not start after the latest version.
        TariffInvalidError: The smallest amount would buy more than a token carries.
        VendingError: The approval does not allow it.
    """
    by.require(Permission.TARIFFS_WRITE)
    now = clock.now()
    with database.unit_of_work() as uow:
        draft = _lock_draft(uow.connection, draft_id)
        if draft.tariff_id is not None and draft.approval_id == approval_id:
            return repository.load_version(uow.connection, draft.tariff_id)
        _require_draft(draft)
        latest = repository.find_latest(uow.connection, draft.terms.code)
        redeem(uow.connection, by, approval_id, activation_act(draft, latest), clock=clock)
        tariff = _insert_version(uow.connection, draft.terms.starting(now), latest, clock, now=now)
        ended = replace(
            draft, state=DraftState.ACTIVATED, approval_id=approval_id, tariff_id=tariff.id
        )
        repository.end_draft(uow.connection, ended)
        record(uow.connection, [_event(by, "tariff.activated", ended)], clock)
        uow.commit()
    return tariff


def withdraw_draft(
    database: Database, draft_id: TariffDraftId, *, by: SignedIn, clock: Clock
) -> StoredDraft:
    """Give a draft up; it never sells.

    Raises:
        PermissionDeniedError: The operator may not draft tariffs.
        TariffDraftNotFoundError: There is none of this id.
        TariffDraftStateError: It was activated or withdrawn before.
    """
    by.require(Permission.TARIFFS_WRITE)
    with database.unit_of_work() as uow:
        draft = _lock_draft(uow.connection, draft_id)
        _require_draft(draft)
        ended = replace(draft, state=DraftState.WITHDRAWN)
        repository.end_draft(uow.connection, ended)
        record(uow.connection, [_event(by, "tariff.withdrawn", ended)], clock)
        uow.commit()
    return ended


def list_drafts(connection: Connection, *, limit: int = VERSION_COUNT_MAX) -> list[StoredDraft]:
    """Return the newest drafts, the newest first, whatever became of them."""
    assert 1 <= limit <= VERSION_COUNT_MAX, "a list is bounded"
    return repository.list_drafts(connection, limit=limit)


def load_effective(connection: Connection, code: str, at: datetime) -> Tariff:
    """Return the version of a tariff that holds at the instant.

    Raises:
        TariffNotFoundError: None has started.
    """
    tariff = find_effective(connection, [code], at).get(code)
    if tariff is None:
        raise TariffNotFoundError(code, at)
    return tariff


def list_versions(
    connection: Connection, code: str | None = None, *, limit: int = VERSION_COUNT_MAX
) -> list[Tariff]:
    """Return the versions of a code, or of all codes, the latest of each first."""
    assert 1 <= limit <= VERSION_COUNT_MAX, "a list is bounded"
    return repository.list_versions(connection, code, limit=limit)


def _lock_draft(connection: Connection, draft_id: TariffDraftId) -> StoredDraft:
    draft = repository.lock_draft(connection, draft_id)
    if draft is None:
        raise TariffDraftNotFoundError(draft_id)
    return draft


def _require_draft(draft: StoredDraft) -> None:
    if draft.state is not DraftState.DRAFT:
        raise TariffDraftStateError(draft.id, draft.state.value)


def _insert_version(
    connection: Connection,
    draft: TariffDraft,
    latest: Tariff | None,
    clock: Clock,
    *,
    now: datetime,
) -> Tariff:
    version = check_new_version(draft, latest, now)
    tariff = Tariff(
        id=TariffId(new_uuid7(clock)),
        version=version,
        code=draft.code,
        currency=draft.currency,
        price_per_kwh_micro=draft.price_per_kwh_micro,
        vat_basis_points=draft.vat_basis_points,
        effective_from=draft.effective_from,
    )
    if not repository.insert_version(connection, tariff, created_at=now):
        # Someone activated a version between our look and our insert.
        raise TariffOverlapError(draft.code, draft.effective_from, draft.effective_from)
    return tariff


def _event(by: SignedIn, action: str, draft: StoredDraft) -> AuditEvent:
    terms = draft.terms
    starts = terms.effective_from
    return AuditEvent(
        by.actor,
        action,
        f"tariff:{terms.code}",
        {
            "draft": str(draft.id),
            "price_per_kwh_micro": terms.price_per_kwh_micro,
            "vat_basis_points": terms.vat_basis_points,
            "currency": terms.currency.code,
            "effective_from": None if starts is None else starts.isoformat(),
            "approval": None if draft.approval_id is None else str(draft.approval_id),
        },
    )

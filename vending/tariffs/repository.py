"""Every query on tariff versions."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from vending.persistence.upsert import insert_or_ignore
from vending.tariffs.model import DraftState, StoredDraft, Tariff, TariffTerms
from vending.tariffs.tables import tariff_drafts, tariffs
from vending.values.identifiers import ApprovalId, OperatorId, TariffDraftId, TariffId
from vending.values.money import Currency


def insert_version(connection: Connection, tariff: Tariff, *, created_at: datetime) -> bool:
    """Store a version; return whether it was stored: its number may have been taken meanwhile."""
    statement = insert_or_ignore(connection, tariffs).returning(tariffs.c.id)
    row = {
        "id": tariff.id,
        "code": tariff.code,
        "version": tariff.version,
        "currency": tariff.currency.code,
        "price_per_kwh_micro": tariff.price_per_kwh_micro,
        "vat_basis_points": tariff.vat_basis_points,
        "effective_from": tariff.effective_from,
        "created_at": created_at,
    }
    return connection.execute(statement, row).one_or_none() is not None


def find_latest(connection: Connection, code: str) -> Tariff | None:
    """Return the version of a code that was stored last, effective or not."""
    query = select(tariffs).where(tariffs.c.code == code).order_by(tariffs.c.version.desc())
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _to_tariff(row)


def find_effective(
    connection: Connection, codes: Collection[str], at: datetime
) -> dict[str, Tariff]:
    """Return for each code the version that holds at the instant; none where none has started."""
    started = (
        select(tariffs.c.code, func.max(tariffs.c.version).label("version"))
        .where(tariffs.c.code.in_(set(codes)), tariffs.c.effective_from <= at)
        .group_by(tariffs.c.code)
        .subquery()
    )
    # A later version starts later, so the highest version that has started is the one that holds.
    query = select(tariffs).join(
        started,
        (tariffs.c.code == started.c.code) & (tariffs.c.version == started.c.version),
    )
    return {tariff.code: tariff for tariff in map(_to_tariff, connection.execute(query))}


def find_currencies(connection: Connection, codes: Collection[str]) -> dict[str, Currency]:
    """Return the currency of each code that has a version."""
    query = select(tariffs.c.code, tariffs.c.currency).where(
        tariffs.c.code.in_(set(codes)), tariffs.c.version == 1
    )
    return {row.code: Currency(row.currency) for row in connection.execute(query)}


def list_versions(connection: Connection, code: str | None, *, limit: int) -> list[Tariff]:
    """Return the versions of a code, or of all, the latest of each code first."""
    query = select(tariffs).order_by(tariffs.c.code, tariffs.c.version.desc()).limit(limit)
    if code is not None:
        query = query.where(tariffs.c.code == code)
    return [_to_tariff(row) for row in connection.execute(query)]


def insert_draft(connection: Connection, draft: StoredDraft) -> None:
    """Store a new draft."""
    connection.execute(
        insert(tariff_drafts).values(
            id=draft.id,
            code=draft.terms.code,
            currency=draft.terms.currency.code,
            price_per_kwh_micro=draft.terms.price_per_kwh_micro,
            vat_basis_points=draft.terms.vat_basis_points,
            effective_from=draft.terms.effective_from,
            drafted_by=draft.drafted_by,
            drafted_at=draft.drafted_at,
            state=draft.state.value,
        )
    )


def lock_draft(connection: Connection, draft_id: TariffDraftId) -> StoredDraft | None:
    """Return the draft, locked until the transaction ends; None: there is none."""
    query = select(tariff_drafts).where(tariff_drafts.c.id == draft_id).with_for_update()
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_draft(row)


def end_draft(connection: Connection, draft: StoredDraft) -> None:
    """Store what became of a locked draft."""
    connection.execute(
        update(tariff_drafts)
        .where(tariff_drafts.c.id == draft.id)
        .values(state=draft.state.value, approval_id=draft.approval_id, tariff_id=draft.tariff_id)
    )


def list_drafts(connection: Connection, *, limit: int) -> list[StoredDraft]:
    """Return the newest drafts, the newest first, whatever became of them."""
    query = select(tariff_drafts).order_by(
        tariff_drafts.c.drafted_at.desc(), tariff_drafts.c.id.desc()
    )
    return [_to_draft(row) for row in connection.execute(query.limit(limit))]


def load_version(connection: Connection, tariff_id: TariffId) -> Tariff:
    """Return the version of this id, which exists."""
    query = select(tariffs).where(tariffs.c.id == tariff_id)
    return _to_tariff(connection.execute(query).one())


def _to_draft(row: Row[Any]) -> StoredDraft:
    return StoredDraft(
        id=TariffDraftId(row.id),
        terms=TariffTerms(
            code=row.code,
            currency=Currency(row.currency),
            price_per_kwh_micro=row.price_per_kwh_micro,
            vat_basis_points=row.vat_basis_points,
            effective_from=row.effective_from,
        ),
        drafted_by=OperatorId(row.drafted_by),
        drafted_at=row.drafted_at,
        state=DraftState(row.state),
        approval_id=None if row.approval_id is None else ApprovalId(row.approval_id),
        tariff_id=None if row.tariff_id is None else TariffId(row.tariff_id),
    )


def _to_tariff(row: Row[Any]) -> Tariff:
    return Tariff(
        id=TariffId(row.id),
        code=row.code,
        version=row.version,
        currency=Currency(row.currency),
        price_per_kwh_micro=row.price_per_kwh_micro,
        vat_basis_points=row.vat_basis_points,
        effective_from=row.effective_from,
    )

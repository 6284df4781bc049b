"""Every query of key ceremonies."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from vending.custody.model import Ceremony, CeremonyState, EnteredComponent
from vending.custody.tables import key_ceremonies, key_ceremony_components
from vending.sts import SGC, BaseDate, KeyAttributes, KeyDerivation, KeyType
from vending.values.identifiers import ApprovalId, CeremonyId, OperatorId


def insert_ceremony(connection: Connection, begun: Ceremony) -> None:
    """Store a ceremony that has just begun."""
    attributes = begun.attributes
    connection.execute(
        insert(key_ceremonies),
        {
            "id": begun.id,
            "sgc": attributes.sgc.digits,
            "krn": attributes.krn,
            "kt": attributes.kt.value,
            "ken": attributes.ken,
            "base_date": attributes.base_date.value,
            "dkga": attributes.dkga.value,
            "is_demo": begun.is_demo,
            "component_count": begun.component_count,
            "check_value": begun.check_value,
            "state": begun.state.value,
            "begun_by": begun.begun_by_id,
            "begun_by_name": begun.begun_by,
            "begun_at": begun.begun_at,
            "expires_at": begun.expires_at,
        },
    )


def find_ceremony(connection: Connection, ceremony_id: CeremonyId) -> Ceremony | None:
    """Return a ceremony; None: there is none of this id."""
    query = select(key_ceremonies).where(key_ceremonies.c.id == ceremony_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_ceremony(connection, row)


def lock_ceremony(connection: Connection, ceremony_id: CeremonyId) -> Ceremony | None:
    """Return a ceremony under a row lock; None: there is none of this id."""
    query = select(key_ceremonies).where(key_ceremonies.c.id == ceremony_id).with_for_update()
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_ceremony(connection, row)


def list_ceremonies(connection: Connection, *, limit: int) -> list[Ceremony]:
    """Return ceremonies, the newest first."""
    table = key_ceremonies
    query = select(table).order_by(table.c.begun_at.desc(), table.c.id.desc()).limit(limit)
    return [_to_ceremony(connection, row) for row in connection.execute(query).all()]


def list_overdue(connection: Connection, now: datetime) -> Sequence[CeremonyId]:
    """Return the ceremonies that are open and past their time."""
    query = select(key_ceremonies.c.id).where(
        key_ceremonies.c.state == CeremonyState.OPEN.value, key_ceremonies.c.expires_at <= now
    )
    return [CeremonyId(found) for found in connection.execute(query).scalars()]


def insert_component(
    connection: Connection, ceremony_id: CeremonyId, entered: EnteredComponent, sealed: bytes
) -> None:
    """Store a component, sealed."""
    connection.execute(
        insert(key_ceremony_components),
        {
            "ceremony_id": ceremony_id,
            "number": entered.number,
            "custodian_id": entered.custodian_id,
            "custodian_name": entered.custodian,
            "person": entered.person,
            "check_value": entered.check_value,
            "entered_at": entered.entered_at,
            "sealed": sealed,
        },
    )


def load_sealed(connection: Connection, ceremony_id: CeremonyId) -> dict[int, bytes]:
    """Return the sealed components by number; those that were wiped are left out."""
    table = key_ceremony_components
    query = select(table.c.number, table.c.sealed).where(
        table.c.ceremony_id == ceremony_id, table.c.sealed.is_not(None)
    )
    return {row.number: row.sealed for row in connection.execute(query)}


def end_ceremony(
    connection: Connection,
    ceremony_id: CeremonyId,
    state: CeremonyState,
    *,
    by: str,
    now: datetime,
    approval_id: ApprovalId | None = None,
) -> None:
    """Note how a ceremony ended, and wipe its components."""
    connection.execute(
        update(key_ceremonies)
        .where(key_ceremonies.c.id == ceremony_id)
        .values(state=state.value, ended_by_name=by, ended_at=now, approval_id=approval_id)
    )
    connection.execute(
        update(key_ceremony_components)
        .where(key_ceremony_components.c.ceremony_id == ceremony_id)
        .values(sealed=None)
    )


def _to_ceremony(connection: Connection, row: Row[Any]) -> Ceremony:
    table = key_ceremony_components
    query = select(table).where(table.c.ceremony_id == row.id).order_by(table.c.number)
    return Ceremony(
        id=CeremonyId(row.id),
        attributes=KeyAttributes(
            sgc=SGC(row.sgc),
            kt=KeyType(row.kt),
            krn=row.krn,
            ken=row.ken,
            base_date=BaseDate(row.base_date),
            dkga=KeyDerivation(row.dkga),
        ),
        component_count=row.component_count,
        check_value=row.check_value,
        is_demo=row.is_demo,
        state=CeremonyState(row.state),
        begun_by=row.begun_by_name,
        begun_by_id=OperatorId(row.begun_by),
        begun_at=row.begun_at,
        expires_at=row.expires_at,
        components=tuple(_to_component(one) for one in connection.execute(query)),
        approval_id=None if row.approval_id is None else ApprovalId(row.approval_id),
        ended_by=row.ended_by_name,
        ended_at=row.ended_at,
    )


def _to_component(row: Row[Any]) -> EnteredComponent:
    return EnteredComponent(
        number=row.number,
        custodian_id=OperatorId(row.custodian_id),
        custodian=row.custodian_name,
        person=row.person,
        check_value=row.check_value,
        entered_at=row.entered_at,
        is_held=row.sealed is not None,
    )

"""Use cases of the meter register, and what a sale needs of it inside its own transaction."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Final

from sqlalchemy import Connection

from vending.meters import repository
from vending.meters.errors import (
    MeterAlreadyRegisteredError,
    MeterInvalidError,
    MeterNotFoundError,
)
from vending.meters.model import Meter, MeterKey, MeterPage, MeterState, NewMeter
from vending.meters.repository import (
    count_by_key,
    find_meters,
    find_meters_by_id,
    list_fitting,
    list_holdings,
    load_last_tids,
    lock_holdings,
    lock_meters,
    select_on_keys,
    store_last_tids,
)
from vending.meters.rules import check_transition, require_note
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.persistence.engine import Database
from vending.sts.keys import KeyDerivation
from vending.sts.pan import MeterPAN
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import CustomerId, MeterId, new_uuid7
from vending.values.money import Currency

__all__ = [
    "PAGE_SIZE_MAX",
    "assign_customer",
    "change_link",
    "change_state",
    "change_tariff",
    "count_by_key",
    "find_meters",
    "find_meters_by_id",
    "list_fitting",
    "list_holdings",
    "list_meters",
    "load_last_tids",
    "load_meter",
    "lock_holdings",
    "lock_meters",
    "make_meter",
    "record_key",
    "record_keys",
    "register_meter",
    "select_on_keys",
    "store_last_tids",
]

PAGE_SIZE_MAX: Final = 1_000
HoldCustomer = Callable[[Connection, CustomerId], object]
"""How the customers keep one from erasure until the commit, or refuse it."""


def register_meter(database: Database, new: NewMeter, *, by: Actor, clock: Clock) -> Meter:
    """Store a new meter and return it.

    Raises:
        MeterAlreadyRegisteredError: The register has a meter of this number.
    """
    meter = make_meter(new, clock)
    with database.unit_of_work() as uow:
        if not repository.insert_meters(uow.connection, [meter], registered_at=clock.now()):
            raise MeterAlreadyRegisteredError(new.pan.iain)
        facts = {"meter_id": str(meter.id), "state": meter.state.value, **_key_facts(meter)}
        record(uow.connection, [_event(by, "meter.registered", meter, facts)], clock)
        uow.commit()
    return meter


def make_meter(new: NewMeter, clock: Clock) -> Meter:
    """Return the meter with an identifier of its own."""
    values = {field.name: getattr(new, field.name) for field in fields(NewMeter)}
    return Meter(id=MeterId(new_uuid7(clock)), **values)


def load_meter(connection: Connection, pan: MeterPAN) -> Meter:
    """Return one meter.

    Raises:
        MeterNotFoundError: The register has none of this number.
    """
    meter = find_meters(connection, [pan]).get(pan)
    if meter is None:
        raise MeterNotFoundError(pan.iain)
    return meter


def list_meters(
    connection: Connection,
    *,
    after: MeterId | None = None,
    limit: int = 100,
    state: MeterState | None = None,
    customer_id: CustomerId | None = None,
) -> MeterPage:
    """Return the meters after one, in the order of their registration, at most `limit`."""
    assert 1 <= limit <= PAGE_SIZE_MAX, "a page is bounded"
    found = repository.list_meters(
        connection, after=after, limit=limit + 1, state=state, customer_id=customer_id
    )
    page = tuple(found[:limit])
    return MeterPage(page, page[-1].id if len(found) > limit else None)


def change_state(
    database: Database, pan: MeterPAN, target: MeterState, *, by: Actor, reason: str, clock: Clock
) -> Meter:
    """Move a meter to another state, and keep who did it and why.

    Raises:
        MeterNotFoundError: The register has none of this number.
        MeterTransitionError: There is no way from its state to that one.
        MeterInvalidError: Actor or reason is empty or too long.
    """
    require_note("actor", by.name)
    require_note("reason", reason)
    with database.unit_of_work() as uow:
        meter = _lock_meter(uow.connection, pan)
        check_transition(meter.state, target)
        moved = replace(meter, state=target)
        repository.update_meter(uow.connection, moved)
        change_id = new_uuid7(clock)
        repository.append_state_change(
            uow.connection,
            {
                "id": change_id,
                "meter_id": meter.id,
                "at": clock.now(),
                "origin": meter.state.value,
                "target": target.value,
                "actor": by.name,
                "reason": reason,
            },
        )
        facts: dict[str, Json] = {
            "origin": meter.state.value,
            "target": target.value,
            "change_id": str(change_id),
        }
        record(uow.connection, [_event(by, "meter.state_changed", meter, facts)], clock)
        uow.commit()
    return moved


def assign_customer(
    database: Database,
    pan: MeterPAN,
    customer_id: CustomerId | None,
    *,
    hold_customer: HoldCustomer,
    by: Actor,
    clock: Clock,
) -> Meter:
    """Give a meter to a customer, or to nobody.

    Raises:
        MeterNotFoundError: The register has none of this number.
        VendingError: Nothing is given to that customer: none is registered, or it was erased.
    """

    def edit(connection: Connection, meter: Meter) -> tuple[Meter, AuditEvent]:
        if customer_id is not None:
            hold_customer(connection, customer_id)
        facts = {"customer_id": None if customer_id is None else str(customer_id)}
        event = _event(by, "meter.assigned", meter, {**facts})
        return replace(meter, customer_id=customer_id), event

    return _change(database, pan, edit, clock)


def change_link(
    database: Database,
    pan: MeterPAN,
    *,
    profile: str | None,
    link: str | None,
    by: Actor,
    clock: Clock,
) -> Meter:
    """Say how a meter is reached from now on.

    Raises:
        MeterNotFoundError: The register has none of this number.
        MeterInvalidError: The link or the profile has not the form of one.
    """

    def edit(_: Connection, meter: Meter) -> tuple[Meter, AuditEvent]:
        event = _event(by, "meter.link_changed", meter, {"profile": profile, "link": link})
        return replace(meter, profile=profile, link=link), event

    return _change(database, pan, edit, clock)


def change_tariff(
    database: Database,
    pan: MeterPAN,
    *,
    tariff_code: str,
    currency: Currency,
    by: Actor,
    clock: Clock,
) -> Meter:
    """Move a meter to another tariff of the same currency: its customer's credit stays in it.

    Raises:
        MeterNotFoundError: The register has none of this number.
        MeterInvalidError: The tariff is in another currency, or its code has not the form of one.
    """

    def edit(_: Connection, meter: Meter) -> tuple[Meter, AuditEvent]:
        if meter.currency != currency:
            raise MeterInvalidError(
                field="tariff_code", wanted=f"a tariff in {meter.currency}, the meter's currency"
            )
        facts: dict[str, Json] = {"from": meter.tariff_code, "to": tariff_code}
        event = _event(by, "meter.tariff_changed", meter, facts)
        return replace(meter, tariff_code=tariff_code), event

    return _change(database, pan, edit, clock)


def record_key(connection: Connection, pan: MeterPAN, key: MeterKey) -> Meter:
    """Store which key a meter holds after a key change, inside the caller's transaction.

    Raises:
        MeterNotFoundError: The register has none of this number.
    """
    meter = replace(
        _lock_meter(connection, pan),
        sgc=key.sgc,
        krn=key.krn,
        kt=key.kt,
        ti=key.ti,
        base_date=key.base_date,
    )
    repository.update_meter(connection, meter)
    return meter


def record_keys(
    connection: Connection, keys: Mapping[MeterId, tuple[MeterKey, KeyDerivation]]
) -> None:
    """Store which keys meters hold after their key changes; the caller has locked the meters."""
    repository.update_keys(connection, keys)


def _change(
    database: Database,
    pan: MeterPAN,
    edit: Callable[[Connection, Meter], tuple[Meter, AuditEvent]],
    clock: Clock,
) -> Meter:
    with database.unit_of_work() as uow:
        meter, event = edit(uow.connection, _lock_meter(uow.connection, pan))
        repository.update_meter(uow.connection, meter)
        record(uow.connection, [event], clock)
        uow.commit()
    return meter


def _event(by: Actor, action: str, meter: Meter, facts: Mapping[str, Json]) -> AuditEvent:
    return AuditEvent(by, action, f"meter:{meter.pan.digits}", facts)


def _key_facts(meter: Meter) -> dict[str, Json]:
    return {"sgc": meter.sgc.digits, "krn": meter.krn, "kt": meter.kt.value, "ti": meter.ti.digits}


def _lock_meter(connection: Connection, pan: MeterPAN) -> Meter:
    meter = lock_meters(connection, [pan]).get(pan)
    if meter is None:
        raise MeterNotFoundError(pan.iain)
    return meter

"""Every query of kill switches, ceilings and counts."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, select, tuple_, update

from vending.custody.model import (
    Alarm,
    AlarmLevel,
    Ceiling,
    Count,
    IssueStop,
    Measure,
    StopId,
    StopScope,
    StopTarget,
    UseClass,
)
from vending.custody.tables import ceiling_alarms, issue_stops, key_ceilings, key_uses
from vending.persistence.column_types import Json
from vending.persistence.upsert import insert_or_ignore, insert_or_update

UseKey = tuple[str, UseClass]
"""Register and class."""

_STANDING: Final = select(issue_stops.c.scope, issue_stops.c.name).where(
    issue_stops.c.released_at.is_(None)
)
"""Built once: every batch asks."""

_COUNTS: Final = (
    select(
        key_uses,
        key_ceilings.c.register.label("own_register"),
        key_ceilings.c.energy_wh.label("ceiling_energy_wh"),
        key_ceilings.c.money_minor.label("ceiling_money_minor"),
        key_ceilings.c.token_count.label("ceiling_token_count"),
    )
    .select_from(
        key_uses.outerjoin(
            key_ceilings,
            and_(
                key_ceilings.c.register == key_uses.c.register,
                key_ceilings.c.use_class == key_uses.c.use_class,
            ),
        )
    )
    .where(key_uses.c.day == bindparam("day"))
)
_LOCK_COUNTS: Final = (
    _COUNTS.where(
        tuple_(key_uses.c.register, key_uses.c.use_class).in_(bindparam("keys", expanding=True))
    )
    .order_by(key_uses.c.register, key_uses.c.use_class)
    .with_for_update(of=key_uses)
)
"""In an order, so that two batches cannot wait for each other."""
_SET_COUNT: Final = (
    update(key_uses)
    .where(
        key_uses.c.register == bindparam("of_register"),
        key_uses.c.day == bindparam("of_day"),
        key_uses.c.use_class == bindparam("of_use_class"),
    )
    .values(
        energy_wh=bindparam("to_energy_wh"),
        money_minor=bindparam("to_money_minor", type_=key_uses.c.money_minor.type),
        token_count=bindparam("to_token_count"),
    )
)


# --- switches ----------------------------------------------------------------------------------
def list_standing_targets(connection: Connection) -> frozenset[StopTarget]:
    """Return what is stopped now."""
    rows = connection.execute(_STANDING)
    return frozenset(StopTarget(StopScope(row.scope), row.name) for row in rows)


def insert_stop(connection: Connection, stop: IssueStop) -> None:
    """Store a stop unless the same target stands stopped already."""
    values = {
        "id": stop.id,
        "scope": stop.target.scope.value,
        "name": stop.target.name,
        "reason": stop.reason,
        "stopped_at": stop.stopped_at,
        "stopped_by": stop.stopped_by,
    }
    connection.execute(insert_or_ignore(connection, issue_stops), values)


def find_standing(connection: Connection, target: StopTarget) -> IssueStop | None:
    """Return the stop of the target that stands; None: it is not stopped."""
    query = select(issue_stops).where(
        issue_stops.c.scope == target.scope.value,
        issue_stops.c.name == target.name,
        issue_stops.c.released_at.is_(None),
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_stop(row)


def lock_stop(connection: Connection, stop_id: StopId) -> IssueStop | None:
    """Return the stop under a row lock; None: there is none of this id."""
    query = select(issue_stops).where(issue_stops.c.id == stop_id).with_for_update()
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_stop(row)


def list_stops(connection: Connection, *, standing_only: bool, limit: int) -> list[IssueStop]:
    """Return stops, the newest first."""
    query = select(issue_stops).order_by(issue_stops.c.stopped_at.desc(), issue_stops.c.id.desc())
    if standing_only:
        query = query.where(issue_stops.c.released_at.is_(None))
    return [_to_stop(row) for row in connection.execute(query.limit(limit))]


def release_stop(
    connection: Connection, stop_id: StopId, *, now: datetime, by: str, approval_id: uuid.UUID
) -> None:
    """Note the release of a stop that the caller has locked."""
    connection.execute(
        update(issue_stops)
        .where(issue_stops.c.id == stop_id, issue_stops.c.released_at.is_(None))
        .values(released_at=now, released_by=by, approval_id=approval_id)
    )


def _to_stop(row: Row[Any]) -> IssueStop:
    return IssueStop(
        id=StopId(row.id),
        target=StopTarget(StopScope(row.scope), row.name),
        reason=row.reason,
        stopped_at=row.stopped_at,
        stopped_by=row.stopped_by,
        released_at=row.released_at,
        released_by=row.released_by,
    )


# --- ceilings and counts -----------------------------------------------------------------------
def find_ceiling(connection: Connection, register: str, use_class: UseClass) -> Ceiling | None:
    """Return the ceiling that was set for the key; None: the default holds."""
    table = key_ceilings
    query = select(table.c.energy_wh, table.c.money_minor, table.c.token_count).where(
        table.c.register == register, table.c.use_class == use_class.value
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_ceiling(row.energy_wh, row.money_minor, row.token_count)


def lock_ceiling(connection: Connection, register: str, use_class: UseClass) -> Ceiling | None:
    """Return the ceiling that was set for the key, under a row lock; None: the default holds."""
    table = key_ceilings
    query = (
        select(table)
        .where(table.c.register == register, table.c.use_class == use_class.value)
        .with_for_update()
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_ceiling(row.energy_wh, row.money_minor, row.token_count)


def store_ceiling(
    connection: Connection, register: str, use_class: UseClass, ceiling: Ceiling, *, now: datetime
) -> None:
    """Set the ceiling of a key."""
    values = {
        "register": register,
        "use_class": use_class.value,
        "energy_wh": ceiling.energy_wh,
        "money_minor": dict(ceiling.money_minor),
        "token_count": ceiling.token_count,
        "changed_at": now,
    }
    statement = insert_or_update(
        connection,
        key_ceilings,
        key=["register", "use_class"],
        update=["energy_wh", "money_minor", "token_count", "changed_at"],
    )
    connection.execute(statement, values)


def list_ceilings(connection: Connection) -> dict[UseKey, Ceiling]:
    """Return every ceiling that was set."""
    return {
        (row.register, UseClass(row.use_class)): _to_ceiling(
            row.energy_wh, row.money_minor, row.token_count
        )
        for row in connection.execute(select(key_ceilings))
    }


def lock_counts(
    connection: Connection, day: date, keys: Collection[UseKey]
) -> dict[UseKey, tuple[Count, Ceiling | None]]:
    """Return the counts of a day under row locks, each with the ceiling set for its key."""
    parameters = {
        "day": day.isoformat(),
        "keys": [(register, use_class.value) for register, use_class in keys],
    }
    return _to_counts(connection.execute(_LOCK_COUNTS, parameters).all())


def list_counts(connection: Connection, day: date) -> dict[UseKey, tuple[Count, Ceiling | None]]:
    """Return the counts of a day, each with the ceiling set for its key."""
    return _to_counts(connection.execute(_COUNTS, {"day": day.isoformat()}).all())


def insert_counts(connection: Connection, day: date, keys: Sequence[UseKey]) -> None:
    """Begin the counts of a day where they are not begun, in the order given."""
    rows: list[dict[str, object]] = [
        {
            "register": register,
            "day": day.isoformat(),
            "use_class": use_class.value,
            "energy_wh": 0,
            "money_minor": {},
            "token_count": 0,
        }
        for register, use_class in keys
    ]
    connection.execute(insert_or_ignore(connection, key_uses), rows)


def store_counts(connection: Connection, day: date, counts: Mapping[UseKey, Count]) -> None:
    """Set counts that the caller has locked."""
    rows: list[dict[str, object]] = [
        {
            "of_register": register,
            "of_day": day.isoformat(),
            "of_use_class": use_class.value,
            "to_energy_wh": count.energy_wh,
            "to_money_minor": dict(count.money_minor),
            "to_token_count": count.token_count,
        }
        for (register, use_class), count in counts.items()
    ]
    if len(rows) == 1:
        connection.execute(_SET_COUNT, rows[0])
    elif rows:
        connection.execute(_SET_COUNT, rows)


def insert_alarm(connection: Connection, alarm: Alarm) -> bool:
    """Store an alarm; return whether it is the first of its kind that day."""
    values = {
        "register": alarm.register,
        "day": alarm.day.isoformat(),
        "use_class": alarm.use_class.value,
        "measure": alarm.measure.value,
        "level": alarm.level.value,
        "raised_at": alarm.raised_at,
    }
    table = ceiling_alarms
    statement = insert_or_ignore(connection, table).values(**values).returning(table.c.register)
    return connection.execute(statement).one_or_none() is not None


def list_alarms(connection: Connection, *, since: date, limit: int) -> list[Alarm]:
    """Return the alarms from a day on, the newest first."""
    table = ceiling_alarms
    query = select(table).where(table.c.day >= since.isoformat())
    return [
        Alarm(
            register=row.register,
            day=date.fromisoformat(row.day),
            use_class=UseClass(row.use_class),
            measure=Measure(row.measure),
            level=AlarmLevel(row.level),
            raised_at=row.raised_at,
        )
        for row in connection.execute(query.order_by(table.c.raised_at.desc()).limit(limit))
    ]


def _to_counts(rows: Sequence[Row[Any]]) -> dict[UseKey, tuple[Count, Ceiling | None]]:
    return {
        (row.register, UseClass(row.use_class)): (
            Count(
                energy_wh=row.energy_wh,
                money_minor=_to_money(row.money_minor),
                token_count=row.token_count,
            ),
            None
            if row.own_register is None
            else _to_ceiling(
                row.ceiling_energy_wh, row.ceiling_money_minor, row.ceiling_token_count
            ),
        )
        for row in rows
    }


def _to_ceiling(energy_wh: int | None, money_minor: Json, token_count: int | None) -> Ceiling:
    return Ceiling(energy_wh=energy_wh, money_minor=_to_money(money_minor), token_count=token_count)


def _to_money(stored: Json) -> dict[str, int]:
    assert isinstance(stored, dict), "the column holds amounts by currency"
    return {code: minor for code, minor in stored.items() if isinstance(minor, int)}

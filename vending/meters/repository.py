"""Every query on meters, their states and their last TIDs; all of them set-based."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    false,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from vending.keystore.model import KeyReference
from vending.meters.errors import TIDNotRaisedError
from vending.meters.model import (
    Location,
    Meter,
    MeterFilter,
    MeterHolding,
    MeterKey,
    MeterState,
)
from vending.meters.tables import meter_state_changes, meter_tids, meters
from vending.persistence.bulk import is_one_of, update_rows
from vending.persistence.upsert import insert_or_ignore, insert_or_update
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN
from vending.sts.tid import BaseDate
from vending.sts.tokens import Resource
from vending.values.identifiers import CustomerId, MeterId
from vending.values.money import Currency

METER_COUNT_MAX: Final = 1_000
"""Meters in one query: well below the 32,766 parameters of SQLite and the 65,535 of PostgreSQL."""

_sgc_of: Final = lru_cache(maxsize=1_024)(SGC)
_ti_of: Final = lru_cache(maxsize=128)(TI)
_currency_of: Final = lru_cache(maxsize=128)(Currency)
"""A fleet has few of each: they are checked once and not with every meter read."""

TIDKey = tuple[MeterPAN, BaseDate]
"""A meter has one sequence of TIDs under each base date."""

_PANS: Final[BindParameter[Any]] = bindparam("pans", expanding=True)
_LOCKED_METERS: Final = (
    select(meters).where(meters.c.pan.in_(_PANS)).order_by(meters.c.id).with_for_update()
)
_LAST_TIDS: Final = select(meter_tids).where(meter_tids.c.meter_pan.in_(_PANS))
"""Built once: every batch of sales asks them."""


def insert_meters(
    connection: Connection, new_meters: Sequence[Meter], *, registered_at: datetime
) -> set[str]:
    """Store the meters whose PAN is free; return the PANs that were stored, 18 digits each."""
    statement = insert_or_ignore(connection, meters).returning(meters.c.pan)
    rows = [_to_row(meter) | {"registered_at": registered_at} for meter in new_meters]
    return set(connection.execute(statement, rows).scalars())


def find_meters(connection: Connection, pans: Collection[MeterPAN]) -> dict[MeterPAN, Meter]:
    """Return the registered ones of these meters."""
    return _load(connection, select(meters).where(_is_one_of(pans)))


def find_meters_by_id(
    connection: Connection, meter_ids: Collection[MeterId]
) -> dict[MeterId, Meter]:
    """Return the registered ones of these meters."""
    assert len(meter_ids) <= METER_COUNT_MAX, "a batch of meters is bounded"
    query = select(meters).where(is_one_of(connection, meters.c.id, list(set(meter_ids))))
    return {meter.id: meter for meter in _load(connection, query).values()}


def find_registered(connection: Connection, pans: Collection[MeterPAN]) -> set[str]:
    """Return which of these PANs are taken, 18 digits each."""
    return set(connection.execute(select(meters.c.pan).where(_is_one_of(pans))).scalars())


def lock_meters(connection: Connection, pans: Collection[MeterPAN]) -> dict[MeterPAN, Meter]:
    """Return the registered ones of these meters, locked until the transaction ends.

    PostgreSQL locks the rows in the order of their id, so that two batches cannot wait for each
    other; on SQLite the transaction is the only writer already.
    """
    assert len(pans) <= METER_COUNT_MAX, "a batch of meters is bounded"
    found = connection.execute(_LOCKED_METERS, {"pans": {pan.digits for pan in pans}})
    return {meter.pan: meter for meter in map(_to_meter, found)}


def list_meters(
    connection: Connection,
    *,
    after: MeterId | None,
    limit: int,
    state: MeterState | None,
    customer_id: CustomerId | None,
) -> list[Meter]:
    """Return up to `limit` meters that come after one, in the order of their ids."""
    query = select(meters).order_by(meters.c.id).limit(limit)
    if after is not None:
        query = query.where(meters.c.id > after)
    if state is not None:
        query = query.where(meters.c.state == state)
    if customer_id is not None:
        query = query.where(meters.c.customer_id == customer_id)
    return [_to_meter(row) for row in connection.execute(query)]


def count_by_key(connection: Connection) -> dict[tuple[str, int, int], int]:
    """Return how many meters that are not removed hold each key, by SGC, KRN and KT."""
    c = meters.c
    gone = [MeterState.REMOVED.value, MeterState.DECOMMISSIONED.value]
    query = (
        select(c.sgc, c.krn, c.kt, func.count())
        .where(c.state.not_in(gone))
        .group_by(c.sgc, c.krn, c.kt)
    )
    return {(sgc, krn, kt): count for sgc, krn, kt, count in connection.execute(query)}


def list_holdings(
    connection: Connection, wanted: MeterFilter, *, after: MeterId | None, limit: int
) -> list[MeterHolding]:
    """Return what up to `limit` fitting meters hold that come after one, in the order of ids."""
    c = meters.c
    query = (
        select(c.id, c.pan, c.sgc, c.krn, c.kt, c.ti, c.base_date, c.ea)
        .where(*_fits(connection, wanted))
        .order_by(c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(c.id > after)
    return [MeterHolding(MeterId(row[0]), *row[1:]) for row in connection.execute(query)]


def select_on_keys(keys: Collection[KeyReference]) -> Select[Any]:
    """Return the query for the ids of meters that hold one of these keys, for another feature."""
    c = meters.c
    on_key = [and_(c.sgc == key.sgc.digits, c.krn == key.krn, c.kt == key.kt.value) for key in keys]
    return select(c.id).where(or_(false(), *on_key))


def list_fitting(
    connection: Connection, wanted: MeterFilter, *, after: MeterId | None, limit: int
) -> list[Meter]:
    """Return up to `limit` fitting meters that come after one, in the order of their ids."""
    query = select(meters).where(*_fits(connection, wanted)).order_by(meters.c.id).limit(limit)
    if after is not None:
        query = query.where(meters.c.id > after)
    return [_to_meter(row) for row in connection.execute(query)]


def lock_holdings(
    connection: Connection, meter_ids: Collection[MeterId]
) -> dict[MeterId, MeterHolding]:
    """Return what these meters hold, locked in the order of their ids until the end."""
    c = meters.c
    query = (
        select(c.id, c.pan, c.sgc, c.krn, c.kt, c.ti, c.base_date, c.ea)
        .where(is_one_of(connection, c.id, list(meter_ids)))
        .order_by(c.id)
        .with_for_update()
    )
    return {
        MeterId(row[0]): MeterHolding(MeterId(row[0]), *row[1:])
        for row in connection.execute(query)
    }


def update_keys(
    connection: Connection, keys: Mapping[MeterId, tuple[MeterKey, KeyDerivation]]
) -> None:
    """Store which key each of these locked meters holds now."""
    update_rows(
        connection,
        meters,
        [
            {
                "id": meter_id,
                "sgc": key.sgc.digits,
                "krn": key.krn,
                "kt": int(key.kt),
                "ti": key.ti.digits,
                "base_date": int(key.base_date),
                "dkga": int(dkga),
            }
            for meter_id, (key, dkga) in keys.items()
        ],
        key=["id"],
    )


def update_meter(connection: Connection, meter: Meter) -> None:
    """Store what has changed about a meter; its id, PAN and currency never do."""
    row = _to_row(meter)
    del row["id"], row["pan"], row["currency"]
    connection.execute(update(meters).where(meters.c.id == meter.id).values(row))


def append_state_change(connection: Connection, change: Mapping[str, Any]) -> None:
    """Store who moved a meter from which state to which, and why."""
    connection.execute(insert(meter_state_changes).values(change))


def load_last_tids(connection: Connection, keys: Collection[TIDKey]) -> dict[TIDKey, int]:
    """Return the last TID of each meter and base date; no entry: it was given none."""
    wanted = {(pan.digits, int(base_date)): (pan, base_date) for pan, base_date in keys}
    pans = {digits for digits, _ in wanted}
    found = connection.execute(_LAST_TIDS, {"pans": pans})
    return {
        wanted[row.meter_pan, row.base_date]: int(row.last_tid)
        for row in found
        if (row.meter_pan, row.base_date) in wanted
    }


def store_last_tids(connection: Connection, last_tids: Mapping[TIDKey, int]) -> None:
    """Raise the last TID of each meter and base date.

    A trigger of the schema lets none stay or fall.

    Raises:
        TIDNotRaisedError: One would; the transaction is then void.
    """
    if not last_tids:
        return
    statement = insert_or_update(
        connection, meter_tids, key=["meter_pan", "base_date"], update=["last_tid"]
    )
    rows = [
        {"meter_pan": pan.digits, "base_date": int(base_date), "last_tid": tid}
        for (pan, base_date), tid in sorted(last_tids.items())
    ]
    try:
        connection.execute(statement, rows)
    except IntegrityError as error:
        raise TIDNotRaisedError(len(rows)) from error


def _fits(connection: Connection, wanted: MeterFilter) -> list[ColumnElement[bool]]:
    c = meters.c
    given = {
        c.sgc: None if wanted.sgc is None else wanted.sgc.digits,
        c.krn: wanted.krn,
        c.kt: None if wanted.kt is None else int(wanted.kt),
        c.ti: None if wanted.ti is None else wanted.ti.digits,
        c.base_date: None if wanted.base_date is None else int(wanted.base_date),
        c.tariff_code: wanted.tariff_code,
    }
    conditions = [column == value for column, value in given.items() if value is not None]
    if wanted.location_prefix:
        prefix = wanted.location_prefix
        conditions.append(func.substr(c.location, 1, len(prefix)) == prefix)
    if wanted.pans:
        conditions.append(is_one_of(connection, c.pan, [pan.digits for pan in wanted.pans]))
    return conditions


def _is_one_of(pans: Collection[MeterPAN]) -> ColumnElement[bool]:
    assert len(pans) <= METER_COUNT_MAX, "a batch of meters is bounded"
    return meters.c.pan.in_({pan.digits for pan in pans})


def _load(connection: Connection, query: Select[Any]) -> dict[MeterPAN, Meter]:
    found = [_to_meter(row) for row in connection.execute(query)]
    return {meter.pan: meter for meter in found}


def _to_meter(row: Row[Any]) -> Meter:
    return Meter(
        id=MeterId(row.id),
        pan=MeterPAN(row.pan),
        sgc=_sgc_of(row.sgc),
        krn=row.krn,
        kt=KeyType(row.kt),
        ti=_ti_of(row.ti),
        ea=EncryptionAlgorithm(row.ea),
        dkga=KeyDerivation(row.dkga),
        base_date=BaseDate(row.base_date),
        tariff_code=row.tariff_code,
        currency=_currency_of(row.currency),
        resource=Resource(row.resource),
        profile=row.profile,
        link=row.link,
        location=Location(row.location, row.latitude_udeg, row.longitude_udeg),
        customer_id=None if row.customer_id is None else CustomerId(row.customer_id),
        state=MeterState(row.state),
    )


def _to_row(meter: Meter) -> dict[str, Any]:
    return {
        "id": meter.id,
        "pan": meter.pan.digits,
        "sgc": meter.sgc.digits,
        "krn": meter.krn,
        "kt": int(meter.kt),
        "ti": meter.ti.digits,
        "ea": int(meter.ea),
        "dkga": int(meter.dkga),
        "base_date": int(meter.base_date),
        "tariff_code": meter.tariff_code,
        "currency": meter.currency.code,
        "resource": int(meter.resource),
        "profile": meter.profile,
        "link": meter.link,
        "location": meter.location.text,
        "latitude_udeg": meter.location.latitude_udeg,
        "longitude_udeg": meter.location.longitude_udeg,
        "customer_id": meter.customer_id,
        "state": meter.state.value,
    }

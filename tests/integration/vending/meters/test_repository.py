from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread

import pytest
from sqlalchemy import Connection, delete, text, update
from sqlalchemy.exc import IntegrityError

from vending.meters.errors import TIDNotRaisedError
from vending.meters.model import Meter, NewMeter
from vending.meters.repository import load_last_tids, lock_meters, store_last_tids
from vending.meters.service import register_meter
from vending.meters.tables import meter_tids, meters
from vending.persistence.engine import Database
from vending.sts.pan import MeterPAN
from vending.sts.tid import BaseDate
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock

MakeMeter = Callable[..., NewMeter]
Y2014, Y2035 = BaseDate.Y2014, BaseDate.Y2035


@pytest.fixture
def pans(make_new_meter: MakeMeter) -> list[MeterPAN]:
    return [make_new_meter(serial).pan for serial in range(3)]


def store(database: Database, last_tids: dict[tuple[MeterPAN, BaseDate], int]) -> None:
    with database.unit_of_work() as uow:
        store_last_tids(uow.connection, last_tids)
        uow.commit()


def test_a_meter_without_token_has_no_last_tid(database: Database, pans: list[MeterPAN]) -> None:
    with database.read() as connection:
        assert load_last_tids(connection, [(pans[0], Y2014)]) == {}
        assert load_last_tids(connection, []) == {}


def test_last_tids_are_kept_for_each_meter_and_base_date(
    database: Database, pans: list[MeterPAN]
) -> None:
    first, second, third = pans
    store(database, {(first, Y2014): 100, (second, Y2014): 200, (first, Y2035): 5})
    store(database, {(first, Y2014): 101, (third, Y2014): 1})
    with database.read() as connection:
        keys = [(first, Y2014), (second, Y2014), (second, Y2035), (third, Y2014)]
        assert load_last_tids(connection, keys) == {
            (first, Y2014): 101,
            (second, Y2014): 200,
            (third, Y2014): 1,
        }
        assert load_last_tids(connection, [(first, Y2035)]) == {(first, Y2035): 5}


def test_nothing_to_store_is_stored(database: Database) -> None:
    store(database, {})


@pytest.mark.parametrize("tid", [99, 100])
def test_a_last_tid_neither_stays_nor_falls(
    database: Database, pans: list[MeterPAN], tid: int
) -> None:
    first, second, _ = pans
    store(database, {(first, Y2014): 100})
    with pytest.raises(TIDNotRaisedError, match="one of 2"):
        store(database, {(first, Y2014): tid, (second, Y2014): 500})
    with database.read() as connection:
        keys = [(first, Y2014), (second, Y2014)]
        assert load_last_tids(connection, keys) == {(first, Y2014): 100}


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        (update(meter_tids).values(last_tid=99), "meter_tids:lowered"),
        (update(meter_tids).values(last_tid=100), "meter_tids:lowered"),
        (update(meter_tids).values(base_date=2035, last_tid=101), "append_only:meter_tids"),
        (update(meter_tids).values(last_tid=1 << 24), "last_tid"),
        (delete(meter_tids), "append_only:meter_tids"),
    ],
)
def test_the_database_itself_keeps_last_tids_rising(
    database: Database, pans: list[MeterPAN], statement: object, refusal: str
) -> None:
    store(database, {(pans[0], Y2014): 100})
    with pytest.raises(IntegrityError, match=refusal), database.unit_of_work() as uow:
        uow.connection.execute(statement)  # type: ignore[call-overload] # the table holds both kinds


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        (delete(meters), "append_only:meters"),
        (update(meters).values(pan="0" * 18), "append_only:meters"),
        (update(meters).values(currency="UGX"), "append_only:meters"),
        (update(meters).values(state="lost"), "state"),
        (update(meters).values(krn=0), "krn"),
    ],
)
def test_the_database_itself_keeps_what_a_meter_is(
    database: Database,
    make_new_meter: MakeMeter,
    fixed_clock: FixedClock,
    statement: object,
    refusal: str,
) -> None:
    register_meter(database, make_new_meter(), by=SYSTEM, clock=fixed_clock)
    with pytest.raises(IntegrityError, match=refusal), database.unit_of_work() as uow:
        uow.connection.execute(statement)  # type: ignore[call-overload] # the table holds both kinds


def test_locked_meters_are_those_that_exist(
    database: Database, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    meter = register_meter(database, make_new_meter(1), by=SYSTEM, clock=fixed_clock)
    with database.unit_of_work() as uow:
        found = lock_meters(uow.connection, [meter.pan, make_new_meter(2).pan])
        assert found == {meter.pan: meter}
        assert lock_meters(uow.connection, []) == {}


def test_too_many_meters_at_once_are_our_own_fault(
    database: Database, make_new_meter: MakeMeter
) -> None:
    pans = [make_new_meter(serial).pan for serial in range(1_001)]
    with database.read() as connection, pytest.raises(AssertionError, match="bounded"):
        lock_meters(connection, pans)


def test_two_batches_of_the_same_meters_take_turns(
    postgres_database: Database, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    """Whatever order the callers name the meters in, the rows are locked in one order."""
    registered: list[Meter] = []
    for serial in range(20):
        fixed_clock.advance(timedelta(seconds=1))
        registered.append(
            register_meter(postgres_database, make_new_meter(serial), by=SYSTEM, clock=fixed_clock)
        )
    pans = [meter.pan for meter in registered]
    second_has_locked = Event()

    def lock_backwards() -> None:
        with postgres_database.unit_of_work() as uow:
            lock_meters(uow.connection, pans[::-1])
            second_has_locked.set()

    with postgres_database.unit_of_work() as uow:
        lock_meters(uow.connection, pans)
        second = Thread(target=lock_backwards)
        second.start()
        _wait_for_a_waiting_lock(uow.connection)
        assert not second_has_locked.is_set()
    second.join(timeout=100)
    assert second_has_locked.is_set()


def _wait_for_a_waiting_lock(connection: Connection) -> None:
    for _ in range(10_000):
        waiting = connection.execute(
            text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        ).scalar_one()
        if waiting:
            return
    pytest.fail("nobody waits for the locked meters")

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from vending.customers.errors import CustomerErasedError, CustomerNotFoundError
from vending.customers.model import NewCustomer
from vending.customers.service import erase_customer, hold_customer, register_customer
from vending.meters.errors import (
    MeterAlreadyRegisteredError,
    MeterInvalidError,
    MeterNotFoundError,
    MeterTransitionError,
)
from vending.meters.model import Location, Meter, MeterState, NewMeter
from vending.meters.service import (
    assign_customer,
    change_link,
    change_state,
    change_tariff,
    find_meters,
    find_meters_by_id,
    list_meters,
    load_meter,
    record_key,
    register_meter,
)
from vending.meters.tables import meter_state_changes
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.sts.keys import SGC, TI, KeyType
from vending.sts.tid import BaseDate
from vending.values.actor import SYSTEM, Actor, ActorKind
from vending.values.clock import FixedClock
from vending.values.identifiers import CustomerId, MeterId, new_uuid7
from vending.values.money import Currency

MakeMeter = Callable[..., NewMeter]
ANN = Actor(ActorKind.OPERATOR, "ann", UUID(int=7))


@pytest.fixture
def meter(database: Database, make_new_meter: MakeMeter, fixed_clock: FixedClock) -> Meter:
    return register_meter(database, make_new_meter(), by=SYSTEM, clock=fixed_clock)


def load(database: Database, meter: Meter) -> Meter:
    with database.read() as connection:
        return load_meter(connection, meter.pan)


def test_a_meter_is_found_again_with_every_field(
    database: Database, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    full = replace(
        make_new_meter(),
        profile="reference_prepay",
        link="modbus-tcp://10.0.0.1:502/1",
        location=Location("人民路 1 号", -1_286_389, 36_817_223),
    )
    registered = register_meter(database, full, by=SYSTEM, clock=fixed_clock)
    assert load(database, registered) == registered
    assert registered.location == full.location
    with database.read() as connection:
        other = make_new_meter(2).pan
        assert find_meters(connection, [full.pan, other]) == {full.pan: registered}


def test_meters_are_found_by_their_ids(
    database: Database, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    one, other, _ = (
        register_meter(database, make_new_meter(serial), by=SYSTEM, clock=fixed_clock)
        for serial in range(3)
    )
    unknown = MeterId(new_uuid7(fixed_clock))
    with database.read() as connection:
        found = find_meters_by_id(connection, [other.id, one.id, unknown, one.id])
        assert found == {one.id: one, other.id: other}
        assert find_meters_by_id(connection, []) == {}


def test_more_ids_than_one_query_takes_are_our_own_fault(database: Database) -> None:
    ids = [MeterId(UUID(int=number)) for number in range(1_001)]
    with database.read() as connection, pytest.raises(AssertionError, match="bounded"):
        find_meters_by_id(connection, ids)


def test_a_number_is_registered_once(
    database: Database, meter: Meter, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    with pytest.raises(MeterAlreadyRegisteredError, match=meter.pan.iain):
        register_meter(database, replace(make_new_meter(), krn=2), by=SYSTEM, clock=fixed_clock)
    assert load(database, meter) == meter


def test_a_meter_that_does_not_exist_is_not_found(
    database: Database, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    pan = make_new_meter().pan
    with database.read() as connection, pytest.raises(MeterNotFoundError, match=pan.iain):
        load_meter(connection, pan)
    with pytest.raises(MeterNotFoundError):
        assign_customer(
            database, pan, None, hold_customer=hold_customer, by=SYSTEM, clock=fixed_clock
        )
    with pytest.raises(MeterNotFoundError):
        change_state(database, pan, MeterState.BLOCKED, by=ANN, reason="x", clock=fixed_clock)


def test_pages_show_every_meter_once(
    database: Database, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    registered = []
    for serial in range(5):
        fixed_clock.advance(timedelta(seconds=1))
        registered.append(
            register_meter(database, make_new_meter(serial), by=SYSTEM, clock=fixed_clock)
        )
    seen: list[Meter] = []
    after = None
    sizes = []
    with database.read() as connection:
        while True:
            page = list_meters(connection, after=after, limit=2)
            seen += page.meters
            sizes.append(len(page.meters))
            after = page.next_after
            if after is None:
                break
    assert seen == registered
    assert sizes == [2, 2, 1]


def test_an_empty_register_has_an_empty_page(database: Database) -> None:
    with database.read() as connection:
        page = list_meters(connection)
    assert page.meters == ()
    assert page.next_after is None


@pytest.mark.parametrize("limit", [0, 1_001])
def test_a_page_without_bound_is_our_own_fault(database: Database, limit: int) -> None:
    with database.read() as connection, pytest.raises(AssertionError, match="bounded"):
        list_meters(connection, limit=limit)


def test_meters_are_listed_by_state_and_customer(
    database: Database, meter: Meter, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    stock = register_meter(
        database, make_new_meter(2, state=MeterState.STOCK), by=SYSTEM, clock=fixed_clock
    )
    customer = register_customer(
        database, NewCustomer(account_number="A-1", name="张三"), by=SYSTEM, clock=fixed_clock
    )
    assigned = assign_customer(
        database, meter.pan, customer.id, hold_customer=hold_customer, by=SYSTEM, clock=fixed_clock
    )
    with database.read() as connection:
        assert list_meters(connection, state=MeterState.STOCK).meters == (stock,)
        assert list_meters(connection, customer_id=customer.id).meters == (assigned,)
        assert list_meters(connection, state=MeterState.STOCK, customer_id=customer.id).meters == ()


def test_a_meter_is_given_to_a_customer_and_taken_back(
    database: Database, meter: Meter, fixed_clock: FixedClock
) -> None:
    customer = register_customer(
        database, NewCustomer(account_number="A-1", name="张三"), by=SYSTEM, clock=fixed_clock
    )
    assert (
        assign_customer(
            database,
            meter.pan,
            customer.id,
            hold_customer=hold_customer,
            by=SYSTEM,
            clock=fixed_clock,
        ).customer_id
        == customer.id
    )
    assert load(database, meter).customer_id == customer.id
    assert (
        assign_customer(
            database, meter.pan, None, hold_customer=hold_customer, by=SYSTEM, clock=fixed_clock
        )
        == meter
    )
    assert load(database, meter) == meter


def test_a_meter_is_given_to_no_unknown_customer(
    database: Database, meter: Meter, fixed_clock: FixedClock
) -> None:
    with pytest.raises(CustomerNotFoundError):
        assign_customer(
            database,
            meter.pan,
            CustomerId(UUID(int=1)),
            hold_customer=hold_customer,
            by=SYSTEM,
            clock=fixed_clock,
        )
    assert load(database, meter) == meter


def test_a_meter_is_given_to_no_erased_customer(
    database: Database, meter: Meter, fixed_clock: FixedClock
) -> None:
    customer = register_customer(
        database, NewCustomer(account_number="A-1", name="张三"), by=SYSTEM, clock=fixed_clock
    )
    with database.unit_of_work() as uow:
        erase_customer(uow.connection, customer.id, by=SYSTEM, clock=fixed_clock)
        uow.commit()
    with pytest.raises(CustomerErasedError) as refused:
        assign_customer(
            database,
            meter.pan,
            customer.id,
            hold_customer=hold_customer,
            by=SYSTEM,
            clock=fixed_clock,
        )
    assert refused.value.code == "customer_erased"
    assert load(database, meter) == meter


def test_a_change_of_state_keeps_who_and_why(
    database: Database, meter: Meter, fixed_clock: FixedClock
) -> None:
    blocked = change_state(
        database,
        meter.pan,
        MeterState.BLOCKED,
        by=ANN,
        reason="tampered seal",
        clock=fixed_clock,
    )
    assert blocked == replace(meter, state=MeterState.BLOCKED) == load(database, meter)
    with database.read() as connection:
        row = connection.execute(select(meter_state_changes)).one()
    assert (row.meter_id, row.at) == (meter.id, fixed_clock.now())
    assert (row.origin, row.target) == ("commissioned", "blocked")
    assert (row.actor, row.reason) == ("ann", "tampered seal")
    for statement in (
        update(meter_state_changes).values(reason="none"),
        delete(meter_state_changes),
    ):
        with (
            pytest.raises(IntegrityError, match="append_only:meter_state_changes"),
            database.unit_of_work() as uow,
        ):
            uow.connection.execute(statement)


def test_a_refused_change_of_state_changes_nothing(
    database: Database, meter: Meter, fixed_clock: FixedClock
) -> None:
    with pytest.raises(MeterTransitionError):
        change_state(database, meter.pan, MeterState.STOCK, by=ANN, reason="x", clock=fixed_clock)
    with pytest.raises(MeterInvalidError, match="reason"):
        change_state(database, meter.pan, MeterState.BLOCKED, by=ANN, reason="", clock=fixed_clock)
    assert load(database, meter) == meter
    with database.read() as connection:
        assert connection.execute(select(meter_state_changes)).all() == []


def test_a_link_is_changed_with_its_profile(
    database: Database, meter: Meter, fixed_clock: FixedClock
) -> None:
    link = "modbus-rtu:///dev/ttyUSB0?unit=1&baud=9600"
    changed = change_link(
        database, meter.pan, profile="reference_prepay", link=link, by=SYSTEM, clock=fixed_clock
    )
    assert load(database, meter) == changed
    assert (changed.profile, changed.link) == ("reference_prepay", link)
    with pytest.raises(MeterInvalidError):
        change_link(database, meter.pan, profile=None, link=link, by=SYSTEM, clock=fixed_clock)


def test_a_tariff_is_changed_within_the_currency(
    database: Database, meter: Meter, fixed_clock: FixedClock
) -> None:
    changed = change_tariff(
        database,
        meter.pan,
        tariff_code="BIZ-1",
        currency=Currency("KES"),
        by=SYSTEM,
        clock=fixed_clock,
    )
    assert load(database, meter) == changed == replace(meter, tariff_code="BIZ-1")
    with pytest.raises(MeterInvalidError, match="a tariff in KES"):
        change_tariff(
            database,
            meter.pan,
            tariff_code="X",
            currency=Currency("UGX"),
            by=SYSTEM,
            clock=fixed_clock,
        )


def test_a_key_change_is_recorded_in_the_callers_transaction(
    database: Database, meter: Meter
) -> None:
    key = replace(
        meter.key,
        sgc=SGC("999999"),
        krn=2,
        kt=KeyType.DDTK,
        ti=TI("07"),
        base_date=BaseDate.Y2035,
    )
    with database.unit_of_work() as uow:
        assert record_key(uow.connection, meter.pan, key).key == key
    assert load(database, meter) == meter
    with database.unit_of_work() as uow:
        record_key(uow.connection, meter.pan, key)
        uow.commit()
    assert load(database, meter).key == key


def test_every_change_is_recorded_with_who_did_it(
    database: Database, meter: Meter, fixed_clock: FixedClock
) -> None:
    pan = meter.pan
    change_state(database, pan, MeterState.BLOCKED, by=ANN, reason="theft", clock=fixed_clock)
    assign_customer(database, pan, None, hold_customer=hold_customer, by=ANN, clock=fixed_clock)
    change_link(database, pan, profile=None, link=None, by=ANN, clock=fixed_clock)
    kes = Currency("KES")
    change_tariff(database, pan, tariff_code="B-1", currency=kes, by=ANN, clock=fixed_clock)
    with pytest.raises(MeterTransitionError):
        change_state(database, pan, MeterState.STOCK, by=ANN, reason="x", clock=fixed_clock)
    with database.read() as connection:
        rows = {row.action: row for row in connection.execute(select(audit_events))}
    assert rows.keys() == {
        "meter.registered",
        "meter.state_changed",
        "meter.assigned",
        "meter.link_changed",
        "meter.tariff_changed",
    }
    assert {row.subject for row in rows.values()} == {f"meter:{pan.digits}"}
    assert rows.pop("meter.registered").actor_id is None
    assert {row.actor_id for row in rows.values()} == {ANN.id}
    moved = rows["meter.state_changed"].details
    assert (moved["origin"], moved["target"]) == ("commissioned", "blocked")

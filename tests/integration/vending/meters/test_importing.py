import io
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.support.racing_clock import RacingClock
from tests.support.tariffs import add_version
from vending.customers.model import Customer, NewCustomer
from vending.customers.service import erase_customer, find_erased, find_ids, register_customer
from vending.meters.importing import MeterReferences, import_meters
from vending.meters.model import Meter, MeterState, NewMeter
from vending.meters.service import list_meters, register_meter
from vending.persistence.engine import Database
from vending.tariffs.model import TariffDraft
from vending.tariffs.service import find_currencies
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.values.money import Currency

HEADER = "drn,sgc,krn,kt,ti,ea,dkga,base_date,tariff_code,currency,account_number,state\n"
REFERENCES = MeterReferences(
    find_customers=find_ids, find_erased=find_erased, find_currencies=find_currencies
)
MakeMeter = Callable[..., NewMeter]


@pytest.fixture
def customer(database: Database, fixed_clock: FixedClock) -> Customer:
    return prepare(database, fixed_clock)


def prepare(database: Database, clock: FixedClock) -> Customer:
    draft = TariffDraft(
        code="RES-1",
        currency=Currency("KES"),
        price_per_kwh_micro=20_000_000,
        vat_basis_points=1600,
        effective_from=clock.now() + timedelta(days=1),
    )
    add_version(database, draft, clock=clock)
    new = NewCustomer(account_number="A-1", name="张三")
    return register_customer(database, new, by=SYSTEM, clock=clock)


def line(new: NewMeter, *, tariff: str = "RES-1,KES", account: str = "A-1") -> str:
    return f"{new.pan.iain},123457,1,2,01,7,4,2014,{tariff},{account},commissioned\n"


def source(*lines: str) -> io.BytesIO:
    return io.BytesIO((HEADER + "".join(lines)).encode("utf-8-sig"))


def stored(database: Database) -> tuple[Meter, ...]:
    with database.read() as connection:
        return list_meters(connection).meters


def test_a_clean_file_is_stored(
    database: Database, customer: Customer, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    lines = [line(make_new_meter(1)), line(make_new_meter(2), account="")]
    report = import_meters(
        database, source(*lines), by=SYSTEM, clock=fixed_clock, references=REFERENCES, dry_run=False
    )
    assert (report.row_count, report.written_count, report.findings) == (2, 2, ())
    found = {meter.pan: meter for meter in stored(database)}
    assert found[make_new_meter(1).pan].customer_id == customer.id
    assert found[make_new_meter(1).pan].state is MeterState.COMMISSIONED
    assert found[make_new_meter(2).pan].customer_id is None


def test_a_dry_run_stores_nothing(
    database: Database, customer: Customer, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    assert customer.account_number == "A-1"
    report = import_meters(
        database,
        source(line(make_new_meter())),
        by=SYSTEM,
        clock=fixed_clock,
        references=REFERENCES,
        dry_run=True,
    )
    assert (report.row_count, report.written_count, report.findings) == (1, 0, ())
    assert stored(database) == ()


@pytest.mark.parametrize("dry_run", [True, False])
def test_one_finding_keeps_every_row_out(
    database: Database,
    customer: Customer,
    make_new_meter: MakeMeter,
    fixed_clock: FixedClock,
    dry_run: bool,  # noqa: FBT001 # a column of the table
) -> None:
    assert customer.account_number == "A-1"
    known = register_meter(database, make_new_meter(9), by=SYSTEM, clock=fixed_clock)
    good = line(make_new_meter(1))
    lines = [
        good,
        line(make_new_meter(9)),
        line(make_new_meter(2), account="A-9"),
        line(make_new_meter(3), tariff="BIZ-1,KES"),
        line(make_new_meter(4), tariff="RES-1,UGX"),
        good,
        good.lstrip("0"),
    ]
    report = import_meters(
        database,
        source(*lines),
        by=SYSTEM,
        clock=fixed_clock,
        references=REFERENCES,
        dry_run=dry_run,
    )
    assert report.written_count == 0
    assert [(f.row, f.column, f.code) for f in report.findings] == [
        (3, "drn", "already_registered"),
        (4, "account_number", "unknown_customer"),
        (5, "tariff_code", "unknown_tariff"),
        (6, "currency", "wrong_currency"),
        (7, "drn", "duplicate_in_file"),
        (8, "drn", "leading_zero_lost"),
    ]
    assert stored(database) == (known,)


def test_a_file_that_is_not_utf8_stores_nothing(
    database: Database, customer: Customer, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    assert customer.account_number == "A-1"
    gbk = io.BytesIO((HEADER + line(make_new_meter(), account="张三")).encode("gbk"))
    report = import_meters(
        database, gbk, by=SYSTEM, clock=fixed_clock, references=REFERENCES, dry_run=False
    )
    assert [finding.code for finding in report.findings] == ["not_utf8"]
    assert stored(database) == ()


def test_a_row_that_another_import_stored_meanwhile_keeps_every_row_out(
    postgres_database: Database, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    """SQLite has one writer, so that only PostgreSQL lets a rival in between check and insert."""
    database = postgres_database
    prepare(database, fixed_clock)
    clock = RacingClock(
        fixed_clock,
        at_call=1,
        rival=lambda: register_meter(database, make_new_meter(2), by=SYSTEM, clock=fixed_clock),
    )
    lines = [line(make_new_meter(1)), line(make_new_meter(2))]
    report = import_meters(
        database, source(*lines), by=SYSTEM, clock=clock, references=REFERENCES, dry_run=False
    )
    assert [(f.row, f.code) for f in report.findings] == [(3, "already_registered")]
    assert report.written_count == 0
    assert [meter.pan for meter in stored(database)] == [make_new_meter(2).pan]


def erase(database: Database, customer: Customer, clock: FixedClock) -> None:
    with database.unit_of_work() as uow:
        erase_customer(uow.connection, customer.id, by=SYSTEM, clock=clock)
        uow.commit()


@pytest.mark.parametrize("dry_run", [True, False])
def test_each_row_of_an_erased_customer_is_named(
    database: Database,
    customer: Customer,
    make_new_meter: MakeMeter,
    fixed_clock: FixedClock,
    dry_run: bool,  # noqa: FBT001 # a column of the table
) -> None:
    erase(database, customer, fixed_clock)
    lines = [line(make_new_meter(1)), line(make_new_meter(2), account=""), line(make_new_meter(3))]
    report = import_meters(
        database,
        source(*lines),
        by=SYSTEM,
        clock=fixed_clock,
        references=REFERENCES,
        dry_run=dry_run,
    )
    assert [(f.row, f.column, f.code) for f in report.findings] == [
        (2, "account_number", "customer_erased"),
        (4, "account_number", "customer_erased"),
    ]
    assert stored(database) == ()


def test_a_customer_who_was_erased_meanwhile_keeps_every_row_out(
    postgres_database: Database, make_new_meter: MakeMeter, fixed_clock: FixedClock
) -> None:
    """SQLite has one writer, so that only PostgreSQL lets a rival in between check and insert."""
    database = postgres_database
    customer = prepare(database, fixed_clock)
    clock = RacingClock(
        fixed_clock, at_call=1, rival=lambda: erase(database, customer, fixed_clock)
    )
    report = import_meters(
        database,
        source(line(make_new_meter(1))),
        by=SYSTEM,
        clock=clock,
        references=REFERENCES,
        dry_run=False,
    )
    assert [(f.row, f.code) for f in report.findings] == [(2, "customer_erased")]
    assert stored(database) == ()

import io

import pytest

from tests.support.racing_clock import RacingClock
from vending.customers.importing import import_customers
from vending.customers.model import Customer, NewCustomer
from vending.customers.service import list_customers, register_customer
from vending.persistence.engine import Database
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock

FILE = """account_number,name,phone,language,consent_sms
A-1,张三,+254712345678,zh-CN,yes
A-2,Ann Lee,,,
"""


def stored(database: Database) -> list[Customer]:
    with database.read() as connection:
        return list(list_customers(connection).customers)


def source(text: str) -> io.BytesIO:
    return io.BytesIO(text.encode())


def test_a_clean_file_is_stored(database: Database, fixed_clock: FixedClock) -> None:
    report = import_customers(database, source(FILE), by=SYSTEM, clock=fixed_clock, dry_run=False)
    assert (report.row_count, report.written_count, report.findings) == (2, 2, ())
    found = {customer.account_number: customer for customer in stored(database)}
    assert found["A-1"].consent_sms_at == fixed_clock.now()
    assert found["A-2"].name == "Ann Lee"


def test_a_dry_run_stores_nothing(database: Database, fixed_clock: FixedClock) -> None:
    report = import_customers(database, source(FILE), by=SYSTEM, clock=fixed_clock, dry_run=True)
    assert (report.row_count, report.written_count, report.findings) == (2, 0, ())
    assert stored(database) == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_one_finding_keeps_every_row_out(
    database: Database,
    fixed_clock: FixedClock,
    dry_run: bool,  # noqa: FBT001 # a column of the table
) -> None:
    register_customer(
        database, NewCustomer(account_number="A-2", name="Bob"), by=SYSTEM, clock=fixed_clock
    )
    text = FILE + "A-3,=1+1,,,\nA-1,Twice,,,\n"
    report = import_customers(database, source(text), by=SYSTEM, clock=fixed_clock, dry_run=dry_run)
    assert report.written_count == 0
    assert [(f.row, f.column, f.code) for f in report.findings] == [
        (3, "account_number", "already_registered"),
        (4, "name", "text_not_plain"),
        (5, "account_number", "duplicate_in_file"),
    ]
    assert [customer.name for customer in stored(database)] == ["Bob"]


def test_a_row_that_another_import_stored_meanwhile_keeps_every_row_out(
    postgres_database: Database, fixed_clock: FixedClock
) -> None:
    """SQLite has one writer, so that only PostgreSQL lets a rival in between check and insert."""
    rival = NewCustomer(account_number="A-2", name="Bob")
    clock = RacingClock(
        fixed_clock,
        at_call=1,
        rival=lambda: register_customer(postgres_database, rival, by=SYSTEM, clock=fixed_clock),
    )
    report = import_customers(
        postgres_database, source(FILE), by=SYSTEM, clock=clock, dry_run=False
    )
    assert [(f.row, f.code) for f in report.findings] == [(3, "already_registered")]
    assert report.written_count == 0
    assert [customer.name for customer in stored(postgres_database)] == ["Bob"]


def test_many_rows_go_in_batches(database: Database, fixed_clock: FixedClock) -> None:
    told: list[tuple[str, int]] = []
    rows = "".join(f"B-{number},Name,,,\n" for number in range(1_200))
    report = import_customers(
        database,
        source(FILE.splitlines()[0] + "\n" + rows),
        by=SYSTEM,
        clock=fixed_clock,
        dry_run=False,
        progress=lambda *step: told.append(step),
    )
    assert report.written_count == 1_200
    assert [count for what, count in told if what == "written"] == [500, 1_000, 1_200]

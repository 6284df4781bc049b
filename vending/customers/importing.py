"""Takes over customers from a CSV file: all rows or none."""

from collections.abc import Collection, Sequence
from typing import BinaryIO, Final

from sqlalchemy import Connection

from vending.customers.model import NewCustomer
from vending.customers.rules import CUSTOMER_COLUMNS, parse_customer_row
from vending.customers.service import find_ids, make_customer, store_customers
from vending.persistence.engine import Database
from vending.persistence.file_import import check_file, write_file
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.csv_rows import (
    Finding,
    ImportReport,
    NumberedRecord,
    Progress,
    RecordFormat,
    no_progress,
    parse_file,
)

CUSTOMER_FORMAT: Final = RecordFormat(
    columns=CUSTOMER_COLUMNS,
    parse=parse_customer_row,
    key_column="account_number",
    key=lambda customer: customer.account_number,
)

CustomerRows = Sequence[NumberedRecord[NewCustomer]]


def import_customers(
    database: Database,
    source: BinaryIO,
    *,
    by: Actor,
    clock: Clock,
    dry_run: bool,
    progress: Progress = no_progress,
) -> ImportReport:
    """Store every customer of the file; none when a row has a finding, or on a dry run."""

    def check(connection: Connection, batch: CustomerRows) -> list[Finding]:
        return _list_taken(batch, find_ids(connection, _account_numbers(batch)))

    def write(connection: Connection, batch: CustomerRows) -> list[Finding]:
        new = [make_customer(numbered.record, clock) for numbered in batch]
        stored = store_customers(connection, new, by=by, clock=clock)
        # Another import may have stored some since the check.
        return _list_taken(batch, _account_numbers(batch) - stored)

    parsed = parse_file(source, CUSTOMER_FORMAT, progress)
    if dry_run:
        return check_file(database, parsed, check)
    return write_file(database, parsed, check=check, write=write, progress=progress)


def _account_numbers(batch: CustomerRows) -> set[str]:
    return {numbered.record.account_number for numbered in batch}


def _list_taken(batch: CustomerRows, taken: Collection[str]) -> list[Finding]:
    message = "Another customer has this account number. Remove the row, or correct the number."
    return [
        Finding(numbered.row, "account_number", "already_registered", message)
        for numbered in batch
        if numbered.record.account_number in taken
    ]

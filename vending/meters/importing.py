"""Takes over a register of meters from a CSV file: all rows or none."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from sqlalchemy import Connection

from vending.meters import repository
from vending.meters.model import MeterRow
from vending.meters.rules import METER_COLUMNS, parse_meter_row
from vending.meters.service import make_meter
from vending.persistence.audit import AuditEvent, record
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
from vending.values.identifiers import CustomerId
from vending.values.money import Currency

METER_FORMAT: Final = RecordFormat(
    columns=METER_COLUMNS,
    parse=parse_meter_row,
    key_column="drn",
    key=lambda row: row.meter.pan.digits,
)

MeterRows = Sequence[NumberedRecord[MeterRow]]


@dataclass(frozen=True, slots=True)
class MeterReferences:
    """How other features answer what a row refers to; what they do not know is left out."""

    find_customers: Callable[[Connection, Collection[str]], Mapping[str, CustomerId]]
    find_erased: Callable[[Connection, Collection[str]], Collection[str]]
    """Of those account numbers, the ones whose customers were erased."""
    find_currencies: Callable[[Connection, Collection[str]], Mapping[str, Currency]]


def import_meters(  # noqa: PLR0913 # who, when, from where, against what: none stands for another
    database: Database,
    source: BinaryIO,
    *,
    by: Actor,
    clock: Clock,
    references: MeterReferences,
    dry_run: bool,
    progress: Progress = no_progress,
) -> ImportReport:
    """Store every meter of the file; none when a row has a finding, or on a dry run."""

    def check(connection: Connection, batch: MeterRows) -> list[Finding]:
        return _check(connection, batch, references)

    def write(connection: Connection, batch: MeterRows) -> list[Finding]:
        customers = references.find_customers(connection, _account_numbers(batch))
        new = [
            replace(record.meter, customer_id=customers.get(record.account_number or ""))
            for record in (numbered.record for numbered in batch)
        ]
        stored = repository.insert_meters(
            connection, [make_meter(meter, clock) for meter in new], registered_at=clock.now()
        )
        rows = {"first_row": batch[0].row, "last_row": batch[-1].row, "meters": len(stored)}
        record(connection, [AuditEvent(by, "meters.imported", "meters", {**rows})], clock)
        # Another import may have stored some since the check, or somebody erased a customer; from
        # here on a foreign key keeps from erasure whom a meter names.
        return [
            *_list_registered(batch, {r.record.meter.pan.digits for r in batch} - stored),
            *_list_erased(batch, references.find_erased(connection, _account_numbers(batch))),
        ]

    parsed = parse_file(source, METER_FORMAT, progress)
    if dry_run:
        return check_file(database, parsed, check)
    return write_file(database, parsed, check=check, write=write, progress=progress)


def _check(connection: Connection, batch: MeterRows, references: MeterReferences) -> list[Finding]:
    pans = [numbered.record.meter.pan for numbered in batch]
    findings = _list_registered(batch, repository.find_registered(connection, pans))
    customers = references.find_customers(connection, _account_numbers(batch))
    findings += _list_erased(batch, references.find_erased(connection, _account_numbers(batch)))
    codes = {numbered.record.meter.tariff_code for numbered in batch}
    currencies = references.find_currencies(connection, codes)
    for numbered in batch:
        record = numbered.record
        if record.account_number is not None and record.account_number not in customers:
            findings.append(_unknown_customer(numbered.row, record.account_number))
        currency = currencies.get(record.meter.tariff_code)
        if currency != record.meter.currency:
            findings.append(_wrong_tariff(numbered.row, record.meter.tariff_code, currency))
    return findings


def _account_numbers(batch: MeterRows) -> set[str]:
    return {r.record.account_number for r in batch if r.record.account_number is not None}


def _list_registered(batch: MeterRows, taken: Collection[str]) -> list[Finding]:
    message = "The register has this meter already. Remove the row, or change the meter there."
    return [
        Finding(numbered.row, "drn", "already_registered", message)
        for numbered in batch
        if numbered.record.meter.pan.digits in taken
    ]


def _list_erased(batch: MeterRows, erased: Collection[str]) -> list[Finding]:
    return [
        Finding(
            numbered.row,
            "account_number",
            "customer_erased",
            f"Customer {numbered.record.account_number} was erased. Register the person anew.",
        )
        for numbered in batch
        if numbered.record.account_number in erased
    ]


def _unknown_customer(row: int, account_number: str) -> Finding:
    message = f"There is no customer {account_number}. Import the customers first."
    return Finding(row, "account_number", "unknown_customer", message)


def _wrong_tariff(row: int, tariff_code: str, currency: Currency | None) -> Finding:
    if currency is None:
        message = f"There is no tariff {tariff_code}. Add it first, or correct the code."
        return Finding(row, "tariff_code", "unknown_tariff", message)
    message = f"Tariff {tariff_code} is in {currency}. Write {currency}, or another tariff."
    return Finding(row, "currency", "wrong_currency", message)

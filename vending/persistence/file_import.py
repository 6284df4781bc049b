"""Writes the records of a file, all or none: the part that every import shares."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from vending.persistence.engine import Database
from vending.values.csv_rows import (
    Finding,
    ImportReport,
    NumberedRecord,
    ParsedFile,
    Progress,
    in_batches,
)

RecordT = TypeVar("RecordT")
BatchStep = Callable[[Connection, Sequence[NumberedRecord[RecordT]]], list[Finding]]
"""Does something with some records and returns what is wrong with them."""


def check_file(
    database: Database, parsed: ParsedFile[RecordT], check: BatchStep[RecordT]
) -> ImportReport:
    """Return what is wrong with a file, its records compared with the database; write nothing."""
    findings: list[Finding] = []
    with database.read() as connection:
        for batch in in_batches(parsed.records):
            findings += check(connection, batch)
    return parsed.report(findings, written_count=0)


def write_file(
    database: Database,
    parsed: ParsedFile[RecordT],
    *,
    check: BatchStep[RecordT],
    write: BatchStep[RecordT],
    progress: Progress,
) -> ImportReport:
    """Store every record in one transaction; with a single finding, none is stored.

    The checks come first and outside of it, so that other writers wait for the inserts alone;
    `write` therefore says itself what became impossible meanwhile.
    """
    checked = check_file(database, parsed, check)
    if checked.findings:
        return checked
    written_count = 0
    with database.unit_of_work() as uow:
        for batch in in_batches(parsed.records):
            findings = write(uow.connection, batch)
            if findings:
                return parsed.report(findings, written_count=0)
            written_count += len(batch)
            progress("written", written_count)
        uow.commit()
    return parsed.report([], written_count=written_count)

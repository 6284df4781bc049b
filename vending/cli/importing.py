"""import: take over meters and customers from CSV files, all of a file or nothing of it."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer
from rich.progress import Progress, TaskID
from sqlalchemy import Connection

from vending.cli.access import acting, needs
from vending.cli.context import DataOption, opened_database
from vending.cli.output import FindingsError, JsonOption, Row, print_document, progress_bar
from vending.customers.importing import import_customers
from vending.customers.service import find_erased, find_ids
from vending.errors import ErrorKind, VendingError
from vending.meters.importing import MeterReferences, import_meters
from vending.operators.permissions import Permission
from vending.tariffs.service import find_effective
from vending.values.clock import SystemClock
from vending.values.csv_rows import ImportReport
from vending.values.money import Currency

app: Final = typer.Typer(help="Take over meters and customers from CSV.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="CSV file in UTF-8 with a header line.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check the file, write nothing.")]


class ImportFileError(VendingError):
    """The file cannot be opened."""

    kind = ErrorKind.INVALID
    code = "import_file_unreadable"
    remedy = "Check the path and that the file may be read."

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}", path=path)


class ImportRefusedError(FindingsError):
    """Rows have faults, so nothing was written."""

    kind = ErrorKind.INVALID
    code = "import_refused"
    remedy = "Correct the rows listed and import the whole file again; nothing was written."

    def __init__(self, report: Row, count: int) -> None:
        super().__init__(f"{count} fault(s) in the file", report=report, count=count)


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="import")


@app.command("meters")
@needs(Permission.METERS_WRITE)
def take_meters(
    file: FileArgument,
    dry_run: DryRunOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import meters; customers and tariffs they name must exist."""
    clock = SystemClock()

    def find_currencies(connection: Connection, codes: Collection[str]) -> Mapping[str, Currency]:
        found = find_effective(connection, codes, clock.now())
        return {code: tariff.currency for code, tariff in found.items()}

    references = MeterReferences(
        find_customers=find_ids, find_erased=find_erased, find_currencies=find_currencies
    )
    with (
        opened_database(data) as (_, database),
        progress_bar(as_json=as_json) as bar,
        _opened(file) as source,
    ):
        report = import_meters(
            database,
            source,
            by=acting(),
            clock=clock,
            references=references,
            dry_run=dry_run,
            progress=_Bar(bar),
        )
    _print_report(report, dry_run=dry_run, as_json=as_json)


@app.command("customers")
@needs(Permission.CUSTOMERS_WRITE)
def take_customers(
    file: FileArgument,
    dry_run: DryRunOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import customers."""
    with (
        opened_database(data) as (_, database),
        progress_bar(as_json=as_json) as bar,
        _opened(file) as source,
    ):
        report = import_customers(
            database, source, by=acting(), clock=SystemClock(), dry_run=dry_run, progress=_Bar(bar)
        )
    _print_report(report, dry_run=dry_run, as_json=as_json)


class _Bar:
    """Shows the steps of an import, each counting its rows."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, row_count: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._bar.add_task(step, total=None)
        self._bar.update(self._tasks[step], completed=row_count)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ImportFileError(str(path), error.strerror or "cannot be opened") from error


def _print_report(report: ImportReport, *, dry_run: bool, as_json: bool) -> None:
    """Print what an import came to.

    Raises:
        ImportRefusedError: Some rows have faults.
    """
    findings: list[dict[str, object]] = [asdict(finding) for finding in report.findings]
    document: Row = {
        "rows": report.row_count,
        "written": report.written_count,
        "dry_run": dry_run,
        "findings": findings if as_json else len(findings),
    }
    if not findings:
        print_document(document, as_json=as_json)
        return
    if not as_json:
        print_document(findings, as_json=False, title="faults")
    raise ImportRefusedError(document, len(findings))

"""ledger: verify the books, show the trial balance."""

from collections.abc import Sequence
from typing import Final

import typer

from vending.cli.access import host, needs
from vending.cli.context import DataOption, opened_database
from vending.cli.output import FindingsError, JsonOption, Row, print_document, progress_bar
from vending.errors import ErrorKind
from vending.ledger.service import trial_balance, verify
from vending.operators.permissions import Permission

app: Final = typer.Typer(help="The double-entry ledger.", no_args_is_help=True)


class LedgerDifferenceError(FindingsError):
    """The books do not agree with themselves."""

    kind = ErrorKind.CONFLICT
    code = "ledger_differs"
    remedy = (
        "Stop vending, keep a copy of the database, and compare it with the last backup that "
        "verifies: rows were changed behind the service's back."
    )

    def __init__(self, rows: Sequence[Row]) -> None:
        report = {"differences": rows}
        super().__init__(f"{len(rows)} difference(s) found", report=report, count=len(rows))


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="ledger")


@app.command("verify")
@host("prints counts and sums alone; a timer of the machine may run it")
def verify_books(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Rebuild every balance from the postings and name any difference; exit 1 if there is one.

    Raises:
        LedgerDifferenceError: There is one.
    """
    with opened_database(data) as (_, database), progress_bar(as_json=as_json) as bar:
        task = bar.add_task("entries", total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        with database.read() as connection:
            findings = verify(connection, report)
            lines = trial_balance(connection)
    if findings:
        rows = [
            {"code": one.code, "subject": one.subject, "message": one.message} for one in findings
        ]
        if not as_json:
            print_document(rows, as_json=False, title="differences")
        raise LedgerDifferenceError(rows)
    print_document(
        {
            "ledger": "verified",
            "accounts": len(lines),
            "debits_minor": sum(line.debit_minor for line in lines),
            "credits_minor": sum(line.credit_minor for line in lines),
        },
        as_json=as_json,
    )


@app.command("balance")
@needs(Permission.LEDGER_READ)
def show_balance(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show the totals of every account."""
    with opened_database(data) as (_, database), database.read() as connection:
        rows: list[dict[str, object]] = [
            {
                "account": line.account.code,
                "kind": line.account.kind.value,
                "currency": line.account.currency.code,
                "debit_minor": line.debit_minor,
                "credit_minor": line.credit_minor,
            }
            for line in trial_balance(connection)
        ]
    print_document(rows, as_json=as_json, title="trial balance")

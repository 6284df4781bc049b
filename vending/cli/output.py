"""How commands speak: for people with rich, for machines as one JSON document with `--json`."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vending.errors import VendingError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Row = Mapping[str, object]

_console: Final = Console()
_errors: Final = Console(stderr=True)
_BORDER: Final = 3
"""What the frame and its blanks add to a column."""


class FindingsError(VendingError):
    """A command that looked for faults found some; `report` is what it would have printed.

    Programs get both in one document; people have read the report already.
    """

    def __init__(self, message: str, *, report: Row, count: int) -> None:
        super().__init__(message, count=count)
        self.report = report


def print_document(document: Row | Sequence[Row], *, as_json: bool, title: str = "") -> None:
    """Print a record or a list of records."""
    if as_json:
        # Flushed: whoever started a service through a pipe waits for this line.
        print(json.dumps(document, ensure_ascii=False, default=str), flush=True)  # noqa: T201 # the command's answer
    elif isinstance(document, Mapping):
        _print_record(document)
    else:
        _print_records(document, title)


def print_note(text: str, *, as_json: bool) -> None:
    """Print a line for people; programs do not get it."""
    if not as_json:
        _console.print(escape(text), highlight=False)


def print_line(text: str, *, as_json: bool) -> None:
    """Print one of many lines as it is, unwrapped, so that other programs can read them too."""
    if not as_json:
        sys.stdout.write(text + "\n")


def print_problem(
    code: str, message: str, remedy: str, *, as_json: bool, report: Row | None = None
) -> None:
    """Print what went wrong and what to do about it."""
    if as_json:
        error = {"code": code, "detail": message, "remedy": remedy}
        print_document({**(report or {}), "error": error}, as_json=True)
        return
    _errors.print(f"[bold red]{code}[/]: {_text(message)}", highlight=False, soft_wrap=True)
    _errors.print(f"[bold]Do this:[/] {_text(remedy)}", highlight=False, soft_wrap=True)


def print_refusal(error: VendingError, *, as_json: bool) -> None:
    """Print a refusal."""
    report = error.report if isinstance(error, FindingsError) else None
    print_problem(error.code, str(error), error.remedy, as_json=as_json, report=report)


def progress_bar(*, as_json: bool) -> Progress:
    """Return a progress bar on standard error; silent for programs and in pipes."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(
        *columns, console=_errors, transient=True, disable=as_json or not sys.stderr.isatty()
    )


def _print_record(record: Row) -> None:
    for name, value in record.items():
        # Not wrapped: an address or a key is copied as one line.
        _console.print(f"[bold]{_words(name)}[/]: {_text(value)}", highlight=False, soft_wrap=True)


def _print_records(records: Sequence[Row], title: str) -> None:
    if not records:
        _console.print(f"{escape(title or 'result')}: none")
        return
    table = Table(title=title or None, title_justify="left")
    for name in records[0]:
        table.add_column(_words(name), overflow="fold")
    for record in records:
        table.add_row(*(_text(value) for value in record.values()))
    # A table that would cut words and numbers in two is printed one field a line.
    if sum(_longest_word(records, name) + _BORDER for name in records[0]) < _console.width:
        _console.print(table)
        return
    for record in records:
        _print_record(record)
        _console.print()


def _longest_word(records: Sequence[Row], name: str) -> int:
    texts = [_words(name), *(str(record[name]) for record in records)]
    return max((len(word) for text in texts for word in text.split()), default=0)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: object) -> str:
    """Return the value as it is printed: nothing in it is markup or moves the cursor."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    shown = "".join(each if each.isprintable() else "\ufffd" for each in str(value))
    return escape(shown)

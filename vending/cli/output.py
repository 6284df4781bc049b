"""How commands speak: for people with rich, for machines as one JSON document with `--json`."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vending.errors import VendingError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Row = Mapping[str, object]

_console: Final = Console()
_errors: Final = Console(stderr=True)


def print_document(document: Row | Sequence[Row], *, as_json: bool, title: str = "") -> None:
    """Print a record or a list of records."""
    if as_json:
        # Flushed: whoever started a service through a pipe waits for this line.
        print(json.dumps(document, ensure_ascii=False, default=str), flush=True)  # noqa: T201 # the command's answer
        return
    if isinstance(document, Mapping):
        for name, value in document.items():
            _console.print(f"[bold]{name.replace('_', ' ')}[/]: ", _text(value), sep="")
        return
    _print_table(document, title)


def print_note(text: str, *, as_json: bool) -> None:
    """Print a line for people; programs do not get it."""
    if not as_json:
        _console.print(text, highlight=False)


def print_problem(code: str, message: str, remedy: str, *, as_json: bool) -> None:
    """Print what went wrong and what to do about it."""
    if as_json:
        document = {"error": {"code": code, "detail": message, "remedy": remedy}}
        print_document(document, as_json=True)
        return
    _errors.print(f"[bold red]{code}[/]: ", message, sep="", highlight=False, soft_wrap=True)
    _errors.print("[bold]Do this:[/] ", remedy, sep="", highlight=False, soft_wrap=True)


def print_refusal(error: VendingError, *, as_json: bool) -> None:
    """Print a refusal."""
    print_problem(error.code, str(error), error.remedy, as_json=as_json)


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


def _print_table(rows: Iterable[Row], title: str) -> None:
    listed = list(rows)
    if not listed:
        _console.print(f"{title or 'result'}: none")
        return
    table = Table(title=title or None, title_justify="left")
    for name in listed[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in listed:
        table.add_row(*(_text(value) for value in row.values()))
    _console.print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("[", "\\[")

"""The command line as a whole: its groups, and what becomes of an error."""

from collections.abc import Sequence
from typing import Final

import typer
from typer.exceptions import Abort, TyperException

from vending import __version__
from vending.cli import (
    commands,
    doctor,
    importing,
    keys,
    ledger,
    meters,
    partners,
    service,
    sts,
    tariffs,
)
from vending.cli.output import print_problem, print_refusal
from vending.errors import VendingError
from vending.sts import STSError

app: Final = typer.Typer(
    name="vending",
    help="Sell prepaid electricity as STS tokens, exactly once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for register in (service.register, doctor.register):
    register(app)
for name, group in (
    ("keys", keys.app),
    ("sts", sts.app),
    ("ledger", ledger.app),
    ("import", importing.app),
    ("partners", partners.app),
    ("tariffs", tariffs.app),
    ("meters", meters.app),
    ("commands", commands.app),
):
    app.add_typer(group, name=name)


@app.command("version")
def print_version() -> None:
    """Print the version."""
    typer.echo(__version__)


def run(arguments: Sequence[str]) -> int:
    """Run one command; return 0, or 1 after an error was printed that says what to do."""
    as_json = "--json" in arguments
    try:
        code = app(list(arguments), standalone_mode=False)
    except TyperException as error:
        remedy = "run the command with --help to see its arguments"
        print_problem("usage", error.format_message(), remedy, as_json=as_json)
        return 1
    except VendingError as error:
        print_refusal(error, as_json=as_json)
        return 1
    except STSError as error:
        print_problem(error.code, str(error), error.remedy, as_json=as_json)
        return 1
    except (Abort, KeyboardInterrupt):
        return 1
    return 1 if isinstance(code, int) and code else 0

"""The command line as a whole: its groups, and what becomes of an error.

Only the module of the command that was typed is loaded: a look at the version does not wait for
the database library, nor a look at the ledger for the web framework.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Final

import typer
from typer.exceptions import Abort, TyperException

from vending import __version__
from vending.cli.marks import host
from vending.cli.output import JsonOption, print_document, print_problem, print_refusal
from vending.errors import VendingError
from vending.sts.errors import STSError

COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "init": "installation",
        "migrate": "installation",
        "serve": "service",
        "worker": "service",
        "doctor": "doctor",
        "keys": "keys",
        "switches": "custody",
        "ceilings": "custody",
        "sts": "sts",
        "ledger": "ledger",
        "import": "importing",
        "partners": "partners",
        "tariffs": "tariffs",
        "meters": "meters",
        "commands": "commands",
        "outbox": "outbox",
        "tokens": "tokens",
        "sales": "sales",
        "customers": "customers",
        "audit": "audit",
        "campaigns": "campaigns",
        "sign-in": "signing_in",
        "sign-out": "signing_in",
        "whoami": "signing_in",
        "confirm": "signing_in",
        "activate": "signing_in",
        "operators": "people",
        "approvals": "approvals",
        "policies": "policies",
        "backup": "backups",
        "restore": "backups",
    }
)
"""The module of `vending.cli` behind each command or group; its `register` adds them."""

_VERSION: Final = "version"
_JSON_FLAG: Final = "--json"
_USAGE_REMEDY: Final = "Run the command with --help to see its arguments."


def run(arguments: Sequence[str]) -> int:
    """Run one command; return 0, or 1 after an error was printed that says what to do."""
    try:
        return _run(arguments, as_json=_JSON_FLAG in arguments)
    except BrokenPipeError:
        # Who read our output has seen enough; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: Sequence[str], *, as_json: bool) -> int:
    try:
        code = build(arguments)(list(arguments), standalone_mode=False, prog_name="vending")
    except TyperException as error:
        message = error.format_message()
        if message:  # without any argument the help was printed already
            print_problem("usage", message, _USAGE_REMEDY, as_json=as_json)
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


def build(arguments: Sequence[str]) -> typer.Typer:
    """Return the command line, with all commands unless one is named."""
    app = typer.Typer(
        name="vending",
        help="Sell prepaid electricity as STS tokens, exactly once.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    app.command(_VERSION)(print_version)
    named = next((one for one in arguments if not one.startswith("-")), None)
    if named == _VERSION:
        return app
    one_module = COMMANDS.get(named or "")
    for module in [one_module] if one_module else dict.fromkeys(COMMANDS.values()):
        import_module(f"vending.cli.{module}").register(app)
    return app


def _root() -> None:
    """Sell prepaid electricity as STS tokens, exactly once."""


@host("the version is no secret")
def print_version(as_json: JsonOption = False) -> None:
    """Print the version."""
    if as_json:
        print_document({"version": __version__}, as_json=True)
    else:
        typer.echo(__version__)

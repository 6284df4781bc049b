"""Command line `metersim`: simulated meters, and a security module, on ports and terminals."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from typer.exceptions import TyperException

from simulators import display
from simulators.demo_commands import DemoError
from simulators.demo_live import run_demo
from simulators.endpoints.lines import LineError
from simulators.endpoints.module_lines import serving
from simulators.endpoints.register_image import UnknownRegisterError
from simulators.fleet import RunningFleet, running_fleet
from simulators.fleet_file import FleetFileError, load_fleet
from simulators.module_file import ModuleFileError, load_module
from simulators.state_file import StateFileError

REFRESH_S: Final = 0.5

app: Final = typer.Typer(
    name="metersim",
    help="Simulated prepaid meters that take real tokens and speak real protocols.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_SETUP_ERRORS: Final = (
    DemoError,
    FleetFileError,
    LineError,
    ModuleFileError,
    StateFileError,
    UnknownRegisterError,
)


@app.callback()
def describe() -> None:
    """Take part in every call, so that `run` is named even while it is the only command."""


@app.command()
def run(
    fleet_file: Annotated[Path, typer.Argument(help="The fleet, a TOML file.")],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line an event instead of a table.")
    ] = False,
) -> None:
    """Run the meters of a fleet file until interrupted."""
    stop = _stop_on_signals()
    with running_fleet(load_fleet(fleet_file)) as fleet:
        show = _show_events if as_json else _show_table
        show(fleet, stop)
    if as_json:
        _print_line(display.describe_stop())


@app.command()
def module(
    module_file: Annotated[Path, typer.Argument(help="The security module, a TOML file.")],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line an event instead of text.")
    ] = False,
) -> None:
    """Run a simulated security module (STS 600-8-6) until interrupted."""
    stop = _stop_on_signals()
    plan = load_module(module_file)
    with serving(plan.build(), plan.open_port()) as address:
        started = display.describe_module(address, plan.state)
        _print_line(started if as_json else f"The security module answers on {address}.")
        stop.wait()
    if as_json:
        _print_line(display.describe_stop())


@app.command()
def demo(
    *,
    data: Annotated[Path, typer.Option("--data", help="Folder of everything it writes.")] = Path(
        "demo-data"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Of the service.")] = 0,
    once: Annotated[
        bool, typer.Option("--once", help="Do the loop once on two meters, and end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line an event instead of text.")
    ] = False,
) -> None:
    """Run the service, its worker and twenty meters on public keys, in one folder."""
    run_demo(data, port=port, once=once, as_json=as_json)


def _stop_on_signals() -> Event:
    """Return an event that is set when the process is asked to end."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _show_events(fleet: RunningFleet, stop: Event) -> None:
    _print_line(display.describe_start(fleet))
    feed = display.EventFeed()
    is_last = False
    while not is_last:
        is_last = stop.wait(REFRESH_S)
        for drn, event in feed.new_events(fleet):
            _print_line(display.describe_event(drn, event))


def _show_table(fleet: RunningFleet, stop: Event) -> None:
    with Live(display.draw_table(fleet), console=Console(), auto_refresh=False) as live:
        while not stop.wait(REFRESH_S):
            live.update(display.draw_table(fleet), refresh=True)


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def execute(arguments: Sequence[str]) -> int:
    """Run one command; return 0, or 1 after an error was printed that says what to do."""
    as_json = "--json" in arguments
    try:
        code = app(list(arguments), standalone_mode=False)
    except TyperException as error:
        return _fail(f"{error.format_message()} Run it with --help.", as_json=as_json)
    except _SETUP_ERRORS as error:
        return _fail(str(error), as_json=as_json)
    return 1 if isinstance(code, int) and code else 0


def _fail(message: str, *, as_json: bool) -> int:
    if as_json:
        _print_line(display.describe_error(message))
    else:
        sys.stderr.write(f"metersim: {message}\n")
    return 1


def main() -> None:
    """Run the command line and exit."""
    sys.exit(execute(sys.argv[1:]))


if __name__ == "__main__":
    main()

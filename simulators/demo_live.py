"""`metersim demo`: prepares the folder, runs everything, and shows it until Ctrl-C."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final

from rich.console import Console
from rich.panel import Panel

from simulators import display
from simulators.demo import DemoService, load_plan, prepare, require_free, running_service
from simulators.demo_once import Tour, run_once
from simulators.fleet import RunningFleet, running_fleet

REFRESH_S: Final = 0.5
SPEED_ONCE: Final = 1
"""Meters tick in real time while every step is checked, so that credit is what was sold."""


def run_demo(folder: Path, *, port: int, once: bool, as_json: bool) -> None:
    """Run the demonstration in a folder, and nothing outside it.

    Raises:
        DemoError: It cannot go on, or a step of the loop did not hold.
    """
    console = Console(stderr=as_json)
    require_free(port)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = folder.resolve()
    plan = load_plan(folder, speed=SPEED_ONCE if once else None)
    with running_fleet(plan) as fleet:
        console.print(f"{len(fleet.meters)} simulated meters run; preparing {folder} …")
        api_key = prepare(folder, fleet)
        with running_service(folder, api_key, port) as service:
            if once:
                run_once(Tour(folder, fleet, service, console))
                console.print("[bold green]Every step held.[/]")
            else:
                with _stopped_by_signals() as stop:
                    _show(fleet, service, stop, console, as_json=as_json)
    console.print("Stopped.")


def _show(
    fleet: RunningFleet, service: DemoService, stop: Event, console: Console, *, as_json: bool
) -> None:
    first = next(iter(fleet.meters))
    console.print(
        Panel(
            f"API        {service.url}/v1   (OpenAPI: {service.url}/openapi.json)\n"
            f"health     {service.url}/healthz   {service.url}/readyz   {service.url}/metrics\n"
            f"meter      {first} at {fleet.link(first)}",
            title="the service, its worker and the meters run; Ctrl-C stops them",
            expand=False,
        ),
        highlight=False,
    )
    console.print("Sell 50.00 and watch the meter's relay close:\n", highlight=False)
    console.print(service.curl(first), highlight=False, soft_wrap=True, markup=False)
    console.print("\nEvents of the meters:")
    _follow(fleet, stop, console, as_json=as_json)


def _follow(fleet: RunningFleet, stop: Event, console: Console, *, as_json: bool) -> None:
    feed = display.EventFeed()
    list(feed.new_events(fleet))
    while not stop.wait(REFRESH_S):
        for drn, event in feed.new_events(fleet):
            if as_json:
                sys.stdout.write(display.describe_event(drn, event) + "\n")
                sys.stdout.flush()
                continue
            balance_wh = fleet.meter(drn).state.electric.balance_wh
            name = event.kind.name.lower().replace("_", " ")
            console.print(f"  {drn}  {name}  (credit {balance_wh} Wh)", highlight=False)


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """Yield an event that Ctrl-C or a termination sets."""
    stop = Event()

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, ask_to_stop) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

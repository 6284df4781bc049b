"""A running fleet as people and programs see it: a live table, or a JSON line an event."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from rich.table import Table

from simulators.fleet import RunningFleet
from simulators.meter import Alarm, Event, MeterState, RelayPosition, flowing_w
from simulators.security_module import ModuleState

ROW_COUNT_MAX: Final = 40
LINE_COUNT_MAX: Final = 8
"""What fits a screen; of a larger fleet the first are shown."""


def draw_table(fleet: RunningFleet) -> Table:
    """Return the fleet as it is now: the first meters, and where each line is found."""
    table = Table(title=f"{len(fleet.meters)} simulated meters", title_justify="left")
    table.add_column("Meter", no_wrap=True)
    table.add_column("At")
    for heading in ("Credit kWh", "Energy kWh", "Load W"):
        table.add_column(heading, justify="right")
    for heading in ("Relay", "Alarms", "Last event"):
        table.add_column(heading)
    for drn, meter in list(fleet.meters.items())[:ROW_COUNT_MAX]:
        planned = fleet.plans[drn]
        table.add_row(drn, f"{planned.line}/{planned.station}", *_describe(meter.state.electric))
    hidden_count = len(fleet.meters) - ROW_COUNT_MAX
    more = [f"and {hidden_count} meters more"] if hidden_count > 0 else []
    lines = [f"{name}: {address}" for name, address in fleet.addresses.items()][:LINE_COUNT_MAX]
    table.caption = "\n".join([*more, *lines])
    return table


def _describe(electric: MeterState) -> tuple[str, ...]:
    last = electric.events[-1] if electric.events else None
    return (
        _kilowatt_hours(electric.balance_wh),
        _kilowatt_hours(electric.energy_wh),
        str(flowing_w(electric)),
        _describe_relay(electric),
        ", ".join(_words(alarm.name) for alarm in Alarm if alarm in electric.alarms),
        "" if last is None else _words(last.kind.name),
    )


def _kilowatt_hours(wh: int) -> str:
    sign = "-" if wh < 0 else ""
    return f"{sign}{abs(wh) // 1000}.{abs(wh) % 1000:03}"


def _describe_relay(electric: MeterState) -> str:
    actual = electric.actual.name.lower()
    if electric.actual is RelayPosition.OPEN:
        return f"{actual} ({_words(electric.trip_cause.name)})"
    return actual if electric.wanted is electric.actual else f"{actual}, opening"


def _words(name: str | None) -> str:
    return (name or "").replace("_", " ").lower()


def describe_start(fleet: RunningFleet) -> str:
    """Return the JSON line that tells where the meters are."""
    meters = [{"drn": drn, "link": fleet.link(drn)} for drn in fleet.meters]
    return _line({"event": "started", "lines": dict(fleet.addresses), "meters": meters})


def describe_event(drn: str, event: Event) -> str:
    """Return the JSON line of an event of a meter."""
    at = datetime.fromtimestamp(event.at_ms // 1000, UTC).isoformat()
    return _line(
        {
            "event": event.kind.name.lower(),
            "drn": drn,
            "at": at,
            "sequence": event.sequence,
            "detail": event.detail,
        }
    )


def describe_module(address: str, state: ModuleState) -> str:
    """Return the line that tells where a security module answers, and its registers."""
    registers = {
        str(number): str(held.key.attributes.sgc) for number, held in state.registers.items()
    }
    return json.dumps({"event": "started", "module": address, "registers": registers})


def describe_stop() -> str:
    """Return the JSON line that ends a run."""
    return _line({"event": "stopped"})


def describe_error(message: str) -> str:
    """Return the JSON line of what ended or prevented a run."""
    return _line({"event": "error", "detail": message})


def _line(document: dict[str, object]) -> str:
    return json.dumps(document, ensure_ascii=False)


class EventFeed:
    """Gives each event of a fleet once."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def new_events(self, fleet: RunningFleet) -> Iterator[tuple[str, Event]]:
        """Yield what the meters have logged since the last call, with their DRN.

        What fell out of a meter's ring in between is lost, as it is on a meter.
        """
        for drn, meter in fleet.meters.items():
            seen = self._seen.get(drn, 0)
            electric = meter.state.electric
            for event in electric.events:
                if event.sequence > seen:
                    yield drn, event
            self._seen[drn] = electric.event_count

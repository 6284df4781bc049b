"""The command line `meterctl`: ask a meter who it is, read it, switch it, give it a token.

Every command takes `--json`, and ends with 0 when it is done, with 1 when it is not; then the
last line says what to do next. A link is written as `meter_drivers.registry` describes it.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Final, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from meter_drivers.capabilities import CreditStatus, Done, Meter, Refused, RelayReport, Unknown
from meter_drivers.errors import DriverError, LinkSyntaxError
from meter_drivers.profile_commands import profiles_app
from meter_drivers.profiles.loader import list_profiles, load_profile
from meter_drivers.registers import Reading, Unit
from meter_drivers.registry import find_protocol, open_meter

_Answer = TypeVar("_Answer")

_LINK_HELP: Final = "modbus-tcp://host:port/unit or modbus-rtu:///dev/ttyUSB0?unit=1&baud=9600"
_MILLI: Final[Mapping[Unit, str]] = {
    Unit.WH: "kWh",
    Unit.VARH: "kvarh",
    Unit.MW: "W",
    Unit.MVAR: "var",
    Unit.MVA: "VA",
    Unit.MV: "V",
    Unit.MA: "A",
    Unit.MHZ: "Hz",
    Unit.PERMILLE: "",
    Unit.MILLIDEGREE: "°",
}
"""What a thousand of a unit is called; the other units are shown as they are."""

LinkArgument = Annotated[str, typer.Argument(help=_LINK_HELP)]
ProfileOption = Annotated[
    str, typer.Option("--profile", "-p", help="Built-in profile, or the path of a .toml file.")
]
JSONOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", help="Seconds a meter has to begin its answer.")
]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Ask, read and switch a meter, and give it tokens.",
)
app.add_typer(profiles_app, name="profiles")


class RelayAction(StrEnum):
    """What `meterctl relay` does."""

    SHOW = "show"
    OPEN = "open"
    CLOSE = "close"


@app.command()
def probe(
    link: LinkArgument,
    *,
    profile: ProfileOption = "",
    timeout: TimeoutOption = None,
    as_json: JSONOption = False,
) -> None:
    """Ask who answers; without a profile, try each built-in one."""
    tried: dict[str, str] = {}
    for name in [profile] if profile else _list_candidates(link):
        try:
            with open_meter(link, profile=name, timeout_s=timeout) as meter:
                identity = meter.identify()
        except DriverError as error:
            if profile or isinstance(error, LinkSyntaxError):
                _fail(error.code, str(error), as_json=as_json)
            tried[name] = str(error)
            continue
        _show({**asdict(identity), "abilities": list(meter.ability_names)}, as_json=as_json)
        return
    reasons = "\n".join(f"  {name}: {reason}" for name, reason in tried.items())
    next_step = "check unit, speed and wiring, or give a profile of your own with --profile"
    _fail("not_recognised", f"no profile fits:\n{reasons}\n{next_step}", as_json=as_json)


def _list_candidates(link: str) -> list[str]:
    """Return the built-in profiles of the link's protocol, first those whose meters tell it."""
    names = list_profiles(find_protocol(link))
    return sorted(names, key=lambda name: not load_profile(name).part.tells_model)


@app.command()
def read(
    link: LinkArgument,
    *,
    profile: ProfileOption = "reference_prepay",
    timeout: TimeoutOption = None,
    as_json: JSONOption = False,
) -> None:
    """Read every register, and the credit where the meter keeps it."""

    def use(meter: Meter) -> tuple[list[Reading], CreditStatus | None]:
        has_credit = meter.abilities.reads_credit is not None
        return meter.read_registers(), meter.read_credit() if has_credit else None

    readings, credit = _with_meter(link, profile, timeout, use, as_json=as_json)
    if as_json:
        _print_json(
            {
                "readings": [asdict(reading) for reading in readings],
                "credit": None if credit is None else asdict(credit),
            }
        )
        return
    table = Table("register", "value", "unit")
    for reading in readings:
        table.add_row(reading.name, *_format_reading(reading))
    _CONSOLE.print(table)
    if credit is not None:
        _show(_flatten(asdict(credit)), as_json=False)


@app.command()
def relay(
    link: LinkArgument,
    action: Annotated[RelayAction, typer.Argument(help="show, open or close")],
    *,
    profile: ProfileOption = "reference_prepay",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before switching.")] = False,
    timeout: TimeoutOption = None,
    as_json: JSONOption = False,
) -> None:
    """Show the relay, or switch it and read back where it went."""
    effect = {
        RelayAction.OPEN: "This cuts the supply behind the meter",
        RelayAction.CLOSE: "This puts the supply behind the meter on",
    }
    if action is not RelayAction.SHOW and not yes:
        typer.confirm(f"{effect[action]} at {link}. Go on?", abort=True, err=True)

    def use(meter: Meter) -> Done[RelayReport] | Refused | Unknown:
        match action:
            case RelayAction.SHOW:
                return Done(meter.read_relay())
            case RelayAction.OPEN:
                return meter.open_relay()
            case RelayAction.CLOSE:
                return meter.close_relay()

    result = _with_meter(link, profile, timeout, use, as_json=as_json)
    next_step = f"read the relay again: meterctl relay {link} show -p {profile}"
    _conclude(result, next_step=next_step, as_json=as_json)


@app.command()
def token(
    link: LinkArgument,
    digits: Annotated[str, typer.Argument(help="20 digits; spaces and hyphens are ignored.")],
    *,
    profile: ProfileOption = "reference_prepay",
    timeout: TimeoutOption = None,
    as_json: JSONOption = False,
) -> None:
    """Enter a token, and say what the meter made of it."""
    bare = "".join(digits.replace("-", " ").split())
    result = _with_meter(
        link, profile, timeout, lambda meter: meter.enter_token(bare), as_json=as_json
    )
    next_step = "enter the same token again: a meter that took it before answers used_error"
    _conclude(result, next_step=next_step, as_json=as_json)


# --- output -------------------------------------------------------------------------------------
_CONSOLE: Final = Console(highlight=False, soft_wrap=True)
_ERROR_CONSOLE: Final = Console(stderr=True, highlight=False, soft_wrap=True)


def _with_meter(
    link: str,
    profile: str,
    timeout: float | None,
    use: Callable[[Meter], _Answer],
    *,
    as_json: bool,
) -> _Answer:
    try:
        with open_meter(link, profile=profile, timeout_s=timeout) as meter:
            return use(meter)
    except DriverError as error:
        _fail(error.code, str(error), as_json=as_json)


def _conclude(result: Done[object] | Refused | Unknown, *, next_step: str, as_json: bool) -> None:
    match result:
        case Done(value=value):
            _show({"result": "done", **_as_fields(value)}, as_json=as_json)
        case Refused(reason=reason, meaning=meaning):
            _fail(reason, meaning, outcome="refused", as_json=as_json)
        case Unknown(why=why):
            message = f"unknown whether it happened: {why}\n{next_step}"
            _fail("unknown", message, outcome="unknown", as_json=as_json)


def _fail(code: str, message: str, *, as_json: bool, outcome: str = "failed") -> NoReturn:
    if as_json:
        _print_json({"result": outcome, "code": code, "message": message})
    else:
        _ERROR_CONSOLE.print(f"[red]{outcome}[/red] ({code}): ", end="")
        _ERROR_CONSOLE.print(message, markup=False)
    raise typer.Exit(1)


def _show(values: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        _print_json(values)
        return
    table = Table(show_header=False)
    for key, value in values.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        table.add_row(key, "-" if value is None or value in ([], ()) else shown)
    _CONSOLE.print(table)


def _print_json(document: object) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))


def _as_fields(value: object) -> dict[str, object]:
    """Return the fields of a result record; results are dataclasses with slots."""
    names = getattr(type(value), "__dataclass_fields__", {})
    return {name: getattr(value, name) for name in names}


def _flatten(values: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{inner}": each for inner, each in value.items()})
        else:
            flat[key] = value
    return flat


def _format_reading(reading: Reading) -> tuple[str, str]:
    if reading.value is None:
        return f"unavailable: {reading.unavailable_reason}", ""
    if isinstance(reading.value, str) or reading.unit not in _MILLI:
        return str(reading.value), reading.unit
    sign = "-" if reading.value < 0 else ""
    whole, rest = divmod(abs(reading.value), 1000)
    return f"{sign}{whole}.{rest:03d}", _MILLI[reading.unit]


def main() -> None:
    """Run `meterctl`; what goes wrong is in its answer, so the log stays silent."""
    logging.getLogger().addHandler(logging.NullHandler())
    app()


if __name__ == "__main__":
    main()

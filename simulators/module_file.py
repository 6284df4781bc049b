"""The file of a simulated security module, in TOML; every mistake names key and remedy.

format = 1
port = 5030                     # on the loopback; without it, a pseudo-terminal
identification = "bench"        # optional
window_min = 1440               # optional: how far a TID may lie from the clock
faults = { lost_answer = 20 }   # optional: in how many of a thousand exchanges
seed = 1                        # of faults and of the random bits; optional

[[registers]]
number = 3
sgc = "990001"
krn = 1
kt = 2
ken = 255
base_date = 2014
dkga = 4
key = "ababababababababab949494949494949401234567"
units_left = 100000             # optional: the vending counter, in tenths of a kWh
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meter_drivers.errors import ProfileError
from meter_drivers.profiles.toml_table import TOMLTable
from simulators.clock import ScaledClock
from simulators.endpoints.module_lines import TCPPort, TerminalPort
from simulators.faults import FaultPlan, FaultRates, new_rnd_source
from simulators.fleet_file import parse_faults, parse_hex, parse_sts, reason_of
from simulators.security_module import ModuleRegister, ModuleState, SimulatedSecurityModule
from vending.sts import SGC, BaseDate, KeyAttributes, KeyDerivation, KeyType, VendingKey

FORMAT: Final = 1
_NUMBER_MAX: Final = 99_999
_PORT_MAX: Final = 65_535
_COUNT_MAX: Final = 1 << 31


class ModuleFileError(Exception):
    """The file cannot be used; the message names the key and says what to do about it."""


@dataclass(frozen=True, slots=True)
class ModulePlan:
    """What a file asks for."""

    state: ModuleState
    rates: FaultRates
    seed: int
    port: int | None

    def build(self) -> SimulatedSecurityModule:
        """Return the module, with the clock of this machine."""
        return SimulatedSecurityModule(
            self.state,
            clock=ScaledClock(1),
            faults=FaultPlan(self.rates, seed=self.seed),
            draw_rnd=new_rnd_source(self.seed),
        )

    def open_port(self) -> TCPPort | TerminalPort:
        """Return where it answers; raises `LineError`."""
        return TerminalPort() if self.port is None else TCPPort(self.port)


def load_module(path: Path) -> ModulePlan:
    """Return the module in a file.

    Raises:
        ModuleFileError: The file cannot be read, or something in it is wrong.
    """
    try:
        return _parse_root(TOMLTable(str(path), "", tomllib.loads(path.read_text("utf-8"))))
    except tomllib.TOMLDecodeError as error:
        message = f"{path}: {error}; correct the syntax at that line"
        raise ModuleFileError(message) from error
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read ({reason_of(error)}); give a module file in TOML"
        raise ModuleFileError(message) from error
    except ProfileError as error:
        raise ModuleFileError(str(error)) from error


def _parse_root(root: TOMLTable) -> ModulePlan:
    root.integer("format", lowest=FORMAT, highest=FORMAT)
    registers: dict[int, ModuleRegister] = {}
    for table in root.tables("registers"):
        number = table.integer("number", lowest=0, highest=_NUMBER_MAX)
        if number in registers:
            raise table.error(
                key="number", problem=f"{number} stands twice", remedy="give each its own"
            )
        registers[number] = _parse_register(table)
    if not registers:
        raise root.error(key="registers", problem="there is none", remedy="add [[registers]]")
    has_name, has_window = root.has("identification"), root.has("window_min")
    state = ModuleState(
        registers,
        identification=root.text("identification") if has_name else "simulated security module",
        window_min=root.integer("window_min", lowest=0, highest=_COUNT_MAX) if has_window else None,
    )
    plan = ModulePlan(
        state,
        parse_faults(root),
        root.integer("seed", lowest=0, highest=1 << 62, default=0),
        root.integer("port", lowest=0, highest=_PORT_MAX) if root.has("port") else None,
    )
    root.finish()
    return plan


def _parse_register(table: TOMLTable) -> ModuleRegister:
    attributes = KeyAttributes(
        sgc=parse_sts(table, "sgc", table.text("sgc"), SGC),
        kt=parse_sts(table, "kt", table.integer("kt", lowest=1, highest=3), KeyType),
        krn=table.integer("krn", lowest=1, highest=9),
        ken=table.integer("ken", lowest=0, highest=255),
        base_date=parse_sts(
            table, "base_date", table.integer("base_date", lowest=1993, highest=2035), BaseDate
        ),
        dkga=parse_sts(table, "dkga", table.integer("dkga", lowest=2, highest=4), KeyDerivation),
    )
    material = parse_hex(table, "key")
    has_counter = table.has("units_left")
    register = ModuleRegister(
        parse_sts(table, "key", material, lambda given: VendingKey(attributes, given)),
        units_left=table.integer("units_left", lowest=0, highest=_COUNT_MAX)
        if has_counter
        else None,
    )
    table.finish()
    return register

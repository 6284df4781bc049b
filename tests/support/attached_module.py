"""An attached security module on a pseudo-terminal, with the published keys in its registers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from meter_drivers.transports.port import SystemTimer
from meter_drivers.transports.serial import SerialStream
from meter_drivers.transports.tcp import TCPStream
from simulators.clock import StillClock
from simulators.endpoints.module_lines import TCPPort, TerminalPort, serving
from simulators.faults import FaultPlan, FaultRates
from simulators.security_module import (
    ModuleFault,
    ModuleState,
    SimulatedSecurityModule,
    number_registers,
)
from tests.support.vending_keys import ALL_KEYS, DEMO, RETIRED, register_of
from vending.keystore.attached import AttachedSecurityModule, RegisterSetting
from vending.keystore.components import combine
from vending.keystore.module_line import ModuleLine
from vending.sts.keys import VendingKey
from vending.values.clock import FixedClock

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
TIMEOUT_S = 2.0
"""Of one answer; a shared machine may be slow. Tests of silence set a shorter one."""

REGISTERS = dict(enumerate(ALL_KEYS, 3))
SETTINGS = [
    RegisterSetting(
        number=number,
        key=register_of(brought),
        base_year=brought.attributes.base_date.value,
        is_retired=brought is RETIRED,
        is_demo=brought is DEMO,
    )
    for number, brought in REGISTERS.items()
]


def keys() -> list[VendingKey]:
    return [
        VendingKey(brought.attributes, combine(brought)[0].reveal())
        for brought in REGISTERS.values()
    ]


@dataclass
class AttachedBench:
    """Both ends of the line."""

    simulated: SimulatedSecurityModule
    module: AttachedSecurityModule
    address: str
    blurt: Callable[[bytes], None]
    """Puts bytes onto the line that nobody asked for."""

    def plan(self, *faults: ModuleFault) -> None:
        """Decide what goes wrong with the next requests, after the one that settles the line."""
        self.simulated.plan(None, *faults)


def simulated_module(*, seed: int = 1, late_ms: int = 500) -> SimulatedSecurityModule:
    return SimulatedSecurityModule(
        ModuleState(number_registers(keys(), first=3)),
        clock=StillClock(int(NOW.timestamp()) * 1000),
        faults=FaultPlan(FaultRates(late_ms=late_ms), seed=seed),
        draw_rnd=lambda: 5,
    )


def attach(
    address: str,
    *,
    timeout_s: float = TIMEOUT_S,
    demo_allowed: bool = False,
    settings: list[RegisterSetting] | None = None,
) -> AttachedSecurityModule:
    host, _, port = address.partition(":")
    stream = (
        TCPStream(host, int(port), connect_timeout_s=timeout_s)
        if port
        else SerialStream(address, baud=9600, parity="N", stop_bits=1)
    )
    chosen = SETTINGS if settings is None else settings
    line = ModuleLine(
        stream, probe_register=chosen[0].number, timeout_s=timeout_s, timer=SystemTimer()
    )
    return AttachedSecurityModule(line, chosen, demo_allowed=demo_allowed, clock=FixedClock(NOW))


@contextmanager
def attached_bench(
    *,
    timeout_s: float = TIMEOUT_S,
    demo_allowed: bool = False,
    over_tcp: bool = False,
    settings: list[RegisterSetting] | None = None,
) -> Iterator[AttachedBench]:
    simulated = simulated_module(late_ms=int(timeout_s * 1500))
    port = TCPPort() if over_tcp else TerminalPort()
    with serving(simulated, port) as address:
        module = attach(address, timeout_s=timeout_s, demo_allowed=demo_allowed, settings=settings)
        yield AttachedBench(simulated, module, address, port.write)

"""An attached security module on a pseudo-terminal, with the published keys in its registers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from meter_drivers.transports.port import ByteStream, SystemTimer, Timer
from meter_drivers.transports.serial import SerialStream
from meter_drivers.transports.tcp import TCPStream
from simulators.clock import StillClock
from simulators.endpoints.module_lines import TCPPort, TerminalPort, serving
from simulators.faults import FaultPlan, FaultRates
from simulators.security_module import (
    ModuleFault,
    ModuleState,
    number_registers,
)
from tests.support.hushed_line import HeardModule, HushedStream, LineTime
from tests.support.vending_keys import ALL_KEYS, DEMO, RETIRED, register_of
from vending.keystore.attached import AttachedSecurityModule, RegisterSetting
from vending.keystore.components import combine
from vending.keystore.module_line import ModuleLine
from vending.sts.keys import VendingKey
from vending.values.clock import FixedClock

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
TIMEOUT_S = 2.0
"""Of one answer. Silences take none of it, and slow answers are waited for (`hushed_line`)."""
LATE_MS = 1000
"""After which a late answer comes; the driver gave up long before."""

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

    simulated: HeardModule
    module: AttachedSecurityModule
    address: str
    blurt: Callable[[bytes], None]
    """Puts bytes onto the line that nobody asked for."""

    def plan(self, *faults: ModuleFault) -> None:
        """Decide what goes wrong with the next requests, after the one that settles the line."""
        self.simulated.plan(None, *faults)

    def attach_another(self) -> AttachedSecurityModule:
        """Return what another process on the same line has."""
        return attach(self.address, hushed=self.simulated)


def simulated_module(*, seed: int = 1) -> HeardModule:
    return HeardModule(
        ModuleState(number_registers(keys(), first=3)),
        clock=StillClock(int(NOW.timestamp()) * 1000),
        faults=FaultPlan(FaultRates(late_ms=LATE_MS), seed=seed),
        draw_rnd=lambda: 5,
    )


def attach(
    address: str,
    *,
    timeout_s: float = TIMEOUT_S,
    demo_allowed: bool = False,
    settings: list[RegisterSetting] | None = None,
    hushed: HeardModule | None = None,
) -> AttachedSecurityModule:
    host, _, port = address.partition(":")
    stream: ByteStream = (
        TCPStream(host, int(port), connect_timeout_s=timeout_s)
        if port
        else SerialStream(address, baud=9600, parity="N", stop_bits=1)
    )
    chosen = SETTINGS if settings is None else settings
    timer: Timer = SystemTimer()
    if hushed is not None:
        timer = LineTime()
        stream = HushedStream(stream, hushed, timer)
    line = ModuleLine(stream, probe_register=chosen[0].number, timeout_s=timeout_s, timer=timer)
    return AttachedSecurityModule(line, chosen, demo_allowed=demo_allowed, clock=FixedClock(NOW))


@contextmanager
def attached_bench(
    *,
    timeout_s: float | None = None,
    demo_allowed: bool = False,
    over_tcp: bool = False,
    settings: list[RegisterSetting] | None = None,
) -> Iterator[AttachedBench]:
    """Serve a module; with `timeout_s` it is given up after that time of this machine."""
    simulated = simulated_module()
    port = TCPPort() if over_tcp else TerminalPort()
    with serving(simulated, port) as address:
        module = attach(
            address,
            timeout_s=timeout_s or TIMEOUT_S,
            demo_allowed=demo_allowed,
            settings=settings,
            hushed=simulated if timeout_s is None else None,
        )
        yield AttachedBench(simulated, module, address, port.write)

"""A fleet of meters on their lines, run in a thread of its own.

with running_fleet(load_fleet(path)) as fleet:
fleet.link(drn)             # what a driver is given
fleet.meter(drn).state      # what the meter is, for assertions
fleet.faults(line).queue(Fault.LOST_ANSWER)
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from threading import Thread
from typing import Final

from meter_drivers.profiles.dlt645_part import DLT645Part
from meter_drivers.profiles.modbus_part import ModbusPart
from meter_drivers.profiles.model import ProtocolName, narrow_profile
from simulators.clock import MeterClock, ScaledClock
from simulators.endpoints.bus import Bus
from simulators.endpoints.conversation import LineService
from simulators.endpoints.dlt645_service import DLT645Meter, DLT645Place, DLT645Service
from simulators.endpoints.lines import Line, PTYLine, TCPLine
from simulators.endpoints.register_image import RegisterImage, RegisterLayout
from simulators.faults import FaultPlan, new_byte_source
from simulators.fleet_file import FleetPlan, LineKind, LinePlan, MeterPlan
from simulators.meter import resume, start_meter
from simulators.prepaid_meter import PrepaidMeter, with_electric
from simulators.simulated_meter import SimulatedMeter
from simulators.state_file import StateFolder

STOP_TIMEOUT_S: Final = 10
"""How long the lines may take to close; they wait for nobody."""


Runner = Callable[[Coroutine[None, None, None]], None]


@dataclass(frozen=True, slots=True)
class RunningFleet:
    """A fleet whose lines are open."""

    plan: FleetPlan
    plans: Mapping[str, MeterPlan]
    """By DRN: what the file says of each meter."""
    addresses: Mapping[str, str]
    """By line: `host:port` as it is listened on, or the name of the terminal."""
    meters: Mapping[str, SimulatedMeter]
    """By DRN, in the order of the file."""
    buses: Mapping[str, LineService]

    def meter(self, drn: str) -> SimulatedMeter:
        """Return the meter of a DRN."""
        return self.meters[drn]

    def faults(self, line: str) -> FaultPlan:
        """Return what goes wrong on a line, to have more go wrong."""
        return self.buses[line].faults

    def link(self, drn: str) -> str:
        """Return the link by which a driver reaches a meter."""
        meter = self.plans[drn]
        line = next(line for line in self.plan.lines if line.name == meter.line)
        address = self.addresses[line.name]
        kinds, station = _LINK_KINDS[line.protocol], meter.station
        if line.kind is LineKind.TCP:
            return f"{kinds.tcp}://{address}/{station}"
        baud = line.baud or meter.profile.line.baud
        # A pseudo-terminal carries no parity.
        return f"{kinds.serial}://{address}?{kinds.station}={station}&baud={baud}{kinds.rest}"

    def service(self, line: str) -> LineService:
        """Return what hangs on a line."""
        return self.buses[line]


@dataclass(frozen=True, slots=True)
class _LinkKinds:
    tcp: str
    serial: str
    station: str
    rest: str = ""


_LINK_KINDS: Final[Mapping[ProtocolName, _LinkKinds]] = {
    ProtocolName.MODBUS: _LinkKinds("modbus-tcp", "modbus-rtu", "unit"),
    ProtocolName.DLT645: _LinkKinds("dlt645-tcp", "dlt645", "address", "&parity=N"),
}


@contextmanager
def running_fleet(plan: FleetPlan, *, clock: MeterClock | None = None) -> Iterator[RunningFleet]:
    """Run a fleet as long as the block lasts; without a clock it runs at the plan's speed.

    Raises:
        LineError: A line cannot be opened.
        StateFileError: A stored state cannot be read or written.
        UnknownRegisterError: A profile has a register that is not simulated.
    """
    meters = build_meters(plan, clock or ScaledClock(plan.speed))
    buses = _build_buses(plan, meters)
    lines = {line.name: _build_line(line, buses[line.name]) for line in plan.lines}
    with ExitStack() as stack:
        run = stack.enter_context(loop_in_thread())
        for meter in meters.values() if plan.state_folder is not None else ():
            stack.callback(meter.save)
        for line in lines.values():
            stack.callback(_close, run, line)
            run(line.open())
        addresses = {name: line.address for name, line in lines.items()}
        plans = {planned.drn.digits: planned for planned in plan.meters}
        yield RunningFleet(plan, plans, addresses, meters, buses)


def build_meters(plan: FleetPlan, clock: MeterClock) -> dict[str, SimulatedMeter]:
    """Return the meters of a plan by DRN, each as it was stored last.

    Raises:
        StateFileError: A stored state cannot be read, or its folder not be made.
    """
    store = None
    if plan.state_folder is not None:
        store = StateFolder(plan.state_folder)
        store.prepare()
    now_ms = clock.now_ms()
    meters = {}
    for planned in plan.meters:
        new = _build_meter(planned, now_ms)
        meter = new if store is None else _switch_on(store.restore(new), now_ms)
        meters[planned.drn.digits] = SimulatedMeter(
            meter, load=planned.load, clock=clock, store=store
        )
    return meters


def _build_meter(plan: MeterPlan, at_ms: int) -> PrepaidMeter:
    electric = start_meter(
        at_ms=at_ms,
        credit_wh=plan.credit_wh,
        energy_wh=plan.energy_wh,
        rating=plan.rating,
        settings=plan.settings,
    )
    meter = PrepaidMeter(plan.drn, electric, plan.acceptor, plan.site_key)
    return meter if plan.dlt645 is None else replace(meter, purchases=plan.dlt645.purchases)


def _switch_on(meter: PrepaidMeter, at_ms: int) -> PrepaidMeter:
    """Return a stored meter as power comes back, and a new one as it is."""
    if meter.electric.at_ms == at_ms:
        return meter
    return with_electric(meter, resume(meter.electric, at_ms=at_ms))


def _build_buses(plan: FleetPlan, meters: Mapping[str, SimulatedMeter]) -> dict[str, LineService]:
    build: Mapping[ProtocolName, _ServiceBuilder] = {
        ProtocolName.MODBUS: _build_modbus(plan),
        ProtocolName.DLT645: _build_dlt645(plan),
    }
    buses = {}
    for number, line in enumerate(plan.lines):
        there = [planned for planned in plan.meters if planned.line == line.name]
        faults = FaultPlan(line.faults, seed=plan.seed + number)
        buses[line.name] = build[line.protocol](there, meters, faults)
    return buses


_ServiceBuilder = Callable[
    [Sequence[MeterPlan], Mapping[str, SimulatedMeter], FaultPlan], LineService
]


def _build_modbus(plan: FleetPlan) -> _ServiceBuilder:
    # One layout serves all meters of a profile, which is one object however many meters it has.
    profiles = {id(planned.profile): planned.profile for planned in plan.meters}
    layouts = {
        key: RegisterLayout(narrow_profile(profile, ModbusPart))
        for key, profile in profiles.items()
        if profile.protocol is ProtocolName.MODBUS
    }

    def build(
        there: Sequence[MeterPlan], meters: Mapping[str, SimulatedMeter], faults: FaultPlan
    ) -> LineService:
        units = {
            planned.unit: RegisterImage(layouts[id(planned.profile)], meters[planned.drn.digits])
            for planned in there
        }
        return Bus(units, faults)

    return build


def _build_dlt645(plan: FleetPlan) -> _ServiceBuilder:
    make_random = new_byte_source(plan.seed)

    def build(
        there: Sequence[MeterPlan], meters: Mapping[str, SimulatedMeter], faults: FaultPlan
    ) -> LineService:
        return DLT645Service(
            [
                DLT645Meter(meters[planned.drn.digits], _place_of(planned), make_random=make_random)
                for planned in there
            ],
            faults,
        )

    return build


def _place_of(planned: MeterPlan) -> DLT645Place:
    assert planned.dlt645 is not None, "the file was checked"
    profile = narrow_profile(planned.profile, DLT645Part)
    return DLT645Place(planned.dlt645.address, profile, planned.dlt645.credentials)


def _build_line(plan: LinePlan, bus: LineService) -> Line:
    if plan.kind is LineKind.TCP:
        return TCPLine(bus, host=plan.host, port=plan.port)
    return PTYLine(bus, link=plan.link, baud=plan.baud)


def _close(run: Runner, line: Line) -> None:
    run(line.close())


@contextmanager
def loop_in_thread() -> Iterator[Runner]:
    """Run an event loop in a thread, and give a function that has it do something."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="simulated meters", daemon=True)
    thread.start()

    def run(work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(STOP_TIMEOUT_S)

    try:
        yield run
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_TIMEOUT_S)
        loop.close()

"""From a link and a profile to a meter: the table of link kinds, and the lines of this process.

    modbus-tcp://host:port/unit                          port 502 and unit 1 unless said
    modbus-rtu-tcp://host:port/unit?baud=9600            RTU frames through a transparent gateway
    modbus-rtu:///dev/ttyUSB0?unit=1&baud=9600&parity=N  line settings of the profile unless said;
                                                         stop_bits=1|2, echo=1 for an adapter
                                                         that hears itself
    dlt645:///dev/ttyUSB0?address=000000000161&baud=2400 settings as above; the address in up to
                                                         12 digits
    dlt645-tcp://host:port/address?baud=2400             through a transparent gateway

A port or a gateway has one owner in a process: two links to it share one bus, so that their
exchanges cannot mix. Between processes a serial port is locked; a TCP gateway cannot be, so give
each gateway to one process.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from meter_drivers.bus.dlt645 import DLT645Bus
from meter_drivers.bus.line import LineOwner, MeterTiming, Pacing
from meter_drivers.bus.modbus import FRAME_SIZE_MAX, ModbusBus
from meter_drivers.capabilities import Meter
from meter_drivers.drivers import dlt645, modbus
from meter_drivers.drivers.access import NO_ACCESS, MeterAccess
from meter_drivers.drivers.dlt645_line import DLT645Line
from meter_drivers.drivers.modbus_line import MeterLine
from meter_drivers.errors import LineBusyError, LinkSyntaxError, LocalProtocolError
from meter_drivers.profiles.dlt645_part import DLT645Part
from meter_drivers.profiles.loader import load_profile
from meter_drivers.profiles.modbus_part import ModbusPart
from meter_drivers.profiles.model import (
    AnyProfile,
    LineSettings,
    Parity,
    ProtocolName,
    narrow_profile,
)
from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.modbus.credit import SiteKey
from meter_drivers.protocols.modbus.frames import (
    UNIT_MAX,
    UNIT_MIN,
    UNIT_OF_GATEWAY,
    RTUFraming,
    TCPFraming,
)
from meter_drivers.transports.port import ByteStream, SystemTimer, Timer
from meter_drivers.transports.serial import SerialStream
from meter_drivers.transports.tcp import TCPStream

MODBUS_PORT: Final = 502
CONNECT_TIMEOUT_S: Final = 3.0
NETWORK_ALLOWANCE_S: Final = 1.0
"""What a network and a gateway may add to an answer."""
SERIAL_ALLOWANCE_S: Final = 0.05
"""What a USB adapter and its driver may hold back."""
GAP_S_MIN: Final = 0.00175
"""The gap above 19200 baud (Modbus over Serial Line V1.02, 2.5.1.1)."""
BITS_PER_CHARACTER: Final = 11
BAUDS: Final = frozenset({300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200})

_SERIAL_OPTIONS: Final = frozenset({"baud", "parity", "stop_bits", "echo"})


@dataclass(frozen=True, slots=True)
class BusSpec:
    """What a link says about its line; links to one line must agree in all of it."""

    kind: str
    place: str
    port: int
    line: LineSettings | None
    """`None` where no serial line is set from here."""
    strips_echo: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A link, read: the line, and the station on it."""

    bus: BusSpec
    station: str
    """The unit of a Modbus meter, the 12 digits of a DL/T 645 one."""


Adapter = Callable[[BusSpec, ByteStream, Timer], tuple[ByteStream, Timer]]
"""What stands between a bus and its line: it gives the stream and the timer to use instead."""


def _leave_as_is(_spec: BusSpec, stream: ByteStream, timer: Timer) -> tuple[ByteStream, Timer]:
    return stream, timer


LineBus = ModbusBus | DLT645Bus


@dataclass(slots=True)
class _Owned:
    spec: BusSpec
    bus: LineBus
    user_count: int = 0


class BusPool:
    """The lines of one process: one bus for each port and gateway, kept while it lives.

    A bus outlives its sessions, so that its quarantine and its pauses do too; without sessions
    its port or connection is closed. It is bounded by the number of lines. `adapt` may put
    something between each bus and its line, such as a recorder of what passes.
    """

    def __init__(self, *, adapt: Adapter = _leave_as_is) -> None:
        self._adapt = adapt
        self._lock = threading.Lock()
        self._owned: dict[tuple[str, int], _Owned] = {}

    @contextmanager
    def use(self, spec: BusSpec) -> Iterator[LineBus]:
        """Hold the bus of a line for a while.

        Raises:
            LineBusyError: If the line is in use here with other settings.
        """
        with self._lock:
            owned = self._find_or_make(spec)
            owned.user_count += 1
        try:
            yield owned.bus
        finally:
            with self._lock:
                owned.user_count -= 1
                if owned.user_count == 0:
                    owned.bus.line.rest()

    def _find_or_make(self, spec: BusSpec) -> _Owned:
        place = (spec.place, spec.port)
        known = self._owned.get(place)
        if known is not None and known.spec != spec and known.user_count:
            reason = f"it is used with other settings here ({known.bus.link}); wait for its end"
            raise LineBusyError(spec.place, reason)
        if known is None or known.spec != spec:
            known = self._owned[place] = _Owned(
                spec, LINK_KINDS[spec.kind].make_bus(spec, self._adapt)
            )
        return known


_PROCESS_POOL: Final = BusPool()


@contextmanager
def open_meter(
    link: str,
    *,
    profile: str,
    timeout_s: float | None = None,
    site_key: bytes | None = None,
    access: MeterAccess = NO_ACCESS,
    pool: BusPool = _PROCESS_POOL,
) -> Iterator[Meter]:
    """Give a meter for a while; the line opens when it is first used.

    `profile` is the name of a built-in profile or the path of a `.toml` file; `timeout_s` replaces
    the time the profile gives a meter to begin its answer; `site_key` (32 bytes) is for credit
    orders, and stands for the one in `access`, which holds all else that opens meters.

    Raises:
        LinkSyntaxError: If the link cannot be read.
        ProfileError: If there is no such profile, or it is wrong.
        LineBusyError: If the line is in use here with other settings.
    """
    loaded = load_profile(profile)
    parsed = parse_link(link, loaded)
    with pool.use(parsed.bus) as bus:
        if site_key is not None:
            access = replace(access, site_key=SiteKey(site_key))
        place = _Place(link, parsed.station, bus, loaded, _time(loaded, timeout_s), access)
        yield LINK_KINDS[parsed.bus.kind].build(place)


@dataclass(frozen=True, slots=True)
class _Place:
    """All that a meter is built of."""

    link: str
    station: str
    bus: LineBus
    profile: AnyProfile
    timing: MeterTiming
    access: MeterAccess


def _build_modbus(place: _Place) -> Meter:
    assert isinstance(place.bus, ModbusBus), "the table pairs them"
    line = MeterLine(
        bus=place.bus,
        unit=int(place.station),
        profile=narrow_profile(place.profile, ModbusPart),
        timing=place.timing,
        site_key=place.access.site_key,
    )
    return modbus.build_meter(line, link=place.link)


def _build_dlt645(place: _Place) -> Meter:
    assert isinstance(place.bus, DLT645Bus), "the table pairs them"
    line = DLT645Line(
        bus=place.bus,
        address=Address.parse(place.station),
        profile=narrow_profile(place.profile, DLT645Part),
        timing=place.timing,
        access=place.access,
    )
    return dlt645.build_meter(line, link=place.link)


def _time(profile: AnyProfile, timeout_s: float | None) -> MeterTiming:
    timing = profile.timing
    return MeterTiming(
        turnaround_s=timing.turnaround_ms / 1000,
        switch_s=timing.switch_ms / 1000,
        answer_s=timing.answer_ms / 1000 if timeout_s is None else timeout_s,
    )


# --- links --------------------------------------------------------------------------------------
def parse_link(link: str, profile: AnyProfile) -> Link:
    """Return what a link says, completed from the profile.

    Raises:
        LinkSyntaxError: If it cannot be read.
    """
    try:
        parts = urlsplit(link)
        options = {
            key: values[-1]
            for key, values in parse_qs(
                parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)
            ).items()
        }
    except ValueError as error:
        raise LinkSyntaxError(link, str(error)) from error
    if parts.scheme not in LINK_KINDS:
        known = ", ".join(sorted(LINK_KINDS))
        raise LinkSyntaxError(link, f"kind {parts.scheme!r} is not one of {known}")
    kind = LINK_KINDS[parts.scheme]
    if kind.protocol is not profile.protocol:
        problem = f"profile {profile.name} speaks {profile.protocol}"
        raise LinkSyntaxError(link, problem)
    return kind.parse(link, parts, options, profile)


def find_protocol(link: str) -> ProtocolName | None:
    """Return what a link of this kind speaks; `None` if there is no such kind."""
    kind = LINK_KINDS.get(link.partition("://")[0])
    return None if kind is None else kind.protocol


def _parse_tcp(
    link: str, parts: SplitResult, options: Mapping[str, str], profile: AnyProfile
) -> Link:
    del profile
    _refuse_unknown(link, options, frozenset())
    host, port = _parse_place(link, parts)
    unit = _parse_unit(link, parts.path.strip("/") or str(UNIT_MIN), serial=False)
    return Link(BusSpec(parts.scheme, host, port, line=None), str(unit))


def _parse_rtu_tcp(
    link: str, parts: SplitResult, options: Mapping[str, str], profile: AnyProfile
) -> Link:
    _refuse_unknown(link, options, frozenset({"baud"}))
    host, port = _parse_place(link, parts)
    unit = _parse_unit(link, parts.path.strip("/") or str(UNIT_MIN), serial=True)
    line = LineSettings(_parse_baud(link, options, profile.line), Parity.NONE, 1)
    return Link(BusSpec(parts.scheme, host, port, line), str(unit))


def _parse_rtu(
    link: str, parts: SplitResult, options: Mapping[str, str], profile: AnyProfile
) -> Link:
    unit = _parse_unit(link, options.get("unit", str(UNIT_MIN)), serial=True)
    return Link(_parse_serial(link, parts, options, profile, station="unit"), str(unit))


def _parse_dlt645(
    link: str, parts: SplitResult, options: Mapping[str, str], profile: AnyProfile
) -> Link:
    address = _parse_address(link, options.get("address", ""))
    return Link(_parse_serial(link, parts, options, profile, station="address"), address)


def _parse_dlt645_tcp(
    link: str, parts: SplitResult, options: Mapping[str, str], profile: AnyProfile
) -> Link:
    _refuse_unknown(link, options, frozenset({"baud"}))
    host, port = _parse_place(link, parts, default_port=None)
    address = _parse_address(link, parts.path.strip("/"))
    line = LineSettings(_parse_baud(link, options, profile.line), Parity.EVEN, 1)
    return Link(BusSpec(parts.scheme, host, port, line), address)


def _parse_serial(
    link: str,
    parts: SplitResult,
    options: Mapping[str, str],
    profile: AnyProfile,
    *,
    station: str,
) -> BusSpec:
    _refuse_unknown(link, options, _SERIAL_OPTIONS | {station})
    if parts.netloc or len(parts.path) <= 1:
        problem = "the path of the port is missing; three slashes come before it"
        raise LinkSyntaxError(link, problem)
    parity = options.get("parity", profile.line.parity).upper()
    if parity not in list(Parity):
        raise LinkSyntaxError(link, f"parity {parity!r} is not N, E or O")
    stop_bits = _parse_number(link, "stop_bits", options, profile.line.stop_bits)
    if stop_bits not in {1, 2}:
        raise LinkSyntaxError(link, f"stop_bits {stop_bits} is not 1 or 2")
    line = LineSettings(_parse_baud(link, options, profile.line), Parity(parity), stop_bits)
    strips_echo = bool(_parse_number(link, "echo", options, 0))
    return BusSpec(parts.scheme, parts.path, 0, line, strips_echo)


def _parse_place(
    link: str, parts: SplitResult, *, default_port: int | None = MODBUS_PORT
) -> tuple[str, int]:
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise LinkSyntaxError(link, str(error)) from error
    if not host:
        problem = "the host is missing"
        raise LinkSyntaxError(link, problem)
    port = default_port if port is None else port
    if port is None:
        problem = "the port is missing"
        raise LinkSyntaxError(link, problem)
    return host, port


def _parse_address(link: str, text: str) -> str:
    try:
        address = Address.parse(text)
    except LocalProtocolError as error:
        raise LinkSyntaxError(link, str(error)) from error
    if not text or not address.is_single:
        raise LinkSyntaxError(link, f"{text!r} is not the address of one meter")
    return str(address)


def _parse_unit(link: str, text: str, *, serial: bool) -> int:
    is_number = text.isascii() and text.isdigit()
    unit = int(text) if is_number else 0
    if UNIT_MIN <= unit <= UNIT_MAX or (unit == UNIT_OF_GATEWAY and not serial):
        return unit
    raise LinkSyntaxError(link, f"unit {text!r} is not from {UNIT_MIN} to {UNIT_MAX}")


def _parse_baud(link: str, options: Mapping[str, str], line: LineSettings) -> int:
    baud = _parse_number(link, "baud", options, line.baud)
    if baud not in BAUDS:
        raise LinkSyntaxError(link, f"baud {baud} is not one of {sorted(BAUDS)}")
    return baud


def _parse_number(link: str, name: str, options: Mapping[str, str], default: int) -> int:
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise LinkSyntaxError(link, f"{name} {text!r} is no number")
    return int(text)


def _refuse_unknown(link: str, options: Mapping[str, str], known: frozenset[str]) -> None:
    unknown = sorted(options.keys() - known)
    if unknown:
        allowed = ", ".join(sorted(known)) or "none"
        raise LinkSyntaxError(link, f"unknown option {unknown[0]!r}; allowed here: {allowed}")


_LinkParser = Callable[[str, SplitResult, Mapping[str, str], AnyProfile], Link]


# --- buses --------------------------------------------------------------------------------------
def _make_tcp_bus(spec: BusSpec, adapt: Adapter) -> ModbusBus:
    tcp = TCPStream(spec.place, spec.port, connect_timeout_s=CONNECT_TIMEOUT_S)
    stream, timer = adapt(spec, tcp, SystemTimer())
    line = LineOwner(
        stream,
        pacing=Pacing(gap_s=0, answer_s=NETWORK_ALLOWANCE_S),
        timer=timer,
        reopens_after_silence=True,
    )
    return ModbusBus(line, TCPFraming())


def _make_gateway_line(spec: BusSpec, adapt: Adapter) -> LineOwner:
    """Return the line behind a gateway that passes serial frames on."""
    assert spec.line is not None, "a serial line has settings"
    tcp = TCPStream(spec.place, spec.port, connect_timeout_s=CONNECT_TIMEOUT_S)
    stream, timer = adapt(spec, tcp, SystemTimer())
    return LineOwner(
        stream,
        pacing=pace_serial(spec.line.baud, allowance_s=NETWORK_ALLOWANCE_S),
        timer=timer,
        reopens_after_silence=False,
    )


def _make_serial_line(spec: BusSpec, adapt: Adapter) -> LineOwner:
    assert spec.line is not None, "a serial line has settings"
    baud, parity, stop_bits = spec.line.baud, spec.line.parity, spec.line.stop_bits
    port = SerialStream(spec.place, baud=baud, parity=parity, stop_bits=stop_bits)
    stream, timer = adapt(spec, port, SystemTimer())
    return LineOwner(
        stream,
        pacing=pace_serial(baud, allowance_s=SERIAL_ALLOWANCE_S, strips_echo=spec.strips_echo),
        timer=timer,
        reopens_after_silence=False,
    )


def pace_serial(baud: int, *, allowance_s: float, strips_echo: bool = False) -> Pacing:
    """Return the times of a serial line of this speed."""
    character_s = BITS_PER_CHARACTER / baud
    return Pacing(
        gap_s=max(3.5 * character_s, GAP_S_MIN),
        answer_s=FRAME_SIZE_MAX * character_s + allowance_s,
        strips_echo=strips_echo,
    )


# --- the table ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class LinkKind:
    """One kind of link: what it is read by, and what is made of it."""

    protocol: ProtocolName
    parse: _LinkParser
    make_bus: Callable[[BusSpec, Adapter], LineBus]
    build: Callable[[_Place], Meter]


LINK_KINDS: Final[Mapping[str, LinkKind]] = MappingProxyType(
    {
        "modbus-tcp": LinkKind(ProtocolName.MODBUS, _parse_tcp, _make_tcp_bus, _build_modbus),
        "modbus-rtu-tcp": LinkKind(
            ProtocolName.MODBUS,
            _parse_rtu_tcp,
            lambda spec, adapt: ModbusBus(_make_gateway_line(spec, adapt), RTUFraming()),
            _build_modbus,
        ),
        "modbus-rtu": LinkKind(
            ProtocolName.MODBUS,
            _parse_rtu,
            lambda spec, adapt: ModbusBus(_make_serial_line(spec, adapt), RTUFraming()),
            _build_modbus,
        ),
        "dlt645": LinkKind(
            ProtocolName.DLT645,
            _parse_dlt645,
            lambda spec, adapt: DLT645Bus(_make_serial_line(spec, adapt)),
            _build_dlt645,
        ),
        "dlt645-tcp": LinkKind(
            ProtocolName.DLT645,
            _parse_dlt645_tcp,
            lambda spec, adapt: DLT645Bus(_make_gateway_line(spec, adapt)),
            _build_dlt645,
        ),
    }
)

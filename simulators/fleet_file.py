"""The fleet file: lines and the meters on them, in TOML; every mistake names key and remedy.

    format = 1
    speed = 60                      # simulated seconds in a second; optional
    seed = 1                        # of faults and loads; optional
    state_folder = "state"          # optional: meters remember across runs

    [[lines]]
    name = "gateway-1"
    kind = "tcp"
    port = 5020                     # 0 for any free port

    [[lines]]
    name = "cabinet-1"
    kind = "pty"
    link = "run/cabinet-1"          # a name for the terminal
    baud = 9600                     # optional: pace the line to this speed
    faults = { lost_answer = 20 }   # optional: in how many of a thousand exchanges

    [[meters]]
    drn = "01234567897"
    line = "gateway-1"
    unit = 1
    profile = "reference_prepay"    # optional
    decoder_key = "0123456789abcdef"
    sgc = "123456"

    [[lines]]
    name = "cabinet-2"
    protocol = "dlt645"             # optional: modbus; every meter on it has a profile of it
    kind = "tcp"
    port = 5021

    [[meters]]
    drn = "11111111115"
    line = "cabinet-2"
    profile = "generic_dlt645_prepaid"
    address = "000000000161"        # optional: the DRN
    password = "000000"             # optional: of orders to its relay
    customer_number = "000000000007"    # optional: without it no account is open
    purchase_count = 3              # optional: purchases taken so far
    price_minor = 55                # optional: of a kWh; 100 for a wallet in 0.01 kWh

Paths are relative to the file. A meter that takes tokens needs its decoder key; one whose
profile takes none must not have any.
"""

import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from meter_drivers.errors import LocalProtocolError, ProfileError
from meter_drivers.profiles.dlt645_part import DLT645Part
from meter_drivers.profiles.loader import load_profile
from meter_drivers.profiles.model import AnyProfile, Capability, ProtocolName
from meter_drivers.profiles.toml_table import TOMLTable
from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.dlt645.prepaid import encode_customer
from meter_drivers.protocols.dlt645.recharge import NO_CUSTOMER, Wallet
from meter_drivers.protocols.dlt645.requests import Credentials
from meter_drivers.protocols.modbus.credit import SiteKey
from simulators.faults import Fault, FaultRates, FaultRatesError
from simulators.load import LoadCurve, LoadShape
from simulators.meter import MeterRating, Settings
from simulators.prepaid_meter import PurchaseBook
from simulators.token_acceptor import AcceptorState, KeyState, MeterKind
from vending.sts import DRN, SGC, TI, DecoderKey, EncryptionAlgorithm, KeyType, STSError

FORMAT: Final = 1
DEFAULT_PROFILE: Final = "reference_prepay"

UNIT_MAX: Final = 247
SPEED_MAX: Final = 3600
MEAN_W_MAX: Final = 10_000
"""The peak of the curve still fits a register of 16 bits in watts."""
_PORT_MAX: Final = 65_535
_BAUD_RANGE: Final = (300, 115_200)
_DELAY_MS_MAX: Final = 60_000
_PERMILLE: Final = 1000
_ENERGY_WH_MAX: Final = 9_999_999_990
_POWER_W_MAX: Final = 1_000_000
_SWITCH_MS_MAX: Final = 60_000
_COUNT_MAX: Final = 0xFFFFFFFF
_PRICE_MAX: Final = 1_000_000
_PRICE_OF_ENERGY: Final = 100
_PASSWORD: Final = "000000"  # noqa: S105 # of a simulated meter, as shipped


_Given = TypeVar("_Given")
_Parsed = TypeVar("_Parsed")


class FleetFileError(Exception):
    """A fleet file is wrong; the message names file, key and what to do."""


class LineKind(StrEnum):
    """What a line is made of."""

    TCP = "tcp"
    PTY = "pty"


@dataclass(frozen=True, slots=True)
class LinePlan:
    """One line as the file describes it."""

    name: str
    kind: LineKind
    host: str = "127.0.0.1"
    port: int = 0
    """0 is any free port."""
    link: Path = field(default_factory=Path)
    baud: int | None = None
    """`None`: not paced."""
    protocol: ProtocolName = ProtocolName.MODBUS
    faults: FaultRates = field(default_factory=FaultRates)


@dataclass(frozen=True, slots=True)
class DLT645Plan:
    """What a meter on a DL/T 645 line has besides."""

    address: Address
    credentials: Credentials = field(repr=False)
    purchases: PurchaseBook


@dataclass(frozen=True, slots=True)
class MeterPlan:
    """One meter as the file describes it."""

    drn: DRN
    line: str
    unit: int
    """0 where the line has no units."""
    profile: AnyProfile
    acceptor: AcceptorState
    site_key: SiteKey | None
    rating: MeterRating
    settings: Settings
    credit_wh: int
    energy_wh: int
    load: LoadCurve
    dlt645: DLT645Plan | None = None
    """`None` on a line of another protocol."""

    @property
    def station(self) -> str:
        """Return what the meter is called on its line."""
        return str(self.unit) if self.dlt645 is None else str(self.dlt645.address)


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """A fleet as the file describes it."""

    lines: tuple[LinePlan, ...]
    meters: tuple[MeterPlan, ...]
    speed: int = 1
    seed: int = 0
    state_folder: Path | None = None


def load_fleet(path: Path) -> FleetPlan:
    """Return the fleet in a file.

    Raises:
        FleetFileError: The file cannot be read, or something in it is wrong.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read ({reason_of(error)}); give a fleet file in TOML"
        raise FleetFileError(message) from error
    return parse_fleet(text, file=str(path), folder=path.parent)


def reason_of(error: OSError | UnicodeDecodeError) -> str:
    """Return why a file cannot be read."""
    return str(error.strerror) if isinstance(error, OSError) else error.reason


def parse_fleet(text: str, *, file: str, folder: Path) -> FleetPlan:
    """Return the fleet in a TOML text; its paths are relative to the folder.

    Raises:
        FleetFileError: The text is no TOML, or something in it is wrong.
    """
    try:
        return _parse_root(TOMLTable(file, "", tomllib.loads(text)), folder)
    except tomllib.TOMLDecodeError as error:
        message = f"{file}: {error}; correct the syntax at that line"
        raise FleetFileError(message) from error
    except ProfileError as error:
        raise FleetFileError(str(error)) from error


def _parse_root(root: TOMLTable, folder: Path) -> FleetPlan:
    root.integer("format", lowest=FORMAT, highest=FORMAT)
    speed = root.integer("speed", lowest=1, highest=SPEED_MAX, default=1)
    seed = root.integer("seed", lowest=0, highest=1 << 62, default=0)
    has_state = root.has("state_folder")
    fleet = FleetPlan(
        lines=tuple(_parse_line(table, folder) for table in root.tables("lines")),
        meters=tuple(_parse_meter(table, folder, seed=seed) for table in root.tables("meters")),
        speed=speed,
        seed=seed,
        state_folder=folder / root.text("state_folder") if has_state else None,
    )
    root.finish()
    _check_whole(root, fleet)
    return fleet


def _check_whole(root: TOMLTable, fleet: FleetPlan) -> None:
    lines = {line.name: line for line in fleet.lines}
    if not fleet.meters:
        raise root.error(key="meters", problem="there is none", remedy="add [[meters]]")
    _refuse_repeats(root, "lines", (line.name for line in fleet.lines))
    _refuse_repeats(root, "lines", _list_places(fleet.lines))
    _refuse_repeats(root, "meters", (meter.drn.digits for meter in fleet.meters))
    _refuse_repeats(
        root, "meters", (f"unit {meter.station} of {meter.line}" for meter in fleet.meters)
    )
    for meter in fleet.meters:
        if meter.line not in lines:
            problem = f"meter {meter.drn.digits} is on line {meter.line!r}, which is not there"
            raise root.error(key="lines", problem=problem, remedy="add it, or correct its name")
        spoken, profile = lines[meter.line].protocol, meter.profile
        if profile.protocol is not spoken:
            problem = f"meter {meter.drn.digits} speaks {profile.protocol}, its line {spoken}"
            remedy = "give the line that protocol, or the meter another profile"
            raise root.error(key="lines", problem=problem, remedy=remedy)


def _list_places(lines: Iterable[LinePlan]) -> Iterator[str]:
    """Yield where each line is reached; port 0 is any free one, and no two are the same."""
    for line in lines:
        if line.kind is LineKind.PTY:
            yield str(line.link)
        elif line.port:
            yield f"{line.host}:{line.port}"


def _refuse_repeats(root: TOMLTable, key: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise root.error(key, f"{name} stands twice", "give each its own")
        seen.add(name)


def _parse_line(table: TOMLTable, folder: Path) -> LinePlan:
    kind = table.choice("kind", LineKind)
    name = table.text("name")
    faults = parse_faults(table)
    protocol = table.choice("protocol", ProtocolName, ProtocolName.MODBUS)
    if kind is LineKind.TCP:
        line = LinePlan(
            name,
            kind,
            host=table.text("host") if table.has("host") else "127.0.0.1",
            port=table.integer("port", lowest=0, highest=_PORT_MAX),
            faults=faults,
            protocol=protocol,
        )
    else:
        lowest, highest = _BAUD_RANGE
        is_paced = table.has("baud")
        line = LinePlan(
            name,
            kind,
            link=folder / table.text("link"),
            baud=table.integer("baud", lowest=lowest, highest=highest) if is_paced else None,
            faults=faults,
            protocol=protocol,
        )
    table.finish()
    return line


def parse_faults(line: TOMLTable) -> FaultRates:
    """Return the fault rates of a line.

    Raises:
        ProfileError: A rate is malformed, or they add up to more than always.
    """
    table = line.find_table("faults")
    if table is None:
        return FaultRates()
    defaults = FaultRates()
    rates = {
        fault: table.integer(fault, lowest=0, highest=_PERMILLE)
        for fault in Fault
        if table.has(fault)
    }
    delay_ms = table.integer("delay_ms", lowest=0, highest=_DELAY_MS_MAX, default=defaults.delay_ms)
    late_ms = table.integer("late_ms", lowest=0, highest=_DELAY_MS_MAX, default=defaults.late_ms)
    table.finish()
    try:
        return FaultRates(rates, delay_ms=delay_ms, late_ms=late_ms)
    except FaultRatesError as error:
        raise line.error(key="faults", problem=str(error), remedy="lower some") from error


# --- meters -------------------------------------------------------------------------------------
def _parse_meter(table: TOMLTable, folder: Path, *, seed: int) -> MeterPlan:
    drn = parse_sts(table, "drn", table.text("drn"), DRN)
    profile = _load_profile(table, folder)
    takes_tokens = Capability.ACCEPT_TOKEN in profile.capabilities
    takes_credit = Capability.ACCEPT_CREDIT in profile.capabilities
    takes_recharge = Capability.ACCEPT_RECHARGE in profile.capabilities
    has_units = profile.protocol is ProtocolName.MODBUS
    has_limit = table.has("power_limit_w")
    limit_w = table.integer("power_limit_w", lowest=0, highest=_POWER_W_MAX, default=0)
    plan = MeterPlan(
        drn=drn,
        line=table.text("line"),
        unit=table.integer("unit", lowest=1, highest=UNIT_MAX) if has_units else 0,
        profile=profile,
        acceptor=AcceptorState(
            MeterKind(manufacturer=drn.manufacturer),
            _parse_keys(table) if takes_tokens else _STOCK_KEYS,
        ),
        site_key=_parse_site_key(table) if takes_credit and table.has("site_key") else None,
        rating=_parse_rating(table, is_prepaid=takes_tokens or takes_credit or takes_recharge),
        settings=Settings(power_limit_w=limit_w if has_limit else None),
        credit_wh=table.integer("credit_wh", lowest=0, highest=_ENERGY_WH_MAX, default=0),
        energy_wh=table.integer("energy_wh", lowest=0, highest=_ENERGY_WH_MAX, default=0),
        load=LoadCurve(
            shape=table.choice("load", LoadShape, LoadShape.HOUSEHOLD),
            mean_w=table.integer("mean_w", lowest=0, highest=MEAN_W_MAX, default=400),
            seed=seed ^ int(drn.digits),
        ),
        dlt645=_parse_dlt645(table, drn, profile),
    )
    table.finish()
    return plan


def _parse_dlt645(table: TOMLTable, drn: DRN, profile: AnyProfile) -> DLT645Plan | None:
    """Return what a DL/T 645 meter has besides; `None` for one that is none.

    Raises:
        ProfileError: If address, password or customer are none.
    """
    part = profile.part
    if not isinstance(part, DLT645Part):
        return None
    has_account = table.has("customer_number")
    wallet = Wallet(
        count=table.integer("purchase_count", lowest=0, highest=_COUNT_MAX, default=0),
        customer_number=table.text("customer_number") if has_account else NO_CUSTOMER,
        is_open=has_account,
    )
    level = 0 if part.control is None else part.control.level
    try:
        encode_customer(wallet.customer_number)
        address = Address.parse(table.text("address") if table.has("address") else drn.digits)
        password = table.text("password") if table.has("password") else _PASSWORD
        credentials = Credentials.from_digits(level, password)
    except LocalProtocolError as error:
        remedy = "write 12 digits of address and customer, 6 of a password"
        raise table.error(key="address", problem=str(error), remedy=remedy) from error
    price = table.integer("price_minor", lowest=1, highest=_PRICE_MAX, default=_PRICE_OF_ENERGY)
    return DLT645Plan(address, credentials, PurchaseBook(wallet, price))


def _load_profile(table: TOMLTable, folder: Path) -> AnyProfile:
    name = table.text("profile") if table.has("profile") else DEFAULT_PROFILE
    is_path = name.endswith(".toml")
    try:
        return load_profile(str(folder / name) if is_path else name)
    except ProfileError as error:
        raise table.error(key="profile", problem=error.problem, remedy=error.remedy) from error


def _parse_keys(table: TOMLTable) -> KeyState:
    lowest_ea, highest_ea = min(EncryptionAlgorithm), max(EncryptionAlgorithm)
    ea_number = table.integer("ea", lowest=lowest_ea, highest=highest_ea, default=lowest_ea)
    ea = parse_sts(table, "ea", ea_number, EncryptionAlgorithm)
    kt = KeyType(table.integer("kt", lowest=0, highest=3, default=KeyType.DUTK))
    if kt is KeyType.DCTK:
        remedy = "use 0 DITK, 1 DDTK or 2 DUTK: a common key needs a magnetic card"
        raise table.error(key="kt", problem="a keypad holds no DCTK", remedy=remedy)
    material = parse_hex(table, "decoder_key")
    return KeyState(
        decoder_key=parse_sts(table, "decoder_key", material, lambda key: DecoderKey(key, ea)),
        sgc=parse_sts(table, "sgc", table.text("sgc"), SGC),
        kt=kt,
        krn=table.integer("krn", lowest=1, highest=9, default=1),
        ken=table.integer("ken", lowest=0, highest=255, default=255),
        ti=parse_sts(table, "ti", table.text("ti") if table.has("ti") else "01", TI),
    )


_STOCK_KEYS: Final = KeyState(
    DecoderKey(bytes(8), EncryptionAlgorithm.STA),
    SGC("000000"),
    KeyType.DITK,
    krn=1,
    ken=255,
    ti=TI("00"),
)
"""Of a meter without token entry: it takes no credit, and nobody can ask it."""


def _parse_site_key(table: TOMLTable) -> SiteKey:
    try:
        return SiteKey(parse_hex(table, "site_key"))
    except ValueError as error:
        raise table.error(key="site_key", problem=str(error), remedy="give 64 digits") from error


def _parse_rating(table: TOMLTable, *, is_prepaid: bool) -> MeterRating:
    defaults = MeterRating()
    return MeterRating(
        relay_switch_ms=table.integer(
            "relay_switch_ms",
            lowest=0,
            highest=_SWITCH_MS_MAX,
            default=defaults.relay_switch_ms,
        ),
        low_credit_wh=table.integer(
            "low_credit_wh", lowest=0, highest=_ENERGY_WH_MAX, default=defaults.low_credit_wh
        ),
        is_prepaid=is_prepaid,
        contact_welded=table.integer("contact_welded", lowest=0, highest=1, default=0) == 1,
    )


def parse_hex(table: TOMLTable, key: str) -> bytes:
    """Return the bytes of a text in hexadecimal.

    Raises:
        ProfileError: It is none.
    """
    try:
        return bytes.fromhex(table.text(key))
    except ValueError as error:
        # The text may be a key, so the message does not show it.
        raise table.error(key, "it is not hexadecimal", "write pairs of 0-9 and a-f") from error


def parse_sts(
    table: TOMLTable, key: str, given: _Given, parse: Callable[[_Given], _Parsed]
) -> _Parsed:
    """Return what the STS library makes of a value.

    Raises:
        ProfileError: The library refuses it.
    """
    try:
        return parse(given)
    except STSError as error:
        raise table.error(key, str(error), error.remedy) from error

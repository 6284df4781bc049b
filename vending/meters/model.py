"""A meter as the register knows it, and the table of the states of its life."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from vending.meters.errors import MeterInvalidError
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN
from vending.sts.tid import BaseDate
from vending.sts.tokens import Resource
from vending.values.identifiers import CustomerId, MeterId
from vending.values.money import Currency

KRN_MAX: Final = 9
FILTER_PAN_COUNT_MAX: Final = 10_000
"""A longer list is a place, a tariff or a supply group."""
LOCATION_LENGTH_MAX: Final = 200
LATITUDE_UDEG_MAX: Final = 90_000_000
LONGITUDE_UDEG_MAX: Final = 180_000_000
BAUD_RATES: Final = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
UNIT_MAX: Final = 247
"""The highest address of a device on a Modbus line; 248 to 255 are reserved."""
PORT_MAX: Final = 65_535

_TARIFF_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_PROFILE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HOST: Final = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]"
_TCP_LINK: Final = re.compile(rf"modbus-tcp://(?:{_HOST}):([0-9]{{1,5}})/([0-9]{{1,3}})")
_RTU_LINK: Final = re.compile(
    r"modbus-rtu:///dev/(?:[A-Za-z0-9_+:-][A-Za-z0-9_.+:-]*/){0,4}[A-Za-z0-9_+:-][A-Za-z0-9_.+:-]*"
    r"\?unit=([0-9]{1,3})&baud=([0-9]{3,6})"
)


class MeterState(StrEnum):
    """Where a meter is in its life."""

    STOCK = "stock"
    INSTALLED = "installed"
    COMMISSIONED = "commissioned"
    BLOCKED = "blocked"
    FAULTY = "faulty"
    REMOVED = "removed"
    DECOMMISSIONED = "decommissioned"


@dataclass(frozen=True, slots=True)
class Transition:
    """One way from a state to another, and the act that takes it."""

    origin: MeterState
    target: MeterState
    act: str


TRANSITIONS: Final = (
    Transition(MeterState.STOCK, MeterState.INSTALLED, "install"),
    Transition(MeterState.STOCK, MeterState.DECOMMISSIONED, "scrap"),
    Transition(MeterState.INSTALLED, MeterState.COMMISSIONED, "commission"),
    Transition(MeterState.INSTALLED, MeterState.FAULTY, "report fault"),
    Transition(MeterState.INSTALLED, MeterState.REMOVED, "remove"),
    Transition(MeterState.COMMISSIONED, MeterState.BLOCKED, "block"),
    Transition(MeterState.COMMISSIONED, MeterState.FAULTY, "report fault"),
    Transition(MeterState.COMMISSIONED, MeterState.REMOVED, "remove"),
    # A blocked meter is unblocked or removed before it is repaired: no repair lifts a block.
    Transition(MeterState.BLOCKED, MeterState.COMMISSIONED, "unblock"),
    Transition(MeterState.BLOCKED, MeterState.REMOVED, "remove"),
    Transition(MeterState.FAULTY, MeterState.COMMISSIONED, "repair"),
    Transition(MeterState.FAULTY, MeterState.REMOVED, "remove"),
    Transition(MeterState.REMOVED, MeterState.STOCK, "take back"),
    Transition(MeterState.REMOVED, MeterState.DECOMMISSIONED, "scrap"),
)

VENDABLE_STATES: Final = frozenset({MeterState.COMMISSIONED})
"""A sale needs a meter that a household uses; all others would take money for nothing."""


def _list_targets() -> Mapping[MeterState, tuple[MeterState, ...]]:
    return MappingProxyType(
        {state: tuple(t.target for t in TRANSITIONS if t.origin is state) for state in MeterState}
    )


TARGETS: Final = _list_targets()
"""The states that each state may become; none for the last."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a meter hangs: words for people, and a position in millionths of a degree.

    Raises:
        MeterInvalidError: The text is too long, or half a position or one off the globe is given.
    """

    text: str = ""
    latitude_udeg: int | None = None
    longitude_udeg: int | None = None

    def __post_init__(self) -> None:
        if len(self.text) > LOCATION_LENGTH_MAX or not self.text.isprintable():
            raise MeterInvalidError(
                field="location", wanted=f"at most {LOCATION_LENGTH_MAX} printable characters"
            )
        if (self.latitude_udeg is None) != (self.longitude_udeg is None):
            raise MeterInvalidError(field="longitude", wanted="latitude and longitude, or neither")
        if abs(self.latitude_udeg or 0) > LATITUDE_UDEG_MAX:
            raise MeterInvalidError(field="latitude", wanted="-90 to 90 degrees")
        if abs(self.longitude_udeg or 0) > LONGITUDE_UDEG_MAX:
            raise MeterInvalidError(field="longitude", wanted="-180 to 180 degrees")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterKey:
    """What chooses the decoder key that a meter holds now; a key-change set changes it."""

    sgc: SGC
    krn: int
    kt: KeyType
    ti: TI
    base_date: BaseDate


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMeter:
    """A meter to register.

    `profile` names the meter model whose driver reaches it, `link` the way there, as
    `require_link` takes it; None: tokens go in by the keypad.

    Raises:
        MeterInvalidError: A field is outside its limits, or fields contradict each other.
    """

    pan: MeterPAN
    sgc: SGC
    krn: int
    kt: KeyType
    ti: TI
    ea: EncryptionAlgorithm
    dkga: KeyDerivation
    base_date: BaseDate
    tariff_code: str
    currency: Currency
    resource: Resource = Resource.ELECTRICITY
    profile: str | None = None
    link: str | None = None
    location: Location = field(default_factory=Location)
    customer_id: CustomerId | None = None
    state: MeterState = MeterState.STOCK

    def __post_init__(self) -> None:
        if not 1 <= self.krn <= KRN_MAX:
            raise MeterInvalidError(field="krn", wanted=f"1 to {KRN_MAX}")
        if self.ea is EncryptionAlgorithm.MISTY1 and self.dkga is KeyDerivation.DKGA02:
            raise MeterInvalidError(field="dkga", wanted="4, since EA 11 takes its key from it")
        if self.kt is KeyType.DCTK and self.dkga is KeyDerivation.DKGA04:
            raise MeterInvalidError(field="dkga", wanted="2, since a common key needs it")
        require_tariff_code(self.tariff_code)
        if self.profile is not None:
            require_profile(self.profile)
        if self.link is not None:
            require_link(self.link)
            if self.profile is None:
                raise MeterInvalidError(field="profile", wanted="needed, since there is a link")

    @property
    def key(self) -> MeterKey:
        """Return what chooses the meter's present decoder key."""
        return MeterKey(
            sgc=self.sgc, krn=self.krn, kt=self.kt, ti=self.ti, base_date=self.base_date
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter(NewMeter):
    """A registered meter."""

    id: MeterId


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFilter:
    """Which meters: those that fit every field given; None, or an empty field, fits all."""

    sgc: SGC | None = None
    krn: int | None = None
    kt: KeyType | None = None
    ti: TI | None = None
    base_date: BaseDate | None = None
    tariff_code: str | None = None
    location_prefix: str = ""
    """The location begins with these characters, as written."""
    pans: tuple[MeterPAN, ...] = ()
    """An explicit list, at most `FILTER_PAN_COUNT_MAX`."""

    def __post_init__(self) -> None:
        if len(self.pans) > FILTER_PAN_COUNT_MAX:
            raise MeterInvalidError(
                field="meters", wanted=f"a list of at most {FILTER_PAN_COUNT_MAX}"
            )


@dataclass(frozen=True, slots=True)
class MeterHolding:
    """What a meter holds, in a form that a million of them can be read in."""

    id: MeterId
    pan: str
    sgc: str
    krn: int
    kt: int
    ti: str
    base_date: int
    ea: int

    def fingerprint(self) -> bytes:
        """Return a line that changes when the meter's key does."""
        told = (self.pan, self.sgc, self.krn, self.kt, self.ti, self.base_date, self.ea)
        return ("/".join(map(str, told)) + "\n").encode()


@dataclass(frozen=True, slots=True)
class MeterPage:
    """Some meters in the order of their registration; `next_after` is None on the last page."""

    meters: tuple[Meter, ...]
    next_after: MeterId | None


@dataclass(frozen=True, slots=True)
class MeterRow:
    """A meter as a row of a file gives it: its customer by account number, None: none."""

    meter: NewMeter
    account_number: str | None


def require_tariff_code(text: str) -> str:
    """Return the text, the code of a tariff.

    Raises:
        MeterInvalidError: It is none.
    """
    if not _TARIFF_CODE.fullmatch(text):
        raise MeterInvalidError(
            field="tariff_code", wanted="1 to 32 letters, digits, dots, dashes, underscores"
        )
    return text


def require_profile(text: str) -> str:
    """Return the text, the name of a meter model's profile.

    Raises:
        MeterInvalidError: It is none.
    """
    if not _PROFILE.fullmatch(text):
        raise MeterInvalidError(
            field="profile", wanted="small letters, digits, dashes, underscores; at most 64"
        )
    return text


def require_link(text: str) -> str:
    """Return the text, a way to a meter.

    `modbus-tcp://host:port/unit` or `modbus-rtu:///dev/path?unit=1&baud=9600`.

    Raises:
        MeterInvalidError: It has another form, or a number in it is out of range.
    """
    if match := _TCP_LINK.fullmatch(text):
        port, unit = int(match[1]), int(match[2])
        if 1 <= port <= PORT_MAX and 1 <= unit <= UNIT_MAX:
            return text
    elif match := _RTU_LINK.fullmatch(text):
        unit, baud = int(match[1]), int(match[2])
        if 1 <= unit <= UNIT_MAX and baud in BAUD_RATES:
            return text
    raise MeterInvalidError(
        field="link",
        wanted=(
            "modbus-tcp://host:port/unit or modbus-rtu:///dev/path?unit=1&baud=9600, "
            f"with a unit of 1 to {UNIT_MAX}"
        ),
    )


def draw_state_diagram() -> str:
    """Return the states and their transitions as a Mermaid diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {MeterState.STOCK}"]
    lines += [f"    {t.origin} --> {t.target}: {t.act}" for t in TRANSITIONS]
    lines += [f"    {state} --> [*]" for state in MeterState if not TARGETS[state]]
    return "\n".join(lines) + "\n"

"""Every token of IEC 62055-41: one frozen record a kind, and one table that lays them out.

A record holds values in the units people use; the table says in which of the 44 data bits each
value stands and how it is coded. Encoding, decoding, explaining and testing walk the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Self

from vending.sts.coding import (
    CURRENCY,
    FLAG,
    KEN_NIBBLE,
    KEY_PART,
    KEY_TYPE,
    KRN,
    NOTHING,
    SGC_HIGH,
    TARIFF_INDEX,
    TOKEN_IDENTIFIER,
    UNITS,
    WATTS,
    Field,
    bits,
    encode_value,
    member_of,
    number,
)
from vending.sts.errors import FieldRangeError
from vending.sts.keys import TI, KeyType
from vending.sts.results import TokenResult
from vending.sts.tid import TokenIdentifier


class TokenClass(IntEnum):
    """The two class bits; 3 is reserved."""

    CREDIT = 0
    TEST = 1
    """The same for every meter, and not encrypted."""
    MANAGEMENT = 2


class Resource(IntEnum):
    """What a credit token buys; the number is its subclass, plus 4 when sold in currency."""

    ELECTRICITY = 0
    WATER = 1
    GAS = 2
    TIME = 3

    @classmethod
    def _missing_(cls, value: object) -> Self:
        raise FieldRangeError(field="resource", given=str(value), allowed="0 to 3")


class CreditRegister(IntEnum):
    """Which credit register a ClearCredit token empties."""

    ELECTRICITY = 0
    WATER = 1
    GAS = 2
    TIME = 3
    ELECTRICITY_CURRENCY = 4
    WATER_CURRENCY = 5
    GAS_CURRENCY = 6
    TIME_CURRENCY = 7
    ALL = 0xFFFF


class _Record:
    """Base of the records: none holds a value that its field cannot carry."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for place in layout_of(self).fields:
            if place.name is not None:
                encode_value(place, getattr(self, place.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCredit(_Record):
    """Credit of `units` of 0.1 kWh (0.1 m3 of water or gas, 0.1 minute of time)."""

    resource: Resource
    rnd: int
    tid: TokenIdentifier
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCurrency(_Record):
    """Credit of `amount` of 0.00001 of the currency; below zero it takes credit away."""

    resource: Resource
    tid: TokenIdentifier
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InitiateMeterTest(_Record):
    """Tests and displays that any meter of a maker runs; all ones in `control` asks for all.

    36 bits of control with a 2-digit manufacturer code, 28 with one of 4 digits.
    """

    control: int
    manufacturer: int = 0
    manufacturer_digits: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMaximumPowerLimit(_Record):
    """MPL: the load at which the meter disconnects, in watts."""

    rnd: int
    tid: TokenIdentifier
    limit_w: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearCredit(_Record):
    """Empties a credit register, or all of them."""

    rnd: int
    tid: TokenIdentifier
    register: CreditRegister


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTariffRate(_Record):
    """A rate of 16 bits, coded as agreed with the meter's maker."""

    rnd: int
    tid: TokenIdentifier
    rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Set1stSectionDecoderKey(_Record):
    """First section of a key change: attributes of the new key, and its first 4 bytes (NKHO)."""

    ken_high: int
    krn: int
    rollover: bool
    kt: KeyType
    nkho: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Set2ndSectionDecoderKey(_Record):
    """Second section of a key change: the new tariff index, and the key's last 4 bytes (NKLO)."""

    ken_low: int
    ti: TI
    nklo: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearTamperCondition(_Record):
    """Ends a tamper disconnection."""

    rnd: int
    tid: TokenIdentifier


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMaximumPhasePowerUnbalanceLimit(_Record):
    """MPPUL: the difference between phases at which the meter disconnects, in watts."""

    rnd: int
    tid: TokenIdentifier
    limit_w: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWaterMeterFactor(_Record):
    """WMF: a factor of 16 bits, coded as agreed with the meter's maker."""

    rnd: int
    tid: TokenIdentifier
    wmf: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Set3rdSectionDecoderKey(_Record):
    """Third section of a key change: low 12 bits of the SGC, and key bytes 4 to 7 (NKMO2)."""

    sgc_low: int
    nkmo2: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Set4thSectionDecoderKey(_Record):
    """Fourth section of a key change: high 12 bits of the SGC, and key bytes 8 to 11 (NKMO1)."""

    sgc_high: int
    nkmo1: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedToken(_Record):
    """Extended token set (STS 202-5): at index 63 a flag, at index 0 a control value."""

    rnd: int
    tid: TokenIdentifier
    index: int
    value: int


CreditToken = TransferCredit | TransferCurrency
ManagementToken = (
    SetMaximumPowerLimit
    | ClearCredit
    | SetTariffRate
    | ClearTamperCondition
    | SetMaximumPhasePowerUnbalanceLimit
    | SetWaterMeterFactor
    | ExtendedToken
)
"""The class 2 tokens that carry a TID."""

SectionToken = (
    Set1stSectionDecoderKey
    | Set2ndSectionDecoderKey
    | Set3rdSectionDecoderKey
    | Set4thSectionDecoderKey
)
Token = CreditToken | InitiateMeterTest | ManagementToken | SectionToken


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the values of one kind of token stand in the 44 data bits.

    `variant` is the attribute that the subclass itself tells, with its value, such as the
    resource; `None`: the record has one subclass only.
    """

    token_class: TokenClass
    subclass: int
    record: Callable[..., Token]
    fields: tuple[Field, ...]
    variant: tuple[str, int] | None = None

    @property
    def carries_tid(self) -> bool:
        """Say whether the token has a TID; class 1 and key-change tokens have none."""
        return any(place.name == "tid" for place in self.fields)

    def make(self, values: Mapping[str, object]) -> "Token":
        """Return the record of these values and of what the subclass tells."""
        if self.variant is None:
            return self.record(**values)
        attribute, told = self.variant
        return self.record(**values, **{attribute: told})


RND_WIDTH: Final = 4
TID_WIDTH: Final = 24
VALUE_WIDTH: Final = 16
DATA_WIDTH: Final = RND_WIDTH + TID_WIDTH + VALUE_WIDTH

_RND: Final = Field("rnd", RND_WIDTH, bits(RND_WIDTH), "random number (RND)")
_TID: Final = Field("tid", TID_WIDTH, TOKEN_IDENTIFIER, "token identifier (TID)")
_UNITS: Final = (_RND, _TID, Field("units", 16, UNITS, "amount"))
_AMOUNT: Final = (
    Field("amount", 4, CURRENCY, "amount in currency", low=16),
    _TID,
    Field("amount", 16, CURRENCY, "amount in currency"),
)
# A manufacturer code is as many decimal digits as it has in the DRN (ours): the rest of its
# binary range is a RangeError.
_TEST_2_DIGITS: Final = (
    Field("control", 36, bits(36), "control"),
    Field("manufacturer", 8, number(range(100)), "manufacturer code"),
)
_TEST_4_DIGITS: Final = (
    Field("control", 28, bits(28), "control"),
    Field("manufacturer", 16, number(range(10_000)), "manufacturer code"),
)
_POWER_LIMIT: Final = Field("limit_w", 16, WATTS, "maximum power limit (MPL)")
_UNBALANCE_LIMIT: Final = Field("limit_w", 16, WATTS, "maximum unbalance limit (MPPUL)")
_REGISTER: Final = Field("register", 16, member_of(CreditRegister), "register")
# A section of a set of three is read as a function that this package does not know (ours).
_1ST_SECTION: Final = (
    Field("ken_high", 4, KEN_NIBBLE, "key expiry number, high half (KENHO)"),
    Field("krn", 4, KRN, "key revision number (KRN)"),
    Field("rollover", 1, FLAG, "base date changes (RO)"),
    Field(None, 1, NOTHING, "set of three (3KCT)", fault=TokenResult.FUNCTION_ERROR),
    Field("kt", 2, KEY_TYPE, "key type (KT)"),
    Field("nkho", 32, KEY_PART, "new key, bytes 1 to 4 (NKHO)"),
)
_2ND_SECTION: Final = (
    Field("ken_low", 4, KEN_NIBBLE, "key expiry number, low half (KENLO)"),
    Field("ti", 8, TARIFF_INDEX, "tariff index (TI)"),
    Field("nklo", 32, KEY_PART, "new key, last 4 bytes (NKLO)"),
)
_3RD_SECTION: Final = (
    Field("sgc_low", 12, bits(12), "supply group code, low half (SGCLO)"),
    Field("nkmo2", 32, KEY_PART, "new key, bytes 5 to 8 (NKMO2)"),
)
_4TH_SECTION: Final = (
    Field("sgc_high", 12, SGC_HIGH, "supply group code, high half (SGCHO)"),
    Field("nkmo1", 32, KEY_PART, "new key, bytes 9 to 12 (NKMO1)"),
)
_EXTENDED: Final = (
    _RND,
    _TID,
    Field("index", 6, bits(6), "index"),
    Field("value", 10, bits(10), "value"),
)

_CREDIT, _TEST, _MANAGEMENT = TokenClass
_LAYOUTS: Final = (
    *(Layout(_CREDIT, r, TransferCredit, _UNITS, ("resource", r)) for r in Resource),
    *(Layout(_CREDIT, 4 + r, TransferCurrency, _AMOUNT, ("resource", r)) for r in Resource),
    Layout(_TEST, 0, InitiateMeterTest, _TEST_2_DIGITS, ("manufacturer_digits", 2)),
    Layout(_TEST, 1, InitiateMeterTest, _TEST_4_DIGITS, ("manufacturer_digits", 4)),
    Layout(_MANAGEMENT, 0, SetMaximumPowerLimit, (_RND, _TID, _POWER_LIMIT)),
    Layout(_MANAGEMENT, 1, ClearCredit, (_RND, _TID, _REGISTER)),
    Layout(_MANAGEMENT, 2, SetTariffRate, (_RND, _TID, Field("rate", 16, bits(16), "rate"))),
    Layout(_MANAGEMENT, 3, Set1stSectionDecoderKey, _1ST_SECTION),
    Layout(_MANAGEMENT, 4, Set2ndSectionDecoderKey, _2ND_SECTION),
    Layout(_MANAGEMENT, 5, ClearTamperCondition, (_RND, _TID, Field(None, 16, NOTHING, "pad"))),
    Layout(_MANAGEMENT, 6, SetMaximumPhasePowerUnbalanceLimit, (_RND, _TID, _UNBALANCE_LIMIT)),
    Layout(_MANAGEMENT, 7, SetWaterMeterFactor, (_RND, _TID, Field("wmf", 16, bits(16), "factor"))),
    Layout(_MANAGEMENT, 8, Set3rdSectionDecoderKey, _3RD_SECTION),
    Layout(_MANAGEMENT, 9, Set4thSectionDecoderKey, _4TH_SECTION),
    Layout(_MANAGEMENT, 10, ExtendedToken, _EXTENDED),
)

TOKEN_LAYOUTS: Final[Mapping[tuple[int, int], Layout]] = {
    (layout.token_class, layout.subclass): layout for layout in _LAYOUTS
}
"""By class and subclass. Numbers that are not here are reserved."""

_VARIANT_ATTRIBUTES: Final[Mapping[object, str]] = {
    layout.record: layout.variant[0] for layout in _LAYOUTS if layout.variant is not None
}
_LAYOUTS_BY_RECORD: Final[Mapping[tuple[object, int | None], Layout]] = {
    (layout.record, layout.variant and layout.variant[1]): layout for layout in _LAYOUTS
}


def layout_of(token: _Record) -> Layout:
    """Return the row of the table that lays this token out.

    Raises:
        FieldRangeError: It is a variant that has no row, such as a 3-digit manufacturer code.
    """
    record = type(token)
    attribute = _VARIANT_ATTRIBUTES.get(record)
    variant = None if attribute is None else getattr(token, attribute)
    layout = _LAYOUTS_BY_RECORD.get((record, variant))
    if layout is None:
        allowed = ", ".join(f"{known:d}" for of, known in _LAYOUTS_BY_RECORD if of is record)
        raise FieldRangeError(field=str(attribute), given=str(variant), allowed=allowed)
    return layout


def as_received(token: Token) -> Token:
    """Return the token as the meter reads it: amounts rounded to what their code stands for."""
    layout = layout_of(token)
    return layout.make(
        {
            place.name: place.coding.decode(encode_value(place, getattr(token, place.name)))
            for place in layout.fields
            if place.name is not None
        }
    )

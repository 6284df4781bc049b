"""The data identifiers (数据标识, DI) that have a meaning here, and how each is coded.

DL/T 645-2007, annex A, and the prepaid supplement. A DI is a number of four bytes, written high
byte first here and sent low byte first. `n` in a row stands for the tariff (00 total, 01 to 3F),
`p` for the settlement (00 now, 01 to 0C past ones), `f` for the phase (00 all, 01 to 03), `k` for
a place in a list (01 to 0F), `r` for a record (00, or 01 newest to 0A); FF in their place asks
for all of them at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

IDENTIFIER_SIZE_BYTES: Final = 4
IDENTIFIER_MAX: Final = 0xFFFFFFFF
ALL_OF_THEM: Final = 0xFF

_RANGES: Final[Mapping[str, range]] = MappingProxyType(
    {
        "nn": range(0x40),
        "pp": range(0x0D),
        "ff": range(0x04),
        "kk": range(0x01, 0x10),
        "rr": range(0x0B),
    }
)


class DataUnit(StrEnum):
    """What a value counts; always whole ones."""

    WH = "Wh"
    VARH = "varh"
    MW = "mW"
    MVAR = "mvar"
    MVA = "mVA"
    MV = "mV"
    MA = "mA"
    MHZ = "mHz"
    PERMILLE = "permille"
    MILLIDEGREE = "mdeg"
    DECIDEGREE_CELSIUS = "0.1 degC"
    MINOR = "minor"
    """0.01 of the currency the meter counts in."""
    PRICE = "0.0001/kWh"
    """0.0001 of that currency for a kWh."""
    MINUTE = "min"
    MILLISECOND = "ms"
    COUNT = "count"
    NONE = ""


class Form(StrEnum):
    """How a value is written."""

    NUMBER = "number"
    DIGITS = "digits"
    """An address or number of which every digit counts: text."""
    ASCII = "ascii"
    BITS = "bits"
    """A status word: a binary number."""
    STATUS_WORD_3 = "status word 3"
    DATE = "YYMMDDWW"
    TIME = "hhmmss"
    DATE_AND_TIME = "YYMMDDWWhhmmss"
    MINUTE = "YYMMDDhhmm"
    DEMAND = "demand"
    """XX.XXXX kW and the minute it occurred."""


@dataclass(frozen=True, slots=True)
class DataItem:
    """A row of the table; `scale` is how many of `unit` one count is."""

    pattern: str
    name: str
    size_bytes: int
    form: Form = Form.NUMBER
    unit: DataUnit = DataUnit.NONE
    scale: int = 1
    signed: bool = False
    """The top bit is the sign."""

    def covers(self, identifier: int) -> bool:
        """Return whether the identifier is one of this row, or asks for a block of it."""
        written = f"{identifier:08X}"
        return all(
            self.pattern[place : place + 2] == written[place : place + 2]
            or _is_in_range(self.pattern[place : place + 2], int(written[place : place + 2], 16))
            for place in range(0, 8, 2)
        )

    def is_block(self, identifier: int) -> bool:
        """Return whether the identifier, one of this row, asks for several values at once."""
        octets = identifier.to_bytes(IDENTIFIER_SIZE_BYTES, "big")
        return any(
            octet == ALL_OF_THEM and self.pattern[2 * place : 2 * place + 2] in _RANGES
            for place, octet in enumerate(octets)
        )


def _is_in_range(pair: str, octet: int) -> bool:
    return pair in _RANGES and (octet == ALL_OF_THEM or octet in _RANGES[pair])


def _energy(pattern: str, name: str, unit: DataUnit, *, signed: bool = False) -> DataItem:
    return DataItem(pattern, name, 4, unit=unit, scale=10, signed=signed)


def _money(pattern: str, name: str) -> DataItem:
    return DataItem(pattern, name, 4, unit=DataUnit.MINOR)


def _price(pattern: str, name: str) -> DataItem:
    return DataItem(pattern, name, 4, unit=DataUnit.PRICE)


def _power(pattern: str, name: str, unit: DataUnit) -> DataItem:
    return DataItem(pattern, name, 3, unit=unit, scale=100, signed=True)


DATA_ITEMS: Final[tuple[DataItem, ...]] = (
    DataItem("00900100", "credit.energy", 4, unit=DataUnit.WH, scale=10),
    DataItem("00900101", "credit.energy_overdraft", 4, unit=DataUnit.WH, scale=10),
    _money("00900200", "credit.money"),
    _money("00900201", "credit.money_overdraft"),
    _energy("0000nnpp", "energy.combined", DataUnit.WH, signed=True),
    _energy("0001nnpp", "energy.import", DataUnit.WH),
    _energy("0002nnpp", "energy.export", DataUnit.WH),
    _energy("0003nnpp", "energy.reactive.combined_1", DataUnit.VARH, signed=True),
    _energy("0004nnpp", "energy.reactive.combined_2", DataUnit.VARH, signed=True),
    _energy("0005nnpp", "energy.reactive.quadrant_1", DataUnit.VARH),
    _energy("0006nnpp", "energy.reactive.quadrant_2", DataUnit.VARH),
    _energy("0007nnpp", "energy.reactive.quadrant_3", DataUnit.VARH),
    _energy("0008nnpp", "energy.reactive.quadrant_4", DataUnit.VARH),
    DataItem("0101nnpp", "demand.import", 8, Form.DEMAND, DataUnit.MW, 100),
    DataItem("0102nnpp", "demand.export", 8, Form.DEMAND, DataUnit.MW, 100),
    DataItem("0201ff00", "voltage", 2, unit=DataUnit.MV, scale=100),
    DataItem("0202ff00", "current", 3, unit=DataUnit.MA, signed=True),
    _power("0203ff00", "power.active", DataUnit.MW),
    _power("0204ff00", "power.reactive", DataUnit.MVAR),
    _power("0205ff00", "power.apparent", DataUnit.MVA),
    DataItem("0206ff00", "power_factor", 2, unit=DataUnit.PERMILLE, signed=True),
    DataItem("0207ff00", "phase_angle", 2, unit=DataUnit.MILLIDEGREE, scale=100),
    DataItem("02800001", "current.neutral", 3, unit=DataUnit.MA, signed=True),
    DataItem("02800002", "frequency", 2, unit=DataUnit.MHZ, scale=10),
    _power("02800003", "power.active.minute", DataUnit.MW),
    DataItem("02800007", "temperature", 2, unit=DataUnit.DECIDEGREE_CELSIUS, signed=True),
    DataItem("02800008", "voltage.battery", 2, unit=DataUnit.MV, scale=10),
    _price("0280000B", "price.ladder.now"),
    DataItem("033301rr", "purchase.at", 5, Form.MINUTE),
    DataItem("033302rr", "purchase.count", 2, unit=DataUnit.COUNT),
    _money("033303rr", "purchase.amount"),
    _money("033304rr", "purchase.balance_before"),
    _money("033305rr", "purchase.balance_after"),
    _money("033306rr", "purchase.cumulative"),
    DataItem("04000101", "clock.date", 4, Form.DATE),
    DataItem("04000102", "clock.time", 3, Form.TIME),
    DataItem("04000103", "demand.period", 1, unit=DataUnit.MINUTE),
    DataItem("04000104", "demand.slide", 1, unit=DataUnit.MINUTE),
    DataItem("04000105", "pulse_width", 2, unit=DataUnit.MILLISECOND),
    DataItem("0400010C", "clock", 7, Form.DATE_AND_TIME),
    DataItem("04000401", "address", 6, Form.DIGITS),
    DataItem("04000402", "meter_number", 6, Form.DIGITS),
    DataItem("04000403", "asset_number", 32, Form.ASCII),
    DataItem("0400040E", "customer_number", 6, Form.DIGITS),
    DataItem("04000501", "status_word_1", 2, Form.BITS),
    DataItem("04000502", "status_word_2", 2, Form.BITS),
    DataItem("04000503", "status_word_3", 2, Form.STATUS_WORD_3),
    DataItem("04000504", "status_word_4", 2, Form.BITS),
    DataItem("04000505", "status_word_5", 2, Form.BITS),
    DataItem("04000506", "status_word_6", 2, Form.BITS),
    DataItem("04000507", "status_word_7", 2, Form.BITS),
    _money("04001001", "limit.alarm_1"),
    _money("04001002", "limit.alarm_2"),
    _money("04001003", "limit.overdraft"),
    _money("04001004", "limit.hoarding"),
    _money("04001005", "limit.close_allowed"),
    _price("040501kk", "price.tariff"),
    _price("040502kk", "price.tariff.standby"),
    DataItem("040600kk", "ladder.threshold", 4, unit=DataUnit.WH, scale=10),
    _price("040601kk", "ladder.price"),
)


def find_item(identifier: int) -> DataItem | None:
    """Return the row of an identifier, `None` if it has none."""
    return next((item for item in DATA_ITEMS if item.covers(identifier)), None)


def identifier_of(name: str, **places: int) -> int:
    """Return the identifier of a named row, its variable bytes by their letter, e.g. `n=1`.

    Those not given are 0 for the total, the present, and all phases.

    Raises:
        KeyError: If no row has this name.
    """
    for item in DATA_ITEMS:
        if item.name == name:
            written = item.pattern
            for pair in _RANGES:
                written = written.replace(pair, f"{places.get(pair[0], 0):02X}")
            return int(written, 16)
    raise KeyError(name)

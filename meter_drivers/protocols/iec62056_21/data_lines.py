"""Data sets in readouts and answers: code, value, unit (IEC 62056-21, clause 6.5).

    1-0:1.8.0*255(000123.45*kWh)     a data set; several may stand in one line
    (000123.45*kWh)                  one that belongs to what was asked for
    (ER01)                           an error in place of data

The code is an OBIS code in full or short (IEC 62056-61), or the maker's own text. Values become
whole numbers by `measure`; no number passes through a float.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError

READOUT_END: Final = "!"
ERROR_PREFIX: Final = "ER"
_DATA_SET: Final = re.compile(r"([^()\r\n]*)\(([^()*\r\n]*)(?:\*([^()\r\n]*))?\)")
_NUMBER: Final = re.compile(r"(?P<sign>[+-]?)(?P<whole>[0-9]+)(?:\.(?P<part>[0-9]*))?")
_FORBIDDEN: Final = frozenset("()\r\n")

UNITS: Final[Mapping[str, tuple[str, int]]] = MappingProxyType(
    {
        "Wh": ("Wh", 0),
        "kWh": ("Wh", 3),
        "MWh": ("Wh", 6),
        "varh": ("varh", 0),
        "kvarh": ("varh", 3),
        "W": ("mW", 3),
        "kW": ("mW", 6),
        "var": ("mvar", 3),
        "kvar": ("mvar", 6),
        "VA": ("mVA", 3),
        "kVA": ("mVA", 6),
        "V": ("mV", 3),
        "A": ("mA", 3),
        "Hz": ("mHz", 3),
    }
)
"""Unit as written, the unit it is counted in, and by how many tens the one is the other."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """One code, its value as written, and its unit."""

    code: str
    """Empty where the value belongs to the code before, or to what was asked for."""
    value: str
    unit: str | None = None
    """`None` where no unit is written."""

    def to_text(self) -> str:
        """Return it as written.

        Raises:
            LocalProtocolError: If a part has brackets or a line end, or the value an asterisk.
        """
        unit = "" if self.unit is None else f"*{self.unit}"
        if _FORBIDDEN & set(self.code + self.value + unit) or "*" in self.value:
            message = f"{self} cannot be written as a data set"
            raise LocalProtocolError(message)
        return f"{self.code}({self.value}{unit})"


def parse_line(line: str) -> tuple[DataSet, ...]:
    """Return the data sets of one line.

    Raises:
        RemoteProtocolError: If there is anything else in it.
    """
    found: list[DataSet] = []
    place = 0
    while place < len(line):
        match = _DATA_SET.match(line, place)
        if match is None:
            reason = f"{line!r} is no line of data sets"
            raise RemoteProtocolError(reason)
        found.append(DataSet(match[1], match[2], match[3]))
        place = match.end()
    return tuple(found)


def parse_data(data: str) -> tuple[DataSet, ...]:
    """Return the data sets of a readout or an answer; a readout's end mark is none.

    Raises:
        RemoteProtocolError: If a line has anything else in it, or lines follow the end mark.
    """
    lines = [line for line in data.split("\r\n") if line]
    if READOUT_END in lines[:-1]:
        reason = "lines follow the end of a readout"
        raise RemoteProtocolError(reason)
    return tuple(data_set for line in lines if line != READOUT_END for data_set in parse_line(line))


def write_readout(lines: Iterable[Iterable[DataSet]]) -> str:
    """Return the data of a readout, a line each, with its end mark."""
    written = ["".join(data_set.to_text() for data_set in line) for line in lines]
    return "".join(f"{line}\r\n" for line in [*written, READOUT_END])


def find_error(data_sets: tuple[DataSet, ...]) -> str | None:
    """Return the error that stands in place of data, `None` if it is data."""
    if len(data_sets) == 1 and not data_sets[0].code:
        value = data_sets[0].value
        return value if value.startswith(ERROR_PREFIX) else None
    return None


@dataclass(frozen=True, slots=True)
class Measure:
    """A whole count of a unit."""

    count: int
    unit: str


def measure(data_set: DataSet) -> Measure:
    """Return a value as a whole count: energy in Wh and varh, all else in thousandths.

    Raises:
        RemoteProtocolError: If it is no number, has no unit that is known, or is finer than what
            its unit is counted in.
    """
    unit, tens = UNITS.get(data_set.unit or "", ("", 0))
    match = _NUMBER.fullmatch(data_set.value)
    if not unit or match is None:
        reason = f"{data_set.value!r} {data_set.unit or 'without unit'} is no measured value"
        raise RemoteProtocolError(reason)
    part = match["part"] or ""
    kept, finer = part[:tens], part[tens:]
    if finer.strip("0"):
        reason = f"{data_set.value} {data_set.unit} is finer than one {unit}"
        raise RemoteProtocolError(reason)
    count = int(match["whole"] + kept.ljust(tens, "0"))
    return Measure(-count if match["sign"] == "-" else count, unit)

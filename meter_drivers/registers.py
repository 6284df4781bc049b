"""One register of a meter: where it stands, how it is coded, what it measured.

Every number leaves here as a whole count of its unit: Wh, mW, mV, mA, mHz, permille. A meter
that sends IEEE 754 floats is read through exact rational arithmetic, and rounded half away from
zero to that unit. What a meter marks as *not available*, and every NaN and infinity, becomes a
`Reading` without value that says why; 0 is a measurement.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final, Self

WORD_MAX: Final = 0xFFFF
_F32_EXPONENT_NOT_FINITE: Final = 0xFF
_F32_EXPONENT_BIAS: Final = 127
_F32_FRACTION_BITS: Final = 23


class Unit(StrEnum):
    """The units readings are given in; each a whole count."""

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
    SECOND = "s"
    COUNT = "count"
    TEXT = "text"
    EXPONENT = "exponent"
    """A power of ten by which other registers are scaled; no reading of its own."""


class Encoding(StrEnum):
    """How a value stands in 16-bit registers."""

    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    U64 = "u64"
    S64 = "s64"
    F32 = "f32"
    """IEEE 754 binary32."""
    TEXT = "text"
    """ASCII, two characters a register, padded with NUL."""


class WordOrder(StrEnum):
    """Which register of a number that spans several comes first."""

    BIG = "big"
    LITTLE = "little"


class RegisterTable(StrEnum):
    """Which of the two tables of registers; each has its own read function."""

    HOLDING = "holding"
    INPUT = "input"


class WriteRule(StrEnum):
    """Which function code writes a register; a register without one is never written."""

    FC06 = "fc06"
    FC16 = "fc16"


WORD_COUNTS: Final[Mapping[Encoding, int]] = MappingProxyType(
    {
        Encoding.U16: 1,
        Encoding.S16: 1,
        Encoding.U32: 2,
        Encoding.S32: 2,
        Encoding.U64: 4,
        Encoding.S64: 4,
        Encoding.F32: 2,
    }
)
"""Registers each encoding takes; text tells its own count."""

SIGNED: Final = frozenset({Encoding.S16, Encoding.S32, Encoding.S64})
UNSIGNED: Final = frozenset({Encoding.U16, Encoding.U32, Encoding.U64})


class Marker(StrEnum):
    """Raw values with which meters say *not available*, whatever the width of the number."""

    ALL_ONES = "all_ones"
    """0xFFFF, 0xFFFFFFFF ...: of unsigned numbers."""
    HIGHEST = "highest"
    """0x7FFF, 0x7FFFFFFF ...: the highest signed number."""
    LOWEST = "lowest"
    """0x8000, 0x80000000 ...: the lowest signed number."""
    ZERO = "zero"
    """0: of counters that a model may leave out. Where 0 is also a count, never declare it."""


def find_marked(marker: Marker, width_bits: int) -> int:
    """Return the raw value that a marker is in a number of this width."""
    return {
        Marker.ALL_ONES: (1 << width_bits) - 1,
        Marker.HIGHEST: (1 << (width_bits - 1)) - 1,
        Marker.LOWEST: 1 << (width_bits - 1),
        Marker.ZERO: 0,
    }[marker]


@dataclass(frozen=True, slots=True)
class RegisterSpec:
    """One register (or a run of them that holds one value).

    `scale` is how many of `unit` one raw count is; `address` is the zero-based one that goes
    over the line. `invalid` are raw values with which the meter says *not available*.
    """

    name: str
    address: int
    encoding: Encoding
    unit: Unit
    scale: int = 1
    count: int = 1
    """How many 16-bit registers."""
    table: RegisterTable = RegisterTable.HOLDING
    word_order: WordOrder = WordOrder.BIG
    invalid: frozenset[int] = frozenset()
    write: WriteRule | None = None
    scale_from: str | None = None
    """The register with the power of ten that scales this one besides; `None`: none does."""

    @property
    def end(self) -> int:
        """Return the address after the last register."""
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class Reading:
    """What one register held: a value, or the reason why there is none."""

    name: str
    unit: Unit
    value: int | str | None
    """`None`: not available, and `unavailable_reason` says why."""
    unavailable_reason: str | None = None

    @classmethod
    def unavailable(cls, spec: RegisterSpec, reason: str) -> Self:
        """Return a reading without value."""
        return cls(spec.name, spec.unit, None, reason)


def decode_reading(spec: RegisterSpec, words: Sequence[int], *, exponent: int = 0) -> Reading:
    """Return the reading in the registers of `spec`.

    `exponent` is what its `scale_from` register holds; digits below the unit are rounded, half
    away from zero.
    """
    assert len(words) == spec.count, f"{spec.name}: {len(words)} registers, not {spec.count}"
    if spec.encoding is Encoding.TEXT:
        return _decode_text(spec, words)
    bits = _join(words, spec.word_order)
    if spec.encoding is Encoding.F32:
        return _decode_f32(spec, bits)
    if bits in spec.invalid:
        return Reading.unavailable(spec, f"the meter marks it as not available (0x{bits:X})")
    width_bits = 16 * spec.count
    if spec.encoding in SIGNED and bits >> (width_bits - 1):
        bits -= 1 << width_bits
    return Reading(spec.name, spec.unit, _shift(bits * spec.scale, exponent))


def encode_value(spec: RegisterSpec, value: int | str, *, exponent: int = 0) -> tuple[int, ...]:
    """Return the registers that hold a value, as a meter sends or takes them.

    Digits below the resolution of the register are cut off, as a meter's counter does.

    Raises:
        ValueError: If the value does not fit the register.
        TypeError: If it is text for a number, or the reverse.
    """
    if spec.encoding is Encoding.TEXT:
        if not isinstance(value, str):
            message = f"{spec.name} holds text"
            raise TypeError(message)
        return encode_text(value, spec.count)
    if not isinstance(value, int):
        message = f"{spec.name} holds a number"
        raise TypeError(message)
    if spec.encoding is Encoding.F32:
        (bits,) = struct.unpack(">I", struct.pack(">f", Fraction(value, spec.scale)))
        return _split(bits, spec.count, spec.word_order)
    factor: int = 10 ** abs(exponent)
    magnitude = (
        abs(value) // (spec.scale * factor) if exponent >= 0 else abs(value) * factor // spec.scale
    )
    raw = magnitude if value >= 0 else -magnitude
    width_bits = 16 * spec.count
    lowest = -(1 << (width_bits - 1)) if spec.encoding in SIGNED else 0
    if not lowest <= raw < lowest + (1 << width_bits):
        message = f"{spec.name}: {value} {spec.unit} does not fit {spec.encoding}"
        raise ValueError(message)
    return _split(raw % (1 << width_bits), spec.count, spec.word_order)


def encode_text(text: str, count: int) -> tuple[int, ...]:
    """Return ASCII text in `count` registers, padded with NUL.

    Raises:
        ValueError: If it is not ASCII or too long.
    """
    raw = text.encode("ascii")
    if len(raw) > 2 * count:
        message = f"{text!r} is longer than {2 * count} characters"
        raise ValueError(message)
    return struct.unpack(f">{count}H", raw.ljust(2 * count, b"\0"))


def decode_text(words: Sequence[int]) -> str:
    """Return the ASCII text of some registers, without its padding.

    Raises:
        ValueError: If it is not printable ASCII.
    """
    text = struct.pack(f">{len(words)}H", *words).rstrip(b"\0 ").decode("ascii")
    if not text.isprintable():
        message = f"{text!r} is not printable"
        raise ValueError(message)
    return text


def _decode_text(spec: RegisterSpec, words: Sequence[int]) -> Reading:
    try:
        text = decode_text(words)
    except ValueError:
        return Reading.unavailable(spec, "the registers hold no printable ASCII")
    if not text:
        return Reading.unavailable(spec, "the meter left it empty")
    return Reading(spec.name, spec.unit, text)


def _decode_f32(spec: RegisterSpec, bits: int) -> Reading:
    exponent = bits >> _F32_FRACTION_BITS & 0xFF
    fraction = bits & ((1 << _F32_FRACTION_BITS) - 1)
    if exponent == _F32_EXPONENT_NOT_FINITE:
        return Reading.unavailable(spec, "the meter sent NaN" if fraction else "out of range")
    if bits in spec.invalid:
        return Reading.unavailable(spec, f"the meter marks it as not available (0x{bits:X})")
    if exponent:
        fraction |= 1 << _F32_FRACTION_BITS
    power = max(exponent, 1) - _F32_EXPONENT_BIAS - _F32_FRACTION_BITS
    magnitude = _round_half_up(fraction * spec.scale, power)
    return Reading(spec.name, spec.unit, -magnitude if bits >> 31 else magnitude)


def _shift(number: int, exponent: int) -> int:
    """Return number * 10**exponent, rounded half away from zero."""
    factor: int = 10 ** abs(exponent)
    if exponent >= 0:
        return number * factor
    magnitude = (2 * abs(number) + factor) // (2 * factor)
    return magnitude if number >= 0 else -magnitude


def _round_half_up(number: int, power: int) -> int:
    """Return number * 2**power, rounded half up; `number` is not negative."""
    if power >= 0:
        return number << power
    return (number + (1 << (-power - 1))) >> -power


def _join(words: Sequence[int], order: WordOrder) -> int:
    bits = 0
    for word in words if order is WordOrder.BIG else reversed(words):
        bits = bits << 16 | word
    return bits


def _split(bits: int, count: int, order: WordOrder) -> tuple[int, ...]:
    words = tuple(bits >> (16 * (count - 1 - index)) & WORD_MAX for index in range(count))
    return words if order is WordOrder.BIG else words[::-1]

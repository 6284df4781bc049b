"""A block: registers that belong together and travel in one frame, so that they agree.

A layout lists the fields with addresses counted from the start of the block; a profile says
where the block begins. The blocks of the open prepay profile (version 1) build on this:
`identity`, `status`, `credit`, `token_entry`. They are ours; no standard rules them. Frames
follow the Modbus Application Protocol V1.1b3, which bounds a block to 123 written and 125 read
registers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.registers import (
    WORD_COUNTS,
    Encoding,
    RegisterSpec,
    Unit,
    decode_reading,
    encode_value,
)

Layout = tuple[RegisterSpec, ...]

READ_REGISTERS_MAX: Final = 125
WRITE_REGISTERS_MAX: Final = 123
"""What one frame carries (Modbus Application Protocol V1.1b3, 6.3, 6.4 and 6.12)."""


def lay_out(*fields: tuple[str, Encoding] | tuple[str, Encoding, int]) -> Layout:
    """Return fields one after the other; text fields bring their count of registers."""
    layout: list[RegisterSpec] = []
    address = 0
    for name, encoding, *given in fields:
        count = given[0] if given else WORD_COUNTS[encoding]
        unit = Unit.TEXT if encoding is Encoding.TEXT else Unit.COUNT
        layout.append(RegisterSpec(name, address, encoding, unit, count=count))
        address += count
    return tuple(layout)


def size(layout: Layout) -> int:
    """Return how many registers a layout takes."""
    return layout[-1].end


def place(layout: Layout, address: int) -> Layout:
    """Return the layout with the addresses it has when the block begins at `address`."""
    return tuple(replace(spec, address=address + spec.address) for spec in layout)


def pack(layout: Layout, values: Mapping[str, int | str]) -> tuple[int, ...]:
    """Return the registers of a block; every field must be given, and no other."""
    assert values.keys() == {spec.name for spec in layout}, "exactly the fields of the layout"
    return tuple(word for spec in layout for word in encode_value(spec, values[spec.name]))


def unpack_number(layout: Layout, words: Sequence[int], name: str) -> int:
    """Return the number in a field.

    Raises:
        RemoteProtocolError: If the meter marks the field as not available.
    """
    value = _unpack(layout, words, name)
    if not isinstance(value, int):
        reason = f"field {name} holds no number"
        raise RemoteProtocolError(reason)
    return value


def unpack_text(layout: Layout, words: Sequence[int], name: str) -> str:
    """Return the text in a field, empty if the meter left it empty.

    Raises:
        RemoteProtocolError: If the field is one of numbers.
    """
    value = _unpack(layout, words, name)
    if isinstance(value, int):
        reason = f"field {name} holds no text"
        raise RemoteProtocolError(reason)
    return value or ""


def _unpack(layout: Layout, words: Sequence[int], name: str) -> int | str | None:
    assert len(words) == size(layout), f"{len(words)} registers, not {size(layout)}"
    (spec,) = (spec for spec in layout if spec.name == name)
    return decode_reading(spec, words[spec.address : spec.end]).value

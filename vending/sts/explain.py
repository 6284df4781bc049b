"""A token told field by field, as a person reads it (IEC 62055-41, token definitions).

Key material in key-change sections is named and never shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import (
    InitiateMeterTest,
    Layout,
    Resource,
    Token,
    TransferCredit,
    layout_of,
)


class MeterTest(IntFlag):
    """The control bits of InitiateMeterTest, as makers' leaflets print them."""

    LOAD_SWITCH = 1 << 0
    DISPLAY = 1 << 1
    CUMULATIVE_KWH = 1 << 2
    KRN = 1 << 3
    TI = 1 << 4
    TOKEN_READER = 1 << 5
    POWER_LIMIT = 1 << 6
    TAMPER_STATUS = 1 << 7
    POWER_NOW = 1 << 8
    SOFTWARE_VERSION = 1 << 9
    PHASE_UNBALANCE_LIMIT = 1 << 10


UNIT_NAMES: Final = {
    Resource.ELECTRICITY: "kWh",
    Resource.WATER: "m3",
    Resource.GAS: "m3",
    Resource.TIME: "minutes",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One field of a token: what it is, and its value."""

    label: str
    value: str


def explain(token: Token, *, base_date: BaseDate | None = None) -> tuple[Line, ...]:
    """Return the fields of a token in the order they stand in it.

    With the base date of the meter's key, the TID is told as a time too.
    """
    layout = layout_of(token)
    return (
        Line("token", type(token).__name__),
        Line("class", f"{layout.token_class:d} {layout.token_class.name}"),
        Line("subclass", _tell_subclass(layout)),
        *_tell_fields(token, layout),
        *_tell_more(token, layout, base_date),
    )


def _tell_subclass(layout: Layout) -> str:
    if layout.variant is None:
        return str(layout.subclass)
    attribute, told = layout.variant
    name = told.name if isinstance(told, Resource) else told
    return f"{layout.subclass} ({attribute.replace('_', ' ')} {name})"


def _tell_fields(token: Token, layout: Layout) -> Iterator[Line]:
    """Tell each value once, though the bits of a currency amount stand in two places."""
    told = set()
    for field in layout.fields:
        if field.name is not None and field.name not in told:
            told.add(field.name)
            yield Line(field.label, field.coding.show(getattr(token, field.name)))


def _tell_more(token: Token, layout: Layout, base_date: BaseDate | None) -> Iterator[Line]:
    """Tell what a value means, where its number alone does not."""
    if isinstance(token, TransferCredit):
        yield Line("unit", UNIT_NAMES[token.resource])
    if isinstance(token, InitiateMeterTest):
        yield Line("tests", _tell_tests(token.control, width=layout.fields[0].width))
    tid = getattr(token, "tid", None)
    if isinstance(tid, TokenIdentifier) and base_date is not None:
        yield Line("issued", tid.instant(base_date).strftime("%Y-%m-%d %H:%M UTC"))


def _tell_tests(control: int, *, width: int) -> str:
    if control == (1 << width) - 1:
        return "all"
    named = [str(test.name) for test in MeterTest if control & test]
    if control >> len(MeterTest):
        named.append("others of the maker's")
    return ", ".join(named) or "none"

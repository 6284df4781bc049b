"""Status word 3 (运行状态字3, DI 04000503): relay, supply, prepayment, accounts.

DL/T 645-2007, annex C, with the bits of the State Grid prepaid meters. Two bytes, low byte first.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

STATUS_WORD_3: Final = 0x04000503
STATUS_SIZE_BYTES: Final = 2

_SECOND_SLOTS: Final = 1 << 0
_SUPPLY_SHIFT: Final = 1
_PROGRAMMING: Final = 1 << 3
_RELAY_OPEN: Final = 1 << 4
_SECOND_ZONES: Final = 1 << 5
_OPEN_ORDERED: Final = 1 << 6
_PRE_TRIP_ALARM: Final = 1 << 7
_KIND_SHIFT: Final = 8
_SECOND_TARIFFS: Final = 1 << 10
_SECOND_LADDERS: Final = 1 << 11
_KEEP_POWER: Final = 1 << 12
_SESSION: Final = 1 << 13
_LOCAL_ACCOUNT: Final = 1 << 14
_REMOTE_ACCOUNT: Final = 1 << 15


class Supply(IntEnum):
    """What the meter runs from."""

    MAIN = 0
    AUXILIARY = 1
    BATTERY = 2
    UNKNOWN = 3
    """A code the standard has no meaning for."""


class MeterKind(IntEnum):
    """Whether and what the meter counts down."""

    NOT_PREPAID = 0
    ENERGY_PREPAID = 1
    MONEY_PREPAID = 2
    UNKNOWN = 3
    """A code the standard has no meaning for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusWord3:
    """Status word 3, bit by bit.

    `relay_is_open` and `open_is_ordered` differ while a delayed trip, or a close that waits for
    the customer's button, is pending.
    """

    runs_second_slots: bool = False
    supply: Supply = Supply.MAIN
    programming_is_allowed: bool = False
    relay_is_open: bool = False
    runs_second_zones: bool = False
    open_is_ordered: bool = False
    warns_of_trip: bool = False
    kind: MeterKind = MeterKind.NOT_PREPAID
    runs_second_tariffs: bool = False
    runs_second_ladders: bool = False
    power_is_kept: bool = False
    session_is_valid: bool = False
    local_account_is_open: bool = False
    remote_account_is_open: bool = False

    @classmethod
    def from_word(cls, word: int) -> Self:
        """Return what 16 bits say."""
        return cls(
            runs_second_slots=bool(word & _SECOND_SLOTS),
            supply=Supply(word >> _SUPPLY_SHIFT & 0b11),
            programming_is_allowed=bool(word & _PROGRAMMING),
            relay_is_open=bool(word & _RELAY_OPEN),
            runs_second_zones=bool(word & _SECOND_ZONES),
            open_is_ordered=bool(word & _OPEN_ORDERED),
            warns_of_trip=bool(word & _PRE_TRIP_ALARM),
            kind=MeterKind(word >> _KIND_SHIFT & 0b11),
            runs_second_tariffs=bool(word & _SECOND_TARIFFS),
            runs_second_ladders=bool(word & _SECOND_LADDERS),
            power_is_kept=bool(word & _KEEP_POWER),
            session_is_valid=bool(word & _SESSION),
            local_account_is_open=bool(word & _LOCAL_ACCOUNT),
            remote_account_is_open=bool(word & _REMOTE_ACCOUNT),
        )

    def to_word(self) -> int:
        """Return the 16 bits."""
        bits = (
            (self.runs_second_slots, _SECOND_SLOTS),
            (self.programming_is_allowed, _PROGRAMMING),
            (self.relay_is_open, _RELAY_OPEN),
            (self.runs_second_zones, _SECOND_ZONES),
            (self.open_is_ordered, _OPEN_ORDERED),
            (self.warns_of_trip, _PRE_TRIP_ALARM),
            (self.runs_second_tariffs, _SECOND_TARIFFS),
            (self.runs_second_ladders, _SECOND_LADDERS),
            (self.power_is_kept, _KEEP_POWER),
            (self.session_is_valid, _SESSION),
            (self.local_account_is_open, _LOCAL_ACCOUNT),
            (self.remote_account_is_open, _REMOTE_ACCOUNT),
        )
        word = self.supply << _SUPPLY_SHIFT | self.kind << _KIND_SHIFT
        return word | sum(bit for is_set, bit in bits if is_set)

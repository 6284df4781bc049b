"""The status block of the open prepay profile: credit, relay and alarms of one moment.

Ours, over Modbus function 0x03 (Modbus Application Protocol V1.1b3, 6.3). Read in one frame, its
fields agree: `last_seq` and `balance` belong to the same moment, which is what lets a caller
tell an applied credit order from one that was lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.modbus.blocks import Layout, lay_out, pack, unpack_number
from meter_drivers.registers import Encoding

WH_PER_CREDIT_UNIT: Final = 10
"""Balance, cumulative credit and amounts count in 0.01 kWh."""

STATUS_LAYOUT: Final[Layout] = lay_out(
    ("status.last_seq", Encoding.U32),
    ("status.last_result", Encoding.U16),
    ("status.attempt_seq", Encoding.U32),
    ("status.attempt_result", Encoding.U16),
    ("status.balance", Encoding.S32),
    ("status.cumulative_credit", Encoding.U32),
    ("status.purchase_count", Encoding.U16),
    ("status.relay_command", Encoding.U16),
    ("status.relay_actual", Encoding.U16),
    ("status.trip_cause", Encoding.U16),
    ("status.alarm_bits", Encoding.U16),
    ("status.tamper_bits", Encoding.U16),
    ("status.event_counter", Encoding.U32),
)


class RelayCode(IntEnum):
    """Where the relay stands or is ordered to."""

    OPEN = 0
    CLOSED = 1


class TripCause(IntEnum):
    """Why the relay is open; the first that applies."""

    NONE = 0
    NO_CREDIT = 1
    OVERLOAD = 2
    TAMPER = 3
    REMOTE = 4


class AlarmBit(IntFlag):
    """What the meter's lamp blinks for."""

    LOW_CREDIT = 1
    NO_CREDIT = 2
    OVERLOAD = 4
    TAMPER = 8


class TamperBit(IntFlag):
    """What was done to the meter."""

    COVER = 1
    TERMINAL_COVER = 2
    MAGNET = 4
    REVERSE_CURRENT = 8
    BYPASS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusBlock:
    """One moment of the meter; balance and credit in units of 0.01 kWh.

    `last_seq` and `last_result` are of the last credit order that was carried out, 0 before the
    first. `attempt_seq` and `attempt_result` are of the last one that was written, also if it
    was refused. The counters wrap around.
    """

    last_seq: int
    last_result: int
    attempt_seq: int
    attempt_result: int
    balance: int
    cumulative_credit: int
    purchase_count: int
    relay_command: RelayCode
    relay_actual: RelayCode
    trip_cause: TripCause
    alarm_bits: AlarmBit
    tamper_bits: TamperBit
    event_counter: int

    def to_registers(self) -> tuple[int, ...]:
        """Return the block as the meter shows it."""
        return pack(
            STATUS_LAYOUT,
            {spec.name: int(getattr(self, _field(spec.name))) for spec in STATUS_LAYOUT},
        )

    @classmethod
    def from_registers(cls, words: Sequence[int]) -> Self:
        """Return the status in the block.

        Raises:
            RemoteProtocolError: If a code is not one of this profile.
        """
        numbers = {
            _field(spec.name): unpack_number(STATUS_LAYOUT, words, spec.name)
            for spec in STATUS_LAYOUT
        }
        try:
            relay_command = RelayCode(numbers.pop("relay_command"))
            relay_actual = RelayCode(numbers.pop("relay_actual"))
            trip_cause = TripCause(numbers.pop("trip_cause"))
        except ValueError as error:
            reason = f"the status block holds a code that is not of this profile: {error}"
            raise RemoteProtocolError(reason) from error
        return cls(
            relay_command=relay_command,
            relay_actual=relay_actual,
            trip_cause=trip_cause,
            alarm_bits=AlarmBit(numbers.pop("alarm_bits")),
            tamper_bits=TamperBit(numbers.pop("tamper_bits")),
            **numbers,
        )


def _field(name: str) -> str:
    return name.removeprefix("status.")

"""The gateway over `meter_drivers`: what a driver answers becomes the outcome of a try, by table.

An error out of an order means that nothing left for the meter; what became of anything that did
leave is a value. Why an outcome is unknown stays with the driver: its words may quote the line,
and the line carried the token.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from meter_drivers import (
    BusPool,
    Done,
    DriverError,
    Meter,
    Refused,
    RelayState,
    RelaySwitch,
    TokenEntry,
    Unknown,
    open_meter,
)
from meter_drivers.errors import NotSupportedError
from vending.commands.model import TryOutcome, TryResult
from vending.delivery.port import MeterAddress, RelayPosition

CODE_NO_ANSWER: Final = "no_answer"
CODE_SECTION_UNSURE: Final = "section_unsure"
"""A section of a key change before the last went unanswered; the key is as it was."""
CODE_SECTIONS_AWAITED: Final = "sections_awaited"
SET_COMPLETE: Final = "Accept"
"""What a meter shows for the section that completes a key-change set (IEC 62055-41)."""

REFUSALS: Final[Mapping[str, TryOutcome]] = MappingProxyType(
    {
        "used_error": TryOutcome.APPLIED_BEFORE,
        # The meter's memory of tokens no longer reaches back to this one.
        "old_error": TryOutcome.REFUSED_UNSEEN,
        # It may have been taken under a key that was changed since.
        "crc_error": TryOutcome.REFUSED_UNSEEN,
        "format_error": TryOutcome.REFUSED,
        "function_error": TryOutcome.REFUSED,
        "range_error": TryOutcome.REFUSED,
        "ddtk_error": TryOutcome.REFUSED,
        "key_expired_error": TryOutcome.REFUSED,
        "key_type_error": TryOutcome.REFUSED,
        "overflow_error": TryOutcome.REFUSED,
        "locked_out": TryOutcome.NOT_NOW,
        "device_busy": TryOutcome.NOT_NOW,
        # The order is in force; the meter closes when it may: with credit, or the tamper cleared.
        "held_open": TryOutcome.REFUSED,
        # Slow or stuck: read again, ordered again, and in the end a person looks at it.
        "not_moved": TryOutcome.UNKNOWN,
    }
)
"""What a refusal means for the command; any other one was given before the meter looked at it."""

_POSITIONS: Final[Mapping[RelayState, RelayPosition]] = MappingProxyType(
    {RelayState.OPEN: RelayPosition.OPEN, RelayState.CLOSED: RelayPosition.CLOSED}
)


class DriverGateway:
    """The way to the meters over the drivers; safe to share between threads.

    `timeout_s` bounds each answer of a meter. Meters behind one port or gateway take turns there;
    `pool` holds one owner for each.
    """

    def __init__(self, *, timeout_s: float | None = None, pool: BusPool | None = None) -> None:
        self._timeout_s = timeout_s
        self._pool = pool or BusPool()

    def deliver_token(self, address: MeterAddress, digits: str) -> TryResult:
        """Enter 20 digits and return what the meter says of them."""
        try:
            with open_meter(
                address.link, profile=address.profile, timeout_s=self._timeout_s, pool=self._pool
            ) as meter:
                return _conclude_token(meter.enter_token(digits))
        except DriverError as error:
            return _nothing_left(error)

    def deliver_key_change(self, address: MeterAddress, sections: Sequence[str]) -> TryResult:
        """Enter all sections of a key-change set in their order, and return what the meter says."""
        try:
            with open_meter(
                address.link, profile=address.profile, timeout_s=self._timeout_s, pool=self._pool
            ) as meter:
                return _change_key(meter, sections)
        except DriverError as error:
            return _nothing_left(error)

    def switch_relay(self, address: MeterAddress, wanted: RelayPosition) -> TryResult:
        """Order the relay to a position and return done only when it was seen there."""
        try:
            with open_meter(
                address.link, profile=address.profile, timeout_s=self._timeout_s, pool=self._pool
            ) as meter:
                is_open_wanted = wanted is RelayPosition.OPEN
                switch = meter.open_relay() if is_open_wanted else meter.close_relay()
                return _conclude_relay(switch)
        except DriverError as error:
            return _nothing_left(error)

    def read_relay(self, address: MeterAddress) -> RelayPosition | TryResult | None:
        """Return where the relay was ordered to and stands, or why that cannot be told."""
        try:
            with open_meter(
                address.link, profile=address.profile, timeout_s=self._timeout_s, pool=self._pool
            ) as meter:
                report = meter.read_relay()
        except DriverError as error:
            return _nothing_left(error)
        return _POSITIONS[report.actual] if report.command is report.actual else None


def _change_key(meter: Meter, sections: Sequence[str]) -> TryResult:
    """Enter the sections; the key can only have changed once the last of them has left.

    A section that is repeated replaces the one held, so a try that stopped half-way does no harm,
    and a section before the last whose answer is lost leaves no doubt about the key.
    """
    last = meter.read_last_entry()
    if last is not None and last.result == SET_COMPLETE and any(map(last.is_of, sections)):
        return TryResult(TryOutcome.APPLIED_BEFORE, last.result)
    for section in sections[:-1]:
        entry = meter.enter_token(section)
        if isinstance(entry, Unknown):
            return TryResult(TryOutcome.NOT_REACHED, CODE_SECTION_UNSURE)
        if isinstance(entry, Refused):
            return _conclude_failed(entry)
        if entry.value.result == SET_COMPLETE:
            # The others were held already: a customer had begun at the keypad.
            return TryResult(TryOutcome.DONE, SET_COMPLETE)
    result = _conclude_token(meter.enter_token(sections[-1]))
    if result.outcome is TryOutcome.DONE and result.code != SET_COMPLETE:
        # Power failed between: the meter forgot the sections it held. Again, from the first.
        return TryResult(TryOutcome.NOT_NOW, CODE_SECTIONS_AWAITED)
    return result


def _conclude_token(entry: TokenEntry) -> TryResult:
    if isinstance(entry, Done):
        return TryResult(TryOutcome.DONE, entry.value.result)
    return _conclude_failed(entry)


def _conclude_relay(switch: RelaySwitch) -> TryResult:
    if isinstance(switch, Done):
        return TryResult(TryOutcome.DONE, _POSITIONS[switch.value.actual].value)
    return _conclude_failed(switch)


def _conclude_failed(answer: Refused | Unknown) -> TryResult:
    if isinstance(answer, Unknown):
        return TryResult(TryOutcome.UNKNOWN, CODE_NO_ANSWER)
    outcome = REFUSALS.get(answer.reason, TryOutcome.REFUSED_UNSEEN)
    return TryResult(outcome, answer.reason)


def _nothing_left(error: DriverError) -> TryResult:
    if isinstance(error, NotSupportedError):
        return TryResult(TryOutcome.REFUSED_UNSEEN, error.code)
    return TryResult(TryOutcome.NOT_REACHED, error.code)

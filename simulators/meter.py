"""One prepaid meter as a pure state machine: energy, credit, relay, tamper, events.

Its laws, each held by a property test:
- accepted credit - consumption - cleared credit = balance, in whole watt-hours;
- time may be passed in steps of any size: the sum of the steps is the whole;
- the relay *ordered* and the relay *actual* are apart; a hold (no credit, overload, tamper)
  keeps it open whatever the bus orders;
- an order with the sequence number of the last one changes nothing.

Every function takes a state and returns the next. Time is a count of milliseconds from
1970-01-01 00:00 UTC that only `advance` moves; the load is an argument.
"""

import math
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from typing import Final

MS_PER_HOUR: Final = 3_600_000
"""A load of 1 W for this many milliseconds is 1 Wh."""

EVENT_RING_SIZE: Final = 64
OVERLOAD_RETRY_MS: Final = 60_000
OVERLOAD_TRIPS_MAX: Final = 5
"""After so many trips in a row the relay stays open until it is ordered closed."""


class RelayPosition(IntEnum):
    """Where the load switch stands, or is ordered to."""

    OPEN = 0
    CLOSED = 1


class Hold(IntFlag):
    """What keeps the relay open whatever the bus orders."""

    NO_CREDIT = 1
    OVERLOAD = 2
    TAMPER = 4


NO_HOLD: Final = Hold(0)


class TripCause(IntEnum):
    """Why the relay is open; the first that applies."""

    NONE = 0
    NO_CREDIT = 1
    OVERLOAD = 2
    TAMPER = 3
    REMOTE = 4


class Alarm(IntFlag):
    """What the meter's lamp blinks for."""

    LOW_CREDIT = 1
    NO_CREDIT = 2
    OVERLOAD = 4
    TAMPER = 8


class Tamper(IntFlag):
    """What was done to the meter; each latches until a ClearTamperCondition token."""

    COVER = 1
    TERMINAL_COVER = 2
    MAGNET = 4
    REVERSE_CURRENT = 8
    BYPASS = 16


NO_TAMPER: Final = Tamper(0)


class EventKind(IntEnum):
    """What a line of the event log says."""

    STARTED = 1
    CREDIT_ACCEPTED = 2
    CREDIT_CLEARED = 3
    TOKEN_REFUSED = 4
    KEY_CHANGED = 5
    RELAY_OPENED = 6
    RELAY_CLOSED = 7
    RELAY_ORDERED = 8
    LOW_CREDIT = 9
    NO_CREDIT = 10
    OVERLOAD = 11
    TAMPER_RAISED = 12
    TAMPER_CLEARED = 13
    SETTING_CHANGED = 14
    METER_TESTED = 15
    POWER_RESTORED = 16


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the event log; sequence numbers start at 1 and have no gaps."""

    sequence: int
    at_ms: int
    kind: EventKind
    detail: int = 0


@dataclass(frozen=True, slots=True)
class MeterRating:
    """What the maker built in."""

    voltage_dv: int = 2300
    power_factor_permille: int = 960
    frequency_chz: int = 5000
    relay_switch_ms: int = 200
    credit_max_wh: int = 9_999_999_990
    """The most the display and an s32 register in 10 Wh can show."""
    low_credit_wh: int = 5_000
    tamper_trips: bool = True
    is_prepaid: bool = True
    """Without it credit is counted but never opens the relay, nor raises an alarm."""
    contact_welded: bool = False
    """The relay never opens: its order and its actual position stay apart."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What management tokens set; `None` is not set."""

    power_limit_w: int | None = None
    phase_unbalance_limit_w: int | None = None
    tariff_rate: int | None = None
    water_meter_factor: int | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What the meter measures now; the d and c in units are tenths and hundredths."""

    voltage_dv: int
    current_ma: int
    power_w: int
    reactive_power_var: int
    apparent_power_va: int
    power_factor_permille: int
    frequency_chz: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterState:
    """All that a meter knows, apart from what its token acceptor knows."""

    at_ms: int
    rating: MeterRating = field(default_factory=MeterRating)
    settings: Settings = field(default_factory=Settings)
    energy_initial_wh: int = 0
    consumed_wh: int = 0
    rest_wms: int = 0
    """Watt-milliseconds not yet a whole watt-hour; always below `MS_PER_HOUR`."""
    accepted_wh: int = 0
    cleared_wh: int = 0
    purchase_count: int = 0
    load_w: int = 0
    ordered: RelayPosition = RelayPosition.CLOSED
    actual: RelayPosition = RelayPosition.CLOSED
    settles_at_ms: int | None = None
    """When the moving relay arrives; `None` while it rests."""
    holds: Hold = NO_HOLD
    overload_trips: int = 0
    overload_retry_at_ms: int | None = None
    tamper: Tamper = NO_TAMPER
    low_credit: bool = False
    events: tuple[Event, ...] = ()
    event_count: int = 0

    @property
    def balance_wh(self) -> int:
        """Return the credit left; below zero by what flowed until the relay was open."""
        return self.accepted_wh - self.consumed_wh - self.cleared_wh

    @property
    def energy_wh(self) -> int:
        """Return the total energy register."""
        return self.energy_initial_wh + self.consumed_wh

    @property
    def headroom_wh(self) -> int:
        """Return how much credit the register still takes."""
        return self.rating.credit_max_wh - self.balance_wh

    @property
    def wanted(self) -> RelayPosition:
        """Return where the relay is to stand: as ordered, but open under any hold."""
        return RelayPosition.OPEN if self.holds else self.ordered

    @property
    def trip_cause(self) -> TripCause:
        """Return why the relay is to be open."""
        for hold, cause in _HOLD_CAUSES.items():
            if hold in self.holds:
                return cause
        return TripCause.REMOTE if self.ordered is RelayPosition.OPEN else TripCause.NONE

    @property
    def alarms(self) -> Alarm:
        """Return what the lamp blinks for."""
        alarms = Alarm(0)
        if self.low_credit:
            alarms |= Alarm.LOW_CREDIT
        if Hold.NO_CREDIT in self.holds:
            alarms |= Alarm.NO_CREDIT
        if Hold.OVERLOAD in self.holds:
            alarms |= Alarm.OVERLOAD
        if self.tamper:
            alarms |= Alarm.TAMPER
        return alarms


_HOLD_CAUSES: Final = {
    Hold.NO_CREDIT: TripCause.NO_CREDIT,
    Hold.OVERLOAD: TripCause.OVERLOAD,
    Hold.TAMPER: TripCause.TAMPER,
}


def start_meter(
    *,
    at_ms: int,
    credit_wh: int = 0,
    energy_wh: int = 0,
    rating: MeterRating | None = None,
    settings: Settings | None = None,
) -> MeterState:
    """Return a meter as it leaves the factory; without credit its relay is open."""
    rating = rating or MeterRating()
    is_supplied = credit_wh > 0 or not rating.is_prepaid
    state = MeterState(
        at_ms=at_ms,
        rating=rating,
        settings=settings or Settings(),
        energy_initial_wh=energy_wh,
        accepted_wh=credit_wh,
        actual=RelayPosition.CLOSED if is_supplied else RelayPosition.OPEN,
    )
    return _decide(record_event(state, EventKind.STARTED))


# --- time ---------------------------------------------------------------------------------------
def advance(state: MeterState, *, elapsed_ms: int, load_w: int) -> MeterState:
    """Return the meter after some time under a constant load.

    The span is cut where something happens in it: the relay arrives, credit runs low or out, an
    overload trip is tried again. So the result does not depend on how a span is divided.
    """
    assert elapsed_ms >= 0, "time only goes forward"
    assert load_w >= 0, "a load draws power"
    end_ms = state.at_ms + elapsed_ms
    state = _decide(replace(state, load_w=load_w))
    while state.at_ms < end_ms:
        until_ms = min([end_ms, *_next_changes_ms(state)])
        state = _decide(_arrive(_consume(state, until_ms - state.at_ms)))
    return state


def resume(state: MeterState, *, at_ms: int) -> MeterState:
    """Return the meter as power comes back: nothing was used, and what was awaited still is."""
    gap_ms = at_ms - state.at_ms
    settles_at_ms, retry_at_ms = state.settles_at_ms, state.overload_retry_at_ms
    resumed = replace(
        state,
        at_ms=at_ms,
        settles_at_ms=None if settles_at_ms is None else settles_at_ms + gap_ms,
        overload_retry_at_ms=None if retry_at_ms is None else retry_at_ms + gap_ms,
    )
    return record_event(resumed, EventKind.POWER_RESTORED)


def _next_changes_ms(state: MeterState) -> list[int]:
    moments = [
        moment for moment in (state.settles_at_ms, state.overload_retry_at_ms) if moment is not None
    ]
    power_w = flowing_w(state)
    if power_w:
        for level_wh in (0, state.rating.low_credit_wh):
            above_wh = state.balance_wh - level_wh
            if above_wh > 0:
                needed_wms = above_wh * MS_PER_HOUR - state.rest_wms
                moments.append(state.at_ms - (-needed_wms // power_w))
    return moments


def _consume(state: MeterState, span_ms: int) -> MeterState:
    whole_wh, rest_wms = divmod(state.rest_wms + flowing_w(state) * span_ms, MS_PER_HOUR)
    return replace(
        state,
        at_ms=state.at_ms + span_ms,
        consumed_wh=state.consumed_wh + whole_wh,
        rest_wms=rest_wms,
    )


def _arrive(state: MeterState) -> MeterState:
    """Let what was waited for happen: the relay arrives, an overload trip is forgiven once."""
    if state.settles_at_ms == state.at_ms:
        arrived = state.wanted
        kind = EventKind.RELAY_CLOSED if arrived is RelayPosition.CLOSED else EventKind.RELAY_OPENED
        detail = int(state.trip_cause)
        state = replace(state, actual=arrived, settles_at_ms=None)
        state = record_event(state, kind, detail)
    if state.overload_retry_at_ms == state.at_ms:
        state = replace(state, holds=state.holds & ~Hold.OVERLOAD, overload_retry_at_ms=None)
    return state


# --- decisions: what follows at once from the state ---------------------------------------------
def _decide(state: MeterState) -> MeterState:
    return _steer_relay(_watch_load(_watch_credit(state)))


def _watch_credit(state: MeterState) -> MeterState:
    if not state.rating.is_prepaid:
        return state
    is_out = state.balance_wh <= 0
    if is_out and Hold.NO_CREDIT not in state.holds:
        state = replace(state, holds=state.holds | Hold.NO_CREDIT)
        state = record_event(state, EventKind.NO_CREDIT)
    elif not is_out and Hold.NO_CREDIT in state.holds:
        state = replace(state, holds=state.holds & ~Hold.NO_CREDIT)
    is_low = state.balance_wh <= state.rating.low_credit_wh
    if is_low is not state.low_credit:
        state = replace(state, low_credit=is_low)
        if is_low:
            state = record_event(state, EventKind.LOW_CREDIT)
    return state


def _watch_load(state: MeterState) -> MeterState:
    limit_w = state.settings.power_limit_w
    if state.actual is RelayPosition.OPEN or Hold.OVERLOAD in state.holds:
        return state
    if limit_w is None or state.load_w <= limit_w:
        return replace(state, overload_trips=0) if state.overload_trips else state
    trips = state.overload_trips + 1
    state = replace(
        state,
        holds=state.holds | Hold.OVERLOAD,
        overload_trips=trips,
        overload_retry_at_ms=(
            state.at_ms + OVERLOAD_RETRY_MS if trips < OVERLOAD_TRIPS_MAX else None
        ),
    )
    return record_event(state, EventKind.OVERLOAD, state.load_w)


def _steer_relay(state: MeterState) -> MeterState:
    is_stuck = state.rating.contact_welded and state.wanted is RelayPosition.OPEN
    if state.wanted is state.actual or is_stuck:
        return replace(state, settles_at_ms=None) if state.settles_at_ms is not None else state
    if state.settles_at_ms is None:
        return replace(state, settles_at_ms=state.at_ms + state.rating.relay_switch_ms)
    return state


# --- orders -------------------------------------------------------------------------------------
def accept_credit(state: MeterState, amount_wh: int) -> MeterState:
    """Return the meter with credit added; the relay closes again when nothing else holds it.

    Whoever calls it has compared the amount with `headroom_wh`.
    """
    assert 0 <= amount_wh <= state.headroom_wh, "credit fits the register"
    state = replace(
        state,
        accepted_wh=state.accepted_wh + amount_wh,
        purchase_count=state.purchase_count + 1,
    )
    return _decide(record_event(state, EventKind.CREDIT_ACCEPTED, amount_wh))


def clear_credit(state: MeterState) -> MeterState:
    """Return the meter with its credit register at zero, and the relay opening."""
    cleared_wh = state.balance_wh
    state = replace(state, cleared_wh=state.cleared_wh + cleared_wh)
    return _decide(record_event(state, EventKind.CREDIT_CLEARED, cleared_wh))


def order_relay(state: MeterState, position: RelayPosition) -> MeterState:
    """Return the meter with its relay ordered; ordering it closed ends an overload lock."""
    state = replace(state, ordered=position)
    if position is RelayPosition.CLOSED:
        state = replace(
            state,
            holds=state.holds & ~Hold.OVERLOAD,
            overload_trips=0,
            overload_retry_at_ms=None,
        )
    return _decide(record_event(state, EventKind.RELAY_ORDERED, int(position)))


def change_settings(state: MeterState, settings: Settings) -> MeterState:
    """Return the meter with other settings, effective at once."""
    return _decide(record_event(replace(state, settings=settings), EventKind.SETTING_CHANGED))


def raise_tamper(state: MeterState, tamper: Tamper) -> MeterState:
    """Return the meter with a tamper latched; where it is built so, the relay opens."""
    holds = state.holds | Hold.TAMPER if state.rating.tamper_trips else state.holds
    state = replace(state, tamper=state.tamper | tamper, holds=holds)
    return _decide(record_event(state, EventKind.TAMPER_RAISED, int(tamper)))


def clear_tamper(state: MeterState) -> MeterState:
    """Return the meter with every tamper latch released."""
    cleared = int(state.tamper)
    state = replace(state, tamper=NO_TAMPER, holds=state.holds & ~Hold.TAMPER)
    return _decide(record_event(state, EventKind.TAMPER_CLEARED, cleared))


def record_event(state: MeterState, kind: EventKind, detail: int = 0) -> MeterState:
    """Return the meter with a line more in its event log; the oldest falls out of a full one."""
    sequence = state.event_count + 1
    event = Event(sequence, state.at_ms, kind, detail)
    return replace(state, events=(*state.events, event)[-EVENT_RING_SIZE:], event_count=sequence)


# --- measurement --------------------------------------------------------------------------------
def flowing_w(state: MeterState) -> int:
    """Return the power that flows now: none through an open relay."""
    return state.load_w if state.actual is RelayPosition.CLOSED else 0


def measure(state: MeterState) -> Figures:
    """Return what the meter measures now; the voltage sags by 0.1 V for each 500 W."""
    power_w = flowing_w(state)
    voltage_dv = state.rating.voltage_dv - power_w // 500
    permille = state.rating.power_factor_permille if power_w else 1000
    apparent_va = power_w * 1000 // permille
    return Figures(
        voltage_dv=voltage_dv,
        current_ma=apparent_va * 10_000 // voltage_dv,
        power_w=power_w,
        reactive_power_var=math.isqrt(apparent_va * apparent_va - power_w * power_w),
        apparent_power_va=apparent_va,
        power_factor_permille=permille,
        frequency_chz=state.rating.frequency_chz,
    )

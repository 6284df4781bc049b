"""Each thing a meter does by itself: consume, trip, close again, alarm, latch, log."""

import pytest

from simulators.meter import (
    EVENT_RING_SIZE,
    NO_TAMPER,
    OVERLOAD_RETRY_MS,
    OVERLOAD_TRIPS_MAX,
    Alarm,
    EventKind,
    Hold,
    MeterRating,
    MeterState,
    RelayPosition,
    Settings,
    Tamper,
    TripCause,
    accept_credit,
    advance,
    change_settings,
    clear_credit,
    clear_tamper,
    measure,
    order_relay,
    raise_tamper,
    record_event,
    start_meter,
)

HOUR_MS = 3_600_000
SWITCH_MS = MeterRating().relay_switch_ms


def kinds(state: MeterState) -> list[EventKind]:
    return [event.kind for event in state.events]


def settle(state: MeterState, load_w: int = 0) -> MeterState:
    return advance(state, elapsed_ms=SWITCH_MS, load_w=load_w)


def test_a_meter_starts_closed_with_credit_and_open_without() -> None:
    assert start_meter(at_ms=0, credit_wh=1).actual is RelayPosition.CLOSED
    empty = start_meter(at_ms=0)
    assert empty.actual is RelayPosition.OPEN
    assert empty.trip_cause is TripCause.NO_CREDIT
    assert kinds(empty) == [EventKind.STARTED, EventKind.NO_CREDIT, EventKind.LOW_CREDIT]


def test_an_hour_of_a_kilowatt_is_a_kilowatt_hour(electric: MeterState) -> None:
    after = advance(electric, elapsed_ms=HOUR_MS, load_w=1000)
    assert (after.balance_wh, after.energy_wh, after.rest_wms) == (9000, 1000, 0)


def test_less_than_a_watt_hour_is_carried(electric: MeterState) -> None:
    after = advance(electric, elapsed_ms=HOUR_MS - 1, load_w=1)
    assert (after.consumed_wh, after.rest_wms) == (0, HOUR_MS - 1)
    assert advance(after, elapsed_ms=1, load_w=1).consumed_wh == 1


def test_credit_runs_out_at_its_moment_and_the_relay_opens_after_its_switch_time() -> None:
    meter = start_meter(at_ms=0, credit_wh=1)
    load_w = 3600  # 1 Wh a second
    ending = advance(meter, elapsed_ms=1000, load_w=load_w)
    assert ending.holds is Hold.NO_CREDIT
    assert (ending.wanted, ending.actual) == (RelayPosition.OPEN, RelayPosition.CLOSED)
    ended = advance(ending, elapsed_ms=HOUR_MS, load_w=load_w)
    assert ended.actual is RelayPosition.OPEN
    assert ended.balance_wh == 0
    assert ended.rest_wms == load_w * SWITCH_MS
    opened = ended.events[-1]
    assert (opened.kind, opened.at_ms) == (EventKind.RELAY_OPENED, 1000 + SWITCH_MS)
    assert opened.detail == TripCause.NO_CREDIT


def test_credit_closes_the_relay_again() -> None:
    meter = accept_credit(start_meter(at_ms=0), 500)
    assert meter.actual is RelayPosition.OPEN
    assert settle(meter).actual is RelayPosition.CLOSED
    assert meter.purchase_count == 1


def test_credit_before_the_relay_arrived_leaves_it_closed() -> None:
    out = advance(start_meter(at_ms=0, credit_wh=1), elapsed_ms=1000, load_w=3600)
    saved = settle(accept_credit(out, 100))
    assert saved.actual is RelayPosition.CLOSED
    assert EventKind.RELAY_OPENED not in kinds(saved)


def test_credit_does_not_close_a_relay_ordered_open() -> None:
    meter = settle(order_relay(start_meter(at_ms=0, credit_wh=1), RelayPosition.OPEN))
    assert settle(accept_credit(meter, 100)).actual is RelayPosition.OPEN
    assert meter.trip_cause is TripCause.REMOTE


def test_an_order_to_close_does_not_overrule_missing_credit() -> None:
    meter = settle(order_relay(start_meter(at_ms=0), RelayPosition.CLOSED))
    assert (meter.ordered, meter.actual) == (RelayPosition.CLOSED, RelayPosition.OPEN)


def test_the_relay_moves_when_its_switch_time_is_over(electric: MeterState) -> None:
    ordered = order_relay(electric, RelayPosition.OPEN)
    assert advance(ordered, elapsed_ms=SWITCH_MS - 1, load_w=0).actual is RelayPosition.CLOSED
    assert settle(ordered).actual is RelayPosition.OPEN


def test_a_welded_contact_stays_closed_and_goes_on_counting() -> None:
    rating = MeterRating(contact_welded=True)
    meter = order_relay(start_meter(at_ms=0, credit_wh=1, rating=rating), RelayPosition.OPEN)
    after = advance(meter, elapsed_ms=HOUR_MS, load_w=100)
    assert (after.ordered, after.actual) == (RelayPosition.OPEN, RelayPosition.CLOSED)
    assert after.balance_wh == -99


def test_low_credit_is_an_alarm_until_credit_comes() -> None:
    meter = start_meter(at_ms=0, credit_wh=5001)
    assert meter.alarms == Alarm(0)
    low = advance(meter, elapsed_ms=HOUR_MS, load_w=1)
    assert low.alarms is Alarm.LOW_CREDIT
    assert low.events[-1].at_ms == HOUR_MS
    assert accept_credit(low, 1).alarms == Alarm(0)


def test_a_load_above_the_limit_trips_and_is_tried_again_until_it_locks() -> None:
    limited = start_meter(at_ms=0, credit_wh=10**6, settings=Settings(power_limit_w=1000))
    assert advance(limited, elapsed_ms=HOUR_MS, load_w=1000).overload_trips == 0
    tripped = settle(limited, 1001)
    assert (tripped.actual, tripped.trip_cause) == (RelayPosition.OPEN, TripCause.OVERLOAD)
    assert tripped.alarms is Alarm.OVERLOAD
    back = advance(tripped, elapsed_ms=OVERLOAD_RETRY_MS, load_w=500)
    assert (back.actual, back.overload_trips) == (RelayPosition.CLOSED, 0)
    locked = advance(tripped, elapsed_ms=24 * HOUR_MS, load_w=1001)
    assert locked.overload_trips == OVERLOAD_TRIPS_MAX
    assert locked.actual is RelayPosition.OPEN
    freed = settle(order_relay(locked, RelayPosition.CLOSED))
    assert (freed.actual, freed.overload_trips) == (RelayPosition.CLOSED, 0)


def test_a_new_limit_is_effective_at_once(electric: MeterState) -> None:
    loaded = advance(electric, elapsed_ms=1, load_w=2000)
    limited = change_settings(loaded, Settings(power_limit_w=1999))
    assert limited.holds is Hold.OVERLOAD


def test_cleared_credit_is_booked_and_opens_the_relay(electric: MeterState) -> None:
    cleared = settle(clear_credit(electric))
    assert (cleared.balance_wh, cleared.cleared_wh) == (0, 10_000)
    assert cleared.actual is RelayPosition.OPEN


@pytest.mark.parametrize("trips", [True, False])
def test_tamper_latches_until_cleared(*, trips: bool) -> None:
    rating = MeterRating(tamper_trips=trips)
    meter = start_meter(at_ms=0, credit_wh=9000, rating=rating)
    opened = settle(raise_tamper(raise_tamper(meter, Tamper.COVER), Tamper.MAGNET))
    assert opened.tamper == Tamper.COVER | Tamper.MAGNET
    assert opened.alarms is Alarm.TAMPER
    assert (opened.actual is RelayPosition.OPEN) is trips
    assert opened.trip_cause is (TripCause.TAMPER if trips else TripCause.NONE)
    cleared = settle(clear_tamper(opened))
    assert (cleared.tamper, cleared.actual) == (NO_TAMPER, RelayPosition.CLOSED)


def test_the_event_ring_drops_its_oldest_and_counts_on(electric: MeterState) -> None:
    state = electric
    for _ in range(EVENT_RING_SIZE + 5):
        state = record_event(state, EventKind.METER_TESTED)
    assert len(state.events) == EVENT_RING_SIZE
    sequences = [event.sequence for event in state.events]
    assert sequences == list(range(state.event_count - EVENT_RING_SIZE + 1, state.event_count + 1))


def test_the_figures_follow_the_load(electric: MeterState) -> None:
    figures = measure(advance(electric, elapsed_ms=1, load_w=2400))
    assert (figures.power_w, figures.apparent_power_va) == (2400, 2500)
    assert (figures.voltage_dv, figures.current_ma) == (2296, 10_888)
    assert (figures.power_factor_permille, figures.reactive_power_var) == (960, 700)


def test_an_open_relay_carries_nothing() -> None:
    figures = measure(advance(start_meter(at_ms=0), elapsed_ms=1, load_w=2400))
    assert (figures.power_w, figures.current_ma, figures.power_factor_permille) == (0, 0, 1000)


def test_credit_beyond_the_register_is_a_defect_of_the_caller(electric: MeterState) -> None:
    with pytest.raises(AssertionError, match="fits"):
        accept_credit(electric, electric.headroom_wh + 1)


@pytest.mark.parametrize(("elapsed_ms", "load_w"), [(-1, 0), (0, -1)])
def test_time_and_load_are_never_negative(
    electric: MeterState, elapsed_ms: int, load_w: int
) -> None:
    with pytest.raises(AssertionError):
        advance(electric, elapsed_ms=elapsed_ms, load_w=load_w)

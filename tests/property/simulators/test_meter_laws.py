"""The laws of the simulated meter, over any life it may lead."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from simulators.meter import (
    MS_PER_HOUR,
    MeterRating,
    MeterState,
    RelayPosition,
    Settings,
    Tamper,
    accept_credit,
    advance,
    change_settings,
    clear_credit,
    clear_tamper,
    flowing_w,
    order_relay,
    raise_tamper,
    start_meter,
)

Step = Callable[[MeterState], MeterState]


def _passing(elapsed_ms: int, load_w: int) -> Step:
    return lambda state: advance(state, elapsed_ms=elapsed_ms, load_w=load_w)


def _credited(amount_wh: int) -> Step:
    return lambda state: accept_credit(state, min(amount_wh, state.headroom_wh))


def _limited(limit_w: int) -> Step:
    return lambda state: change_settings(state, Settings(power_limit_w=limit_w))


LOADS_W = st.integers(0, 20_000)
SPANS_MS = st.integers(0, 20_000_000)
STEPS = st.one_of(
    st.builds(_passing, SPANS_MS, LOADS_W),
    st.builds(_credited, st.integers(0, 50_000)),
    st.builds(_limited, st.integers(0, 20_000)),
    st.sampled_from(
        [
            clear_credit,
            clear_tamper,
            lambda state: raise_tamper(state, Tamper.COVER),
            lambda state: order_relay(state, RelayPosition.OPEN),
            lambda state: order_relay(state, RelayPosition.CLOSED),
        ]
    ),
)
METERS = st.builds(
    lambda credit_wh, *, welded: start_meter(
        at_ms=0, credit_wh=credit_wh, rating=MeterRating(contact_welded=welded)
    ),
    st.integers(0, 100_000),
    welded=st.booleans(),
)


@given(METERS, st.lists(STEPS, max_size=12))
def test_accepted_less_consumed_less_cleared_is_the_balance(
    meter: MeterState, steps: list[Step]
) -> None:
    before_wms = meter.consumed_wh * MS_PER_HOUR + meter.rest_wms
    for step in steps:
        meter = step(meter)
        assert meter.accepted_wh - meter.consumed_wh - meter.cleared_wh == meter.balance_wh
        assert 0 <= meter.rest_wms < MS_PER_HOUR
        after_wms = meter.consumed_wh * MS_PER_HOUR + meter.rest_wms
        assert after_wms >= before_wms
        before_wms = after_wms


@given(METERS, st.lists(STEPS, max_size=6), LOADS_W, st.lists(SPANS_MS, min_size=1, max_size=6))
def test_steps_of_any_size_add_up_to_the_whole(
    meter: MeterState, steps: list[Step], load_w: int, spans_ms: list[int]
) -> None:
    for step in steps:
        meter = step(meter)
    divided = meter
    for span_ms in spans_ms:
        divided = advance(divided, elapsed_ms=span_ms, load_w=load_w)
    assert divided == advance(meter, elapsed_ms=sum(spans_ms), load_w=load_w)


@given(METERS, st.lists(STEPS, max_size=12))
def test_a_relay_at_rest_stands_where_it_is_wanted(meter: MeterState, steps: list[Step]) -> None:
    for step in steps:
        meter = step(meter)
    rested = advance(meter, elapsed_ms=meter.rating.relay_switch_ms, load_w=0)
    if not rested.rating.contact_welded:
        assert rested.actual is rested.wanted
    elif rested.wanted is RelayPosition.CLOSED:
        assert rested.actual is RelayPosition.CLOSED


@given(METERS, st.lists(STEPS, max_size=12), st.integers(1, 20_000))
def test_nothing_flows_for_long_without_credit(
    meter: MeterState, steps: list[Step], load_w: int
) -> None:
    for step in steps:
        meter = step(meter)
    later = advance(meter, elapsed_ms=MS_PER_HOUR, load_w=load_w)
    if later.balance_wh <= 0 and not later.rating.contact_welded:
        overshoot_wh = load_w * later.rating.relay_switch_ms // MS_PER_HOUR + 1
        assert later.balance_wh >= min(meter.balance_wh, 0) - overshoot_wh


@given(METERS, st.lists(STEPS, max_size=12))
def test_the_event_log_has_no_gap(meter: MeterState, steps: list[Step]) -> None:
    for step in steps:
        meter = step(meter)
    sequences = [event.sequence for event in meter.events]
    first = meter.event_count - len(sequences) + 1
    assert sequences == list(range(first, meter.event_count + 1))
    assert all(
        earlier.at_ms <= later.at_ms
        for earlier, later in zip(meter.events, meter.events[1:], strict=False)
    )


@given(METERS)
def test_an_open_relay_lets_nothing_through(meter: MeterState) -> None:
    opened = order_relay(meter, RelayPosition.OPEN)
    opened = advance(opened, elapsed_ms=1000, load_w=5000)
    assert flowing_w(opened) == (5000 if opened.rating.contact_welded and meter.accepted_wh else 0)

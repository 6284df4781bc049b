from collections.abc import Callable

import pytest

from simulators.clock import StillClock
from simulators.load import LoadCurve, LoadShape
from simulators.meter import RelayPosition, Tamper, start_meter
from simulators.prepaid_meter import PrepaidMeter, with_electric
from simulators.simulated_meter import SimulatedMeter
from simulators.state_file import StateFileError
from vending.sts import TokenResult

HOUR_MS = 3_600_000
LOAD = LoadCurve(LoadShape.CONSTANT, 1000)


class Shelf:
    """A store in memory, which may refuse."""

    def __init__(self) -> None:
        self.saved: list[PrepaidMeter] = []
        self.is_full = False

    def save(self, meter: PrepaidMeter) -> None:
        if self.is_full:
            message = "the disk is full"
            raise StateFileError(message)
        self.saved.append(meter)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def simulated(meter: PrepaidMeter, clock: StillClock, shelf: Shelf) -> SimulatedMeter:
    started = with_electric(meter, start_meter(at_ms=clock.now_ms(), credit_wh=10_000))
    return SimulatedMeter(started, load=LOAD, clock=clock, store=shelf)


def test_a_meter_has_used_its_energy_whenever_it_is_seen(
    simulated: SimulatedMeter, clock: StillClock
) -> None:
    clock.move(HOUR_MS)
    assert simulated.state.electric.balance_wh == 9000
    assert simulated.state.electric.balance_wh == 9000


def test_how_often_a_meter_is_seen_makes_no_difference(
    meter: PrepaidMeter, clock: StillClock
) -> None:
    curve = LoadCurve(LoadShape.HOUSEHOLD, 900, seed=3)
    start = with_electric(meter, start_meter(at_ms=clock.now_ms(), credit_wh=10_000))
    seen = SimulatedMeter(start, load=curve, clock=clock)
    unseen = SimulatedMeter(start, load=curve, clock=clock)
    for _ in range(300):
        clock.move(37_111)
        assert seen.state.electric.at_ms == clock.now_ms()
    assert seen.state == unseen.state


def test_a_token_is_stored_before_it_is_shown(
    simulated: SimulatedMeter, shelf: Shelf, credit: Callable[..., str]
) -> None:
    entry = simulated.enter_token(credit(5))
    assert entry.result is TokenResult.ACCEPT
    assert shelf.saved[-1].acceptor.tids == (5,)
    assert shelf.saved[-1] == simulated.state


def test_a_token_that_cannot_be_stored_was_not_taken(
    simulated: SimulatedMeter, shelf: Shelf, credit: Callable[..., str]
) -> None:
    shelf.is_full = True
    with pytest.raises(StateFileError):
        simulated.enter_token(credit(5))
    assert simulated.state.acceptor.tids == ()
    assert simulated.state.electric.balance_wh == 10_000


def test_hands_on_the_meter_are_noticed(simulated: SimulatedMeter, clock: StillClock) -> None:
    simulated.raise_tamper(Tamper.COVER)
    simulated.order_relay(RelayPosition.OPEN)
    clock.move(1000)
    electric = simulated.state.electric
    assert (electric.tamper, electric.actual) == (Tamper.COVER, RelayPosition.OPEN)


def test_saving_keeps_what_was_used(
    simulated: SimulatedMeter, clock: StillClock, shelf: Shelf
) -> None:
    clock.move(HOUR_MS)
    simulated.save()
    assert shelf.saved[-1].electric.consumed_wh == 1000


def test_a_meter_tells_its_number(simulated: SimulatedMeter) -> None:
    assert simulated.drn == "01234567897"

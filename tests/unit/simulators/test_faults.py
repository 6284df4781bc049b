import pytest

from simulators.faults import Fault, FaultPlan, FaultRates, FaultRatesError, Transmission

ANSWER = bytes(range(10))


def test_a_plan_without_rates_draws_nothing() -> None:
    assert FaultPlan(FaultRates(), seed=1).draw() is None


def test_the_same_seed_draws_the_same_faults() -> None:
    rates = FaultRates({Fault.DROP: 200, Fault.CORRUPT: 300})
    one, again = FaultPlan(rates, seed=5), FaultPlan(rates, seed=5)
    drawn = [one.draw() for _ in range(200)]
    assert drawn == [again.draw() for _ in range(200)]
    assert set(drawn) == {None, Fault.DROP, Fault.CORRUPT}


def test_a_queued_fault_comes_before_the_rates() -> None:
    plan = FaultPlan(FaultRates({Fault.DROP: 1000}), seed=1)
    plan.queue(None, Fault.DUPLICATE)
    assert [plan.draw() for _ in range(3)] == [None, Fault.DUPLICATE, Fault.DROP]


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (None, (Transmission(ANSWER),)),
        (Fault.DROP, ()),
        (Fault.LOST_ANSWER, ()),
        (Fault.DELAY, (Transmission(ANSWER, 50),)),
        (Fault.LATE_ANSWER, (Transmission(ANSWER, 1500),)),
        (Fault.DUPLICATE, (Transmission(ANSWER), Transmission(ANSWER))),
    ],
)
def test_a_fault_decides_what_is_sent(fault: Fault | None, sent: tuple[Transmission, ...]) -> None:
    assert FaultPlan(FaultRates(), seed=1).spoil(ANSWER, fault) == sent


@pytest.mark.parametrize("seed", range(20))
def test_corruption_turns_one_bit_and_truncation_cuts(seed: int) -> None:
    plan = FaultPlan(FaultRates(), seed=seed)
    (corrupt,) = plan.spoil(ANSWER, Fault.CORRUPT)
    flipped = int.from_bytes(corrupt.payload, "big") ^ int.from_bytes(ANSWER, "big")
    assert flipped.bit_count() == 1
    (cut,) = plan.spoil(ANSWER, Fault.TRUNCATE)
    assert ANSWER.startswith(cut.payload)
    assert len(cut.payload) < len(ANSWER)


@pytest.mark.parametrize("rates", [{Fault.DROP: -1}, {Fault.DROP: 600, Fault.DELAY: 401}])
def test_impossible_rates_are_refused(rates: dict[Fault, int]) -> None:
    with pytest.raises(FaultRatesError, match="permille"):
        FaultRates(rates)

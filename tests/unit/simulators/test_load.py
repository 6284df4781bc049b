import pytest

from simulators.load import MINUTES_PER_DAY, LoadCurve, LoadShape


@pytest.mark.parametrize(("shape", "watts"), [(LoadShape.NONE, 0), (LoadShape.CONSTANT, 700)])
def test_a_plain_load_is_the_same_at_all_times(shape: LoadShape, watts: int) -> None:
    curve = LoadCurve(shape, 700)
    assert {curve.watts_at(minute) for minute in range(0, 5000, 7)} == {watts}


def test_a_household_is_the_same_for_the_same_seed_and_differs_for_another() -> None:
    day = range(MINUTES_PER_DAY)
    one = [LoadCurve(LoadShape.HOUSEHOLD, 400, 1).watts_at(minute) for minute in day]
    again = [LoadCurve(LoadShape.HOUSEHOLD, 400, 1).watts_at(minute) for minute in day]
    other = [LoadCurve(LoadShape.HOUSEHOLD, 400, 2).watts_at(minute) for minute in day]
    assert one == again
    assert one != other


def test_a_household_uses_about_its_mean_and_most_in_the_evening() -> None:
    curve = LoadCurve(LoadShape.HOUSEHOLD, 400, 3)
    watts = [curve.watts_at(minute) for minute in range(MINUTES_PER_DAY)]
    hours = [sum(watts[start : start + 60]) // 60 for start in range(0, MINUTES_PER_DAY, 60)]
    assert 350 <= sum(hours) // 24 <= 450
    assert hours.index(max(hours)) in {19, 20}
    assert min(hours) > 0

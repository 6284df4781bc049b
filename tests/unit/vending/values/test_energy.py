import pytest

from vending.values.energy import Energy


def test_units_of_a_token_are_tenths_of_a_kilowatt_hour() -> None:
    assert Energy.from_sts_units(25) == Energy(2500)
    assert Energy(2500).sts_units_cut_down() == 25


@pytest.mark.parametrize(("wh", "units"), [(0, 0), (99, 0), (100, 1), (199, 1)])
def test_what_fills_no_unit_is_cut(wh: int, units: int) -> None:
    assert Energy(wh).sts_units_cut_down() == units


def test_energy_adds_and_compares() -> None:
    assert Energy(1) + Energy(2) == Energy(3)
    assert Energy(1) < Energy(2)


@pytest.mark.parametrize(("wh", "text"), [(0, "0.000 kWh"), (5, "0.005 kWh"), (2500, "2.500 kWh")])
def test_energy_is_shown_in_kilowatt_hours(wh: int, text: str) -> None:
    assert str(Energy(wh)) == text


def test_energy_is_never_negative() -> None:
    with pytest.raises(ValueError, match="never negative: -1 Wh"):
        Energy(-1)

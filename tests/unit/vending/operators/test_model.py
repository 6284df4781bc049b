"""Operators as records."""

import pytest

from vending.operators.model import person_key


@pytest.mark.parametrize(
    "other",
    [
        "amina wanjiru",
        "AMINA  WANJIRU",
        "Amina\u00a0Wanjiru",
        "\uff21mina Wanjiru",
        " Amina Wanjiru ",
        "Amina\ufe0f Wanjiru",
        "Am\u034fina Wanjiru",
        "Amina\u3164 Wanjiru",
        "Amina Wanjiru\U000e0101",
    ],
)
def test_one_person_is_one_person_however_written(other: str) -> None:
    assert person_key(other) == person_key("Amina Wanjiru")


@pytest.mark.parametrize("other", ["Amina Wanjira", "A. Wanjiru", "S-1042"])
def test_two_people_are_two(other: str) -> None:
    assert person_key(other) != person_key("Amina Wanjiru")

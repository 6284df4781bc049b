import pytest

from vending.sts.digits import group_digits, is_digits, require_digits, ungroup_digits
from vending.sts.errors import FieldFormatError


def test_group_digits_prints_a_token_in_fours() -> None:
    assert group_digits("70630503470028726114") == "7063 0503 4700 2872 6114"


def test_group_digits_leaves_a_short_group_last() -> None:
    assert group_digits("600727000000000009") == "6007 2700 0000 0000 09"


def test_ungroup_digits_drops_spaces_and_hyphens() -> None:
    assert ungroup_digits(" 7063-0503\u00a04700\t2872 6114") == "70630503470028726114"


@pytest.mark.parametrize("text", ["", "12a", "-1", "\u0661\u0662", "\u00b2", "1 2"])
def test_is_digits_takes_ascii_digits_only(text: str) -> None:
    assert not is_digits(text)


@pytest.mark.parametrize(
    "text", ["12345", "1234567", "12345x", "\u0661\u0662\u0663\u0664\u0665\u0666"]
)
def test_require_digits_refuses_another_length_or_sign(text: str) -> None:
    with pytest.raises(FieldFormatError, match=r"SGC .* is not 6 or 8 digits"):
        require_digits("SGC", text, (6, 8))


def test_require_digits_takes_any_of_the_lengths() -> None:
    require_digits("SGC", "123456", (6, 8))
    require_digits("SGC", "12345678", (6, 8))

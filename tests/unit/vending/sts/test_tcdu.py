import pytest

from vending.sts.bits import Bits66
from vending.sts.errors import FieldRangeError
from vending.sts.tcdu import (
    TOKEN_LIMIT,
    TokenCarrierType,
    from_digits,
    to_digits,
    transpose,
)


def test_transposition_of_the_worked_example() -> None:
    encrypted = Bits66(0xD431F4B09E0E9F62)
    assert transpose(encrypted) == 0x3D431F4B0860E9F62
    assert to_digits(encrypted) == "70630503470028726114"
    assert from_digits("70630503470028726114") == encrypted


@pytest.mark.parametrize(("class_bit", "block_bit"), [(65, 28), (64, 27)])
def test_class_bits_change_places_with_bits_28_and_27(class_bit: int, block_bit: int) -> None:
    assert transpose(Bits66(1 << class_bit)) == 1 << block_bit
    assert transpose(Bits66(1 << block_bit)) == 1 << class_bit


def test_every_other_bit_stays() -> None:
    for place in set(range(66)) - {65, 64, 28, 27}:
        assert transpose(Bits66(1 << place)) == 1 << place


def test_small_numbers_are_padded_to_20_digits() -> None:
    assert to_digits(Bits66(7)) == "00000000000000000007"


def test_largest_66_bit_number_is_a_token_and_the_next_is_not() -> None:
    assert from_digits(str(TOKEN_LIMIT - 1)) == TOKEN_LIMIT - 1
    assert from_digits(str(TOKEN_LIMIT)) is None


@pytest.mark.parametrize(
    "digits", ["", "1" * 19, "0" + "1" * 20, "1" * 19 + "x", "+" + "1" * 19, "\u0661" * 20]
)
def test_what_is_not_20_digits_is_no_token(digits: str) -> None:
    assert from_digits(digits) is None


def test_unknown_carrier_is_refused() -> None:
    with pytest.raises(FieldRangeError, match="TCT 3 is not within 1, 2, 7"):
        TokenCarrierType(3)

import pytest

from vending.sts.bits import Bits64, Bits66, block_of, class_of, join, rotate_left_64


@pytest.mark.parametrize(
    ("value", "count", "rotated"),
    [(1, 0, 1), (1, 1, 2), (1 << 63, 1, 1), (0x0123456789ABCDEF, 52, 0xDEF0123456789ABC)],
)
def test_rotate_left_64_carries_round(value: int, count: int, rotated: int) -> None:
    assert rotate_left_64(value, count) == rotated


def test_class_and_block_take_a_token_apart_and_join_puts_it_together() -> None:
    token = Bits66(0b10 << 64 | 0x05014EEC00013188)
    assert class_of(token) == 2
    assert block_of(token) == 0x05014EEC00013188
    assert join(2, Bits64(0x05014EEC00013188)) == token

import pytest

from vending.sts.apdu import (
    build_management_token,
    decode_apdu,
    decode_fields,
    encode_apdu,
    fields_of,
)
from vending.sts.bits import Bits66
from vending.sts.errors import FieldRangeError
from vending.sts.results import AuthenticationResult, Rejection, TokenResult
from vending.sts.tid import TokenIdentifier
from vending.sts.tokens import ClearTamperCondition, ExtendedToken, Resource, TransferCredit


@pytest.fixture
def credit(tid: TokenIdentifier) -> TransferCredit:
    return TransferCredit(resource=Resource.ELECTRICITY, rnd=5, tid=tid, units=1)


def test_block_of_the_worked_example(credit: TransferCredit) -> None:
    assert encode_apdu(credit) == 0x05014EEC00013188
    assert decode_apdu(Bits66(0x05014EEC00013188)) == credit


@pytest.mark.parametrize("place", range(66))
def test_every_single_bit_flip_is_a_crc_error(credit: TransferCredit, place: int) -> None:
    flipped = Bits66(encode_apdu(credit) ^ 1 << place)
    assert decode_apdu(flipped) == Rejection(AuthenticationResult.CRC_ERROR)


@pytest.mark.parametrize("subclass", [3, 4, 8, 9, 11, 15])
def test_management_token_without_tid_is_a_function_error(
    tid: TokenIdentifier, subclass: int
) -> None:
    answer = build_management_token(subclass, rnd=5, tid=tid, value=0)
    assert answer == Rejection(TokenResult.FUNCTION_ERROR)


def test_management_token_of_a_value_that_means_nothing_is_a_range_error(
    tid: TokenIdentifier,
) -> None:
    answer = build_management_token(5, rnd=5, tid=tid, value=1)
    assert answer == Rejection(TokenResult.RANGE_ERROR)


def test_management_token_is_built_from_its_16_bits(tid: TokenIdentifier) -> None:
    assert build_management_token(5, rnd=5, tid=tid, value=0) == ClearTamperCondition(
        rnd=5, tid=tid
    )
    assert build_management_token(10, rnd=5, tid=tid, value=0xFC01) == ExtendedToken(
        rnd=5, tid=tid, index=63, value=1
    )


@pytest.mark.parametrize("value", [-1, 1 << 16])
def test_management_value_beyond_16_bits_is_refused(tid: TokenIdentifier, value: int) -> None:
    with pytest.raises(FieldRangeError, match="value"):
        build_management_token(2, rnd=5, tid=tid, value=value)


@pytest.mark.parametrize("rnd", [-1, 16])
def test_management_rnd_beyond_4_bits_is_refused(tid: TokenIdentifier, rnd: int) -> None:
    with pytest.raises(FieldRangeError, match="RND"):
        build_management_token(2, rnd=rnd, tid=tid, value=0)


def test_fields_of_the_worked_example(credit: TransferCredit) -> None:
    assert fields_of(credit) == (0, 0, 0x5014EEC0001)
    assert decode_fields(*fields_of(credit)) == credit


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ((3, 0, 0), TokenResult.FUNCTION_ERROR),
        ((2, 11, 0), TokenResult.FUNCTION_ERROR),
        ((0, 0, 1 << 44), TokenResult.RANGE_ERROR),
        ((2, 5, 1), TokenResult.RANGE_ERROR),
    ],
)
def test_fields_that_mean_nothing_are_no_token(
    fields: tuple[int, int, int], result: TokenResult
) -> None:
    assert decode_fields(*fields) == Rejection(result)

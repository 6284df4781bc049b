import pytest

from vending.sts.codec import decode, encode
from vending.sts.errors import KeyRequiredError
from vending.sts.keys import DecoderKey
from vending.sts.results import AuthenticationResult, Rejection, TokenResult
from vending.sts.tid import TokenIdentifier
from vending.sts.tokens import ClearTamperCondition, InitiateMeterTest, Resource, TransferCredit


def test_token_of_the_worked_example(sta_key: DecoderKey, tid: TokenIdentifier) -> None:
    credit = TransferCredit(resource=Resource.ELECTRICITY, rnd=5, tid=tid, units=1)
    assert encode(credit, sta_key) == "70630503470028726114"
    assert decode("70630503470028726114", sta_key) == credit


def test_class_1_token_takes_no_key() -> None:
    test_all = InitiateMeterTest(control=(1 << 36) - 1)
    assert encode(test_all, None) == "56493153725450313471"
    assert decode("56493153725450313471", None) == test_all


def test_class_1_token_is_the_same_under_any_key(sta_key: DecoderKey) -> None:
    assert decode("56493153725450313471", sta_key) == decode("56493153725450313471", None)


def test_encrypted_token_without_a_key_is_refused(tid: TokenIdentifier) -> None:
    with pytest.raises(KeyRequiredError, match="class 2"):
        encode(ClearTamperCondition(rnd=5, tid=tid), None)
    with pytest.raises(KeyRequiredError, match="class 0"):
        decode("70630503470028726114", None)


def test_token_under_another_meters_key_is_a_crc_error(misty1_key: DecoderKey) -> None:
    answer = decode("70630503470028726114", misty1_key)
    assert answer == Rejection(AuthenticationResult.CRC_ERROR)


def test_format_and_class_are_judged_before_a_key_is_needed() -> None:
    assert decode("123", None) == Rejection(TokenResult.FORMAT_ERROR)
    class_3 = str(0b11 << 27).zfill(20)
    assert decode(class_3, None) == Rejection(TokenResult.FUNCTION_ERROR)

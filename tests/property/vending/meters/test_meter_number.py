import pytest
from hypothesis import given
from hypothesis import strategies as st

from vending.errors import VendingError
from vending.meters.errors import LeadingZeroLostError, MeterCheckDigitError
from vending.meters.rules import parse_meter_number
from vending.sts.pan import luhn_check_digit

drns = st.sampled_from([10, 12]).flatmap(
    lambda length: st.text("0123456789", min_size=length, max_size=length).map(
        lambda body: body + luhn_check_digit(body)
    )
)


@given(drns)
def test_a_meter_number_survives_the_way_through_its_pan(drn: str) -> None:
    pan = parse_meter_number(drn)
    assert pan.iain == drn
    assert parse_meter_number(pan.digits) == pan


@given(drns, st.integers(0, 12), st.integers(1, 9))
def test_one_mistyped_digit_is_always_found(drn: str, place: int, shift: int) -> None:
    index = place % len(drn)
    wrong = str((int(drn[index]) + shift) % 10)
    with pytest.raises(MeterCheckDigitError) as refused:
        parse_meter_number(drn[:index] + wrong + drn[index + 1 :])
    if index == len(drn) - 1:
        assert refused.value.facts["likely_digit"] == drn[-1]


@given(st.text("0123456789", min_size=9, max_size=9), st.sampled_from(["", " ", "'"]))
def test_a_dropped_zero_is_named_and_never_guessed(body: str, before: str) -> None:
    drn = f"0{body}{luhn_check_digit(f'0{body}')}"
    with pytest.raises(LeadingZeroLostError) as refused:
        parse_meter_number(before + drn[1:])
    assert refused.value.facts["likely"] == drn


@given(st.text(max_size=40))
def test_any_text_is_a_meter_or_a_refusal(text: str) -> None:
    try:
        pan = parse_meter_number(text)
    except VendingError:
        return
    assert pan.digits.isascii()
    assert pan.digits.isdigit()

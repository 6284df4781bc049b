import dataclasses
from typing import get_args

import pytest

from vending.sts.errors import AmountTooLargeError, FieldRangeError, NegativeAmountError
from vending.sts.keys import TI, KeyType
from vending.sts.tid import TokenIdentifier
from vending.sts.tokens import (
    DATA_WIDTH,
    TOKEN_LAYOUTS,
    ClearCredit,
    ClearTamperCondition,
    CreditRegister,
    ExtendedToken,
    InitiateMeterTest,
    Layout,
    Resource,
    Set1stSectionDecoderKey,
    Set2ndSectionDecoderKey,
    Set3rdSectionDecoderKey,
    Set4thSectionDecoderKey,
    SetMaximumPhasePowerUnbalanceLimit,
    SetMaximumPowerLimit,
    SetTariffRate,
    SetWaterMeterFactor,
    Token,
    TokenClass,
    TransferCredit,
    TransferCurrency,
    as_received,
    layout_of,
)

TID = TokenIdentifier(85740)
NUMBERS = {
    (TokenClass.CREDIT, 0): TransferCredit(resource=Resource.ELECTRICITY, rnd=5, tid=TID, units=1),
    (TokenClass.CREDIT, 3): TransferCredit(resource=Resource.TIME, rnd=5, tid=TID, units=1),
    (TokenClass.CREDIT, 6): TransferCurrency(resource=Resource.GAS, tid=TID, amount=1),
    (TokenClass.TEST, 0): InitiateMeterTest(control=1),
    (TokenClass.TEST, 1): InitiateMeterTest(control=1, manufacturer_digits=4),
    (TokenClass.MANAGEMENT, 0): SetMaximumPowerLimit(rnd=5, tid=TID, limit_w=1),
    (TokenClass.MANAGEMENT, 1): ClearCredit(rnd=5, tid=TID, register=CreditRegister.ALL),
    (TokenClass.MANAGEMENT, 2): SetTariffRate(rnd=5, tid=TID, rate=1),
    (TokenClass.MANAGEMENT, 3): Set1stSectionDecoderKey(
        ken_high=15, krn=1, rollover=False, kt=KeyType.DUTK, nkho=b"abcd"
    ),
    (TokenClass.MANAGEMENT, 4): Set2ndSectionDecoderKey(ken_low=15, ti=TI("01"), nklo=b"abcd"),
    (TokenClass.MANAGEMENT, 5): ClearTamperCondition(rnd=5, tid=TID),
    (TokenClass.MANAGEMENT, 6): SetMaximumPhasePowerUnbalanceLimit(rnd=5, tid=TID, limit_w=1),
    (TokenClass.MANAGEMENT, 7): SetWaterMeterFactor(rnd=5, tid=TID, wmf=1),
    (TokenClass.MANAGEMENT, 8): Set3rdSectionDecoderKey(sgc_low=1, nkmo2=b"abcd"),
    (TokenClass.MANAGEMENT, 9): Set4thSectionDecoderKey(sgc_high=1, nkmo1=b"abcd"),
    (TokenClass.MANAGEMENT, 10): ExtendedToken(rnd=5, tid=TID, index=63, value=1023),
}


@pytest.mark.parametrize(("numbers", "token"), NUMBERS.items(), ids=str)
def test_token_has_the_class_and_subclass_of_the_standard(
    numbers: tuple[int, int], token: Token
) -> None:
    layout = layout_of(token)
    assert (layout.token_class, layout.subclass) == numbers
    assert TOKEN_LAYOUTS[numbers] is layout


@pytest.mark.parametrize("layout", TOKEN_LAYOUTS.values(), ids=lambda row: f"{row.subclass}")
def test_fields_of_every_layout_fill_the_44_data_bits(layout: Layout) -> None:
    assert sum(field.width for field in layout.fields) == DATA_WIDTH


def test_every_record_has_a_row_and_every_attribute_a_field() -> None:
    rows = {layout.record: layout for layout in TOKEN_LAYOUTS.values()}
    assert set(rows) == set(get_args(Token))
    for record, layout in rows.items():
        told = {layout.variant[0]} if layout.variant else set()
        assert {field.name for field in layout.fields if field.name} | told == {
            attribute.name
            for attribute in dataclasses.fields(record)  # type: ignore[arg-type]  # a record class
        }


def test_tokens_of_a_class_fill_no_more_than_16_subclasses() -> None:
    assert all(subclass in range(16) for _, subclass in TOKEN_LAYOUTS)
    assert len(TOKEN_LAYOUTS) == 8 + 2 + 11


def test_only_class_1_and_key_change_tokens_carry_no_tid() -> None:
    without = {numbers for numbers, layout in TOKEN_LAYOUTS.items() if not layout.carries_tid}
    assert without == {(1, 0), (1, 1), (2, 3), (2, 4), (2, 8), (2, 9)}


@pytest.mark.parametrize("rnd", [-1, 16])
def test_rnd_beyond_4_bits_is_refused(rnd: int) -> None:
    with pytest.raises(FieldRangeError, match="random number"):
        ClearTamperCondition(rnd=rnd, tid=TID)


@pytest.mark.parametrize(("control", "digits"), [(1 << 36, 2), (1 << 28, 4)])
def test_control_beyond_its_bits_is_refused(control: int, digits: int) -> None:
    with pytest.raises(FieldRangeError, match="control"):
        InitiateMeterTest(control=control, manufacturer_digits=digits)


@pytest.mark.parametrize(("code", "digits"), [(100, 2), (10_000, 4)])
def test_manufacturer_code_beyond_its_digits_is_refused(code: int, digits: int) -> None:
    with pytest.raises(FieldRangeError, match="manufacturer code"):
        InitiateMeterTest(control=1, manufacturer=code, manufacturer_digits=digits)


def test_manufacturer_code_of_3_digits_is_refused() -> None:
    with pytest.raises(FieldRangeError, match="manufacturer_digits 3 is not within 2, 4"):
        InitiateMeterTest(control=1, manufacturer_digits=3)


def test_unknown_resource_is_refused() -> None:
    with pytest.raises(FieldRangeError, match="resource 4"):
        Resource(4)


@pytest.mark.parametrize(
    ("units", "refusal"), [(-1, NegativeAmountError), (18_201_625, AmountTooLargeError)]
)
def test_credit_that_no_token_carries_is_refused(units: int, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        TransferCredit(resource=Resource.WATER, rnd=5, tid=TID, units=units)


@pytest.mark.parametrize(("index", "value"), [(64, 0), (0, 1024)])
def test_extended_token_beyond_its_bits_is_refused(index: int, value: int) -> None:
    with pytest.raises(FieldRangeError):
        ExtendedToken(rnd=5, tid=TID, index=index, value=value)


def test_as_received_rounds_the_amount_and_keeps_the_rest() -> None:
    sold = TransferCredit(resource=Resource.WATER, rnd=5, tid=TID, units=16385)
    assert as_received(sold) == dataclasses.replace(sold, units=16394)


def test_printing_a_section_shows_no_key_material() -> None:
    section = Set3rdSectionDecoderKey(sgc_low=1, nkmo2=b"abcd")
    assert repr(section) == "Set3rdSectionDecoderKey(sgc_low=1)"

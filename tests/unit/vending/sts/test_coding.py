import pytest

from vending.sts import coding
from vending.sts.coding import Field, encode_value
from vending.sts.errors import FieldRangeError
from vending.sts.keys import TI
from vending.sts.tid import TokenIdentifier


def test_number_outside_its_codes_is_refused() -> None:
    krn = Field("krn", 4, coding.KRN, "KRN")
    assert encode_value(krn, 9) == 9
    with pytest.raises(FieldRangeError, match="KRN 10 is not within 1 to 9"):
        encode_value(krn, 10)


@pytest.mark.parametrize("value", ["5", 5.0])
def test_number_is_never_read_from_a_text_or_a_float(value: object) -> None:
    with pytest.raises(TypeError):
        encode_value(Field("rnd", 4, coding.bits(4), "RND"), value)


def test_key_part_is_4_bytes() -> None:
    part = Field("nkho", 32, coding.KEY_PART, "NKHO")
    assert encode_value(part, b"\x01\x02\x03\x04") == 0x01020304
    assert coding.KEY_PART.decode(0x01020304) == b"\x01\x02\x03\x04"
    with pytest.raises(FieldRangeError, match="key part size 3 is not within 4 bytes"):
        encode_value(part, b"abc")


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (coding.UNITS, 16384, "1638.4"),
        (coding.WATTS, 1000, "1000 W"),
        (coding.CURRENCY, -123456, "-1.23456"),
        (coding.CURRENCY, 7, "0.00007"),
        (coding.FLAG, True, "yes"),
        (coding.FLAG, False, "no"),
        (coding.TARIFF_INDEX, TI("07"), "07"),
        (coding.TOKEN_IDENTIFIER, TokenIdentifier(85740), "85740 minutes from the base date"),
        (coding.KEY_PART, b"abcd", "key material, not shown"),
    ],
)
def test_values_are_shown_for_a_person(kind: coding.Coding, value: object, shown: str) -> None:
    assert kind.show(value) == shown

import dataclasses

import pytest

from vending.sts.errors import (
    CheckDigitError,
    FieldFormatError,
    FieldRangeError,
    UnknownIINError,
    UnsupportedError,
)
from vending.sts.keys import SGC, TI, EncryptionAlgorithm
from vending.sts.pan import DRN, IDRecord, MeterPAN, luhn_check_digit, parse_meter
from vending.sts.tcdu import TokenCarrierType

RECORD = "600727000000000009" + "0000" + "02" + "07" + "201457" + "01" + "1"


@pytest.fixture
def id_record() -> IDRecord:
    return IDRecord(
        pan=MeterPAN("600727000000000009"),
        tct=TokenCarrierType.NUMERIC,
        ea=EncryptionAlgorithm.STA,
        sgc=SGC("201457"),
        ti=TI("01"),
        krn=1,
    )


@pytest.mark.parametrize(
    ("digits", "check"),
    [("7992739871", "3"), ("60072700000000000", "9"), ("010000000000", "8"), ("0" * 10, "0")],
)
def test_luhn_check_digit(digits: str, check: str) -> None:
    assert luhn_check_digit(digits) == check


@pytest.mark.parametrize(
    ("digits", "iin", "iain"),
    [
        ("600727000000000009", "600727", "00000000000"),
        ("000001000000000082", "0000", "0100000000008"),
    ],
)
def test_meter_pan_is_iin_iain_and_check_digit(digits: str, iin: str, iain: str) -> None:
    pan = MeterPAN(digits)
    assert (pan.iin, pan.iain, pan.drn.digits, str(pan)) == (iin, iain, iain, digits)
    assert MeterPAN.from_drn(iain) == pan


def test_drn_begins_with_the_manufacturer() -> None:
    assert DRN("12345678903").manufacturer == "12"
    assert DRN("0100000000008").manufacturer == "0100"
    assert str(DRN("12345678903")) == "12345678903"


@pytest.mark.parametrize(
    "text", ["12345678903", "1234-5678 903", "600727123456789030", "6007 2712 3456 7890 30"]
)
def test_parse_meter_takes_what_is_printed_and_what_is_on_the_card(text: str) -> None:
    assert parse_meter(text).digits == "600727123456789030"


def test_parse_meter_takes_a_drn_of_13_digits() -> None:
    assert parse_meter("0100000000008").digits == "000001000000000082"


@pytest.mark.parametrize("text", ["", "123", "123456789012", "x2345678903", "6007271234567890301"])
def test_parse_meter_refuses_another_length(text: str) -> None:
    with pytest.raises(FieldFormatError, match=r"meter number .* is not 11 or 13 or 18 digits"):
        parse_meter(text)


def test_wrong_check_digit_names_the_likely_one() -> None:
    with pytest.raises(CheckDigitError, match=r"DRN ends in check digit 4.* call for 3") as refusal:
        parse_meter("12345678904")
    assert (refusal.value.given, refusal.value.expected) == ("4", "3")


def test_wrong_check_digit_of_the_pan_is_refused() -> None:
    with pytest.raises(CheckDigitError, match=r"MeterPAN ends in check digit 1.* call for 0"):
        MeterPAN("600727123456789031")


def test_wrong_check_digit_inside_the_pan_is_refused() -> None:
    body = "600727" + "12345678904"
    with pytest.raises(CheckDigitError, match="DRN"):
        MeterPAN(body + luhn_check_digit(body))


@pytest.mark.parametrize("place", range(18))
def test_every_single_mistyped_digit_of_a_pan_is_refused(place: int) -> None:
    digits = "600727123456789030"
    for wrong in set("0123456789") - {digits[place]}:
        with pytest.raises((CheckDigitError, UnknownIINError)):
            MeterPAN(digits[:place] + wrong + digits[place + 1 :])


def test_unknown_iin_is_refused() -> None:
    with pytest.raises(UnknownIINError, match="neither 600727 nor 0000"):
        MeterPAN("600728000000000008")


def test_parse_drops_what_people_put_between_digits() -> None:
    assert MeterPAN.parse("6007 2700-0000 0000 09") == MeterPAN("600727000000000009")


def test_id_record_is_35_digits_and_back(id_record: IDRecord) -> None:
    assert str(id_record) == RECORD
    assert len(RECORD) == 35
    assert IDRecord.parse(RECORD) == id_record


def test_id_record_of_another_length_is_refused() -> None:
    with pytest.raises(FieldFormatError, match="IDRecord"):
        IDRecord.parse(RECORD[:-1])


def test_id_record_with_a_date_of_expiry(id_record: IDRecord) -> None:
    assert str(dataclasses.replace(id_record, doe="2612"))[18:22] == "2612"


@pytest.mark.parametrize("doe", ["2613", "2600"])
def test_id_record_of_an_impossible_month_is_refused(id_record: IDRecord, doe: str) -> None:
    with pytest.raises(FieldRangeError, match="DOE month"):
        dataclasses.replace(id_record, doe=doe)


@pytest.mark.parametrize("krn", [0, 10])
def test_id_record_of_an_impossible_krn_is_refused(id_record: IDRecord, krn: int) -> None:
    with pytest.raises(FieldRangeError, match="KRN"):
        dataclasses.replace(id_record, krn=krn)


def test_id_record_of_a_dea_meter_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="EA09"):
        IDRecord.parse(RECORD[:24] + "09" + RECORD[26:])

from dataclasses import replace
from itertools import product

import pytest

from vending.errors import VendingError
from vending.meters import errors, rules
from vending.meters.model import (
    TRANSITIONS,
    VENDABLE_STATES,
    Location,
    Meter,
    MeterRow,
    MeterState,
    NewMeter,
)
from vending.meters.rules import (
    METER_COLUMNS,
    check_transition,
    parse_meter_number,
    parse_meter_row,
    require_note,
    require_vendable,
)
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN
from vending.sts.tid import BaseDate
from vending.values.csv_rows import Row, ScientificNotationError
from vending.values.money import Currency

LEAST = {
    "drn": "01234567897", "sgc": "123457", "krn": "1", "kt": "2", "ti": "1", "ea": "07",
    "dkga": "04", "base_date": "2014", "tariff_code": "RES-1", "currency": "KES",
}  # fmt: skip


def row(**cells: str) -> Row:
    known = (*METER_COLUMNS.required, *METER_COLUMNS.optional)
    return Row(7, dict.fromkeys(known, "") | LEAST | cells)


def codes(parsed: object) -> list[tuple[str, str]]:
    assert isinstance(parsed, list)
    return [(finding.column, finding.code) for finding in parsed]


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("00000000000", "600727000000000009"),
        ("0000 0000 000", "600727000000000009"),
        ("600727000000000009", "600727000000000009"),
        ("'01234567897", "600727012345678977"),
        ("1234567891233", "000012345678912333"),
    ],
)
def test_a_meter_number_is_read_in_each_form(text: str, digits: str) -> None:
    pan = parse_meter_number(text)
    assert pan == MeterPAN(digits)


def test_a_mistyped_number_names_the_likely_digit() -> None:
    with pytest.raises(errors.MeterCheckDigitError) as refused:
        parse_meter_number("01234567890")
    assert refused.value.facts == {"given": "01234567890", "likely_digit": "7"}
    assert "call for 7" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "likely"),
    [
        ("1234567897", "01234567897"),
        ("123456782", "00123456782"),
        ("12345678912333", "000012345678912333"),
    ],
)
def test_zeros_that_a_spreadsheet_dropped_are_named(text: str, likely: str) -> None:
    with pytest.raises(errors.LeadingZeroLostError) as refused:
        parse_meter_number(text)
    assert refused.value.facts == {"given": text, "likely": likely}
    assert f"{len(text)} digits where {len(likely)} are expected" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "1234567890", "123456", "1" * 19, "123456789012345675", "=1+1", "\u0660" * 11],
)
def test_what_is_no_meter_number_is_refused(text: str) -> None:
    with pytest.raises(errors.MeterNumberInvalidError, match="11, 13 or 18 digits"):
        parse_meter_number(text)


def test_a_meter_number_that_a_spreadsheet_rounded_is_refused_by_name() -> None:
    with pytest.raises(ScientificNotationError, match=r"6\.0E\+10"):
        parse_meter_number("6.0E+10")


@pytest.mark.parametrize(("origin", "target"), list(product(MeterState, MeterState)))
def test_each_pair_of_states_is_a_way_or_refused(origin: MeterState, target: MeterState) -> None:
    if any(t.origin is origin and t.target is target for t in TRANSITIONS):
        check_transition(origin, target)
        return
    with pytest.raises(errors.MeterTransitionError, match=f"does not become {target}"):
        check_transition(origin, target)


def test_a_refused_way_names_those_allowed() -> None:
    with pytest.raises(errors.MeterTransitionError, match="allowed: commissioned, removed"):
        check_transition(MeterState.BLOCKED, MeterState.FAULTY)
    with pytest.raises(errors.MeterTransitionError, match="allowed: none"):
        check_transition(MeterState.DECOMMISSIONED, MeterState.STOCK)


@pytest.mark.parametrize("state", MeterState)
def test_a_sale_needs_a_commissioned_meter(meter: Meter, state: MeterState) -> None:
    found = replace(meter, state=state)
    if state in VENDABLE_STATES:
        assert require_vendable(meter.pan, found) is found
        return
    with pytest.raises(errors.MeterNotVendableError) as refused:
        require_vendable(meter.pan, found)
    assert refused.value.facts == {"number": meter.pan.iain, "state": state}


def test_only_commissioned_meters_take_a_sale() -> None:
    assert {MeterState.COMMISSIONED} == VENDABLE_STATES


def test_an_unknown_meter_takes_no_sale(meter: Meter) -> None:
    with pytest.raises(errors.MeterNotFoundError) as refused:
        require_vendable(meter.pan, None)
    assert refused.value.facts == {"number": meter.pan.iain}


@pytest.mark.parametrize("text", ["", " ", "x" * 201, "a\nb"])
def test_a_note_says_something(text: str) -> None:
    with pytest.raises(errors.MeterInvalidError, match="reason: 1 to 200"):
        require_note("reason", text)
    assert require_note("reason", "unpaid rent") == "unpaid rent"


def test_a_row_with_the_least_becomes_a_meter() -> None:
    assert parse_meter_row(row()) == MeterRow(
        NewMeter(
            pan=MeterPAN.from_drn("01234567897"),
            sgc=SGC("123457"),
            krn=1,
            kt=KeyType.DUTK,
            ti=TI("01"),
            ea=EncryptionAlgorithm.STA,
            dkga=KeyDerivation.DKGA04,
            base_date=BaseDate.Y2014,
            tariff_code="RES-1",
            currency=Currency("KES"),
        ),
        account_number=None,
    )


def test_a_full_row_becomes_a_meter() -> None:
    parsed = parse_meter_row(
        row(
            resource="Electricity",
            profile="reference_prepay",
            link="modbus-tcp://10.0.0.1:502/1",
            location="人民路 1 号",
            latitude="-1.2863895",
            longitude="36.817",
            account_number="'007",
            state="Commissioned",
            currency="kes",
        )
    )
    assert isinstance(parsed, MeterRow)
    assert parsed.account_number == "007"
    assert parsed.meter.profile == "reference_prepay"
    assert parsed.meter.link == "modbus-tcp://10.0.0.1:502/1"
    assert parsed.meter.location == Location("人民路 1 号", -1_286_390, 36_817_000)
    assert parsed.meter.state is MeterState.COMMISSIONED


@pytest.mark.parametrize(
    ("column", "text", "code"),
    [
        ("drn", "01234567890", "meter_check_digit"),
        ("drn", "1234567897", "leading_zero_lost"),
        ("drn", "6.0E+10", "scientific_notation"),
        ("drn", "12", "meter_number_invalid"),
        ("sgc", "12345", "leading_zero_lost"),
        ("sgc", "1234567", "meter_invalid"),
        ("sgc", "12345x", "meter_invalid"),
        ("krn", "0", "meter_invalid"),
        ("krn", "10", "meter_invalid"),
        ("krn", "one", "meter_invalid"),
        ("krn", "\u0661", "meter_invalid"),
        ("kt", "4", "meter_invalid"),
        ("ti", "100", "meter_invalid"),
        ("ea", "9", "meter_invalid"),
        ("dkga", "1", "meter_invalid"),
        ("base_date", "2015", "meter_invalid"),
        ("tariff_code", "", "meter_invalid"),
        ("tariff_code", "1.0E+10", "scientific_notation"),
        ("currency", "XXQ", "meter_invalid"),
        ("resource", "water", "meter_invalid"),
        ("profile", "=x", "text_not_plain"),
        ("profile", "X Y", "meter_invalid"),
        ("link", "tcp://x", "meter_invalid"),
        ("location", "=1+1", "text_not_plain"),
        ("location", "x" * 201, "meter_invalid"),
        ("latitude", "1,5", "meter_invalid"),
        ("latitude", "91", "meter_invalid"),
        ("longitude", "181", "meter_invalid"),
        ("longitude", "E36", "meter_invalid"),
        ("account_number", "=1", "text_not_plain"),
        ("state", "removed", "meter_invalid"),
    ],
)
def test_a_bad_cell_is_found(column: str, text: str, code: str) -> None:
    assert codes(parse_meter_row(row(**{column: text}))) == [(column, code)]


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({"latitude": "1.5"}, "longitude"),
        ({"longitude": "1.5"}, "longitude"),
        ({"ea": "11", "dkga": "2"}, "dkga"),
        ({"link": "modbus-tcp://10.0.0.1:502/1"}, "profile"),
    ],
)
def test_cells_that_contradict_each_other_are_found(cells: dict[str, str], column: str) -> None:
    assert codes(parse_meter_row(row(**cells))) == [(column, "meter_invalid")]


def test_every_bad_cell_of_a_row_is_found() -> None:
    found = codes(parse_meter_row(row(drn="1", krn="0", currency="?")))
    assert [column for column, _ in found] == ["drn", "krn", "currency"]


def test_every_column_has_a_parser() -> None:
    assert set(rules._CELLS) == {*METER_COLUMNS.required, *METER_COLUMNS.optional}


@pytest.mark.parametrize(
    ("text", "latitude_udeg"), [("0", 0), ("-0.0000005", -1), ("1.2863894", 1_286_389), ("", None)]
)
def test_degrees_are_read_exactly(text: str, latitude_udeg: int | None) -> None:
    assert rules.parse_latitude(text) == latitude_udeg


def test_every_refusal_says_what_to_do() -> None:
    for refusal in vars(errors).values():
        if (
            isinstance(refusal, type)
            and issubclass(refusal, VendingError)
            and refusal.__module__ == errors.__name__
        ):
            assert refusal.remedy

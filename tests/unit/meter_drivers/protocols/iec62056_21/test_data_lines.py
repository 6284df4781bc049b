import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.iec62056_21.data_lines import (
    UNITS,
    DataSet,
    Measure,
    find_error,
    measure,
    parse_data,
    parse_line,
    write_readout,
)

LINES: list[tuple[str, tuple[DataSet, ...]]] = [
    ("1-0:1.8.0*255(000123.45*kWh)", (DataSet("1-0:1.8.0*255", "000123.45", "kWh"),)),
    ("1.8.0(000123.45*kWh)", (DataSet("1.8.0", "000123.45", "kWh"),)),
    ("0.0.0(00012345)", (DataSet("0.0.0", "00012345"),)),
    ("F.F(00)", (DataSet("F.F", "00"),)),
    ("1.6.1(1.23*kW)(26-11-25)", (DataSet("1.6.1", "1.23", "kW"), DataSet("", "26-11-25"))),
    ("3:171.0(0)", (DataSet("3:171.0", "0"),)),
    ("1.8.0()", (DataSet("1.8.0", ""),)),
    ("(000123.45*kWh)", (DataSet("", "000123.45", "kWh"),)),
    ("", ()),
]


@pytest.mark.parametrize(("line", "data_sets"), LINES)
def test_line_is_read_and_written(line: str, data_sets: tuple[DataSet, ...]) -> None:
    assert parse_line(line) == data_sets
    assert "".join(data_set.to_text() for data_set in data_sets) == line


@pytest.mark.parametrize("line", ["1.8.0", "1.8.0(1", "1.8.0(1))", "(1*2*kWh)x", "1.8.0((1)"])
def test_line_of_anything_else_is_refused(line: str) -> None:
    with pytest.raises(RemoteProtocolError, match="no line of data sets"):
        parse_line(line)


def test_readout_is_read_and_written() -> None:
    lines = [data_sets for line, data_sets in LINES if line]
    data = write_readout(lines)
    assert data.endswith("\r\n!\r\n")
    assert parse_data(data) == tuple(data_set for line in lines for data_set in line)


def test_lines_behind_the_end_of_a_readout_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="end of a readout"):
        parse_data("1(1)\r\n!\r\n2(2)\r\n")


@pytest.mark.parametrize(
    "data_set", [DataSet("1(", ""), DataSet("1", ")"), DataSet("1", "1*"), DataSet("1", "1", "\n")]
)
def test_data_set_that_cannot_be_written_is_our_fault(data_set: DataSet) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be written"):
        data_set.to_text()


@pytest.mark.parametrize(
    ("data", "error"),
    [("(ER01)", "ER01"), ("(ERROR)", "ERROR"), ("(12)", None), ("1(ER)", None), ("(ER)(1)", None)],
)
def test_error_stands_in_place_of_data(data: str, error: str | None) -> None:
    assert find_error(parse_line(data)) == error


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("000123.45", "kWh", Measure(123_450, "Wh")),
        ("-0.001", "kWh", Measure(-1, "Wh")),
        ("+7", "Wh", Measure(7, "Wh")),
        ("12.3450", "MWh", Measure(12_345_000, "Wh")),
        ("230.1", "V", Measure(230_100, "mV")),
        ("5.", "A", Measure(5_000, "mA")),
        ("1.2345", "kW", Measure(1_234_500, "mW")),
        ("49.99", "Hz", Measure(49_990, "mHz")),
    ],
)
def test_value_becomes_a_whole_count(value: str, unit: str, expected: Measure) -> None:
    assert measure(DataSet("", value, unit)) == expected


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("1.5", "Wh"),
        ("0.0001", "V"),
        ("1", "furlong"),
        ("1", None),
        ("", "kWh"),
        ("1e3", "kWh"),
        ("1,5", "kWh"),
        ("\u0661", "kWh"),
        ("nan", "kWh"),
    ],
)
def test_value_that_is_no_whole_count_is_refused(value: str, unit: str | None) -> None:
    with pytest.raises(RemoteProtocolError):
        measure(DataSet("", value, unit))


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_measures_one(unit: str) -> None:
    assert measure(DataSet("", "1", unit)).count == 10 ** UNITS[unit][1]

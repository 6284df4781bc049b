import io

import pytest

from vending.errors import ErrorKind, VendingError
from vending.values import csv_rows
from vending.values.csv_rows import (
    Columns,
    Finding,
    ParsedFile,
    RecordFormat,
    Row,
    ScientificNotationError,
    TextCellError,
    check_cells,
    clean_digits,
    clean_text,
    in_batches,
    no_progress,
    parse_file,
    read_rows,
)

COLUMNS = Columns(required=("number", "name"), optional=("note",))


class TooLongError(VendingError):
    kind = ErrorKind.INVALID
    code = "too_long"
    remedy = "Shorten it."


def short(text: str) -> str:
    if len(text) > 5:
        message = f"{text} is too long"
        raise TooLongError(message)
    return text


def parse(row: Row) -> str | list[Finding]:
    return check_cells(row, {"number": short, "name": short}) or row.cells["number"]


FORMAT = RecordFormat(columns=COLUMNS, parse=parse, key_column="number", key=str)


def read(text: str | bytes) -> list[Row | Finding]:
    content = text.encode() if isinstance(text, str) else text
    return list(read_rows(io.BytesIO(content), COLUMNS))


def findings_of(text: str | bytes) -> list[tuple[int, str, str]]:
    return [(f.row, f.column, f.code) for f in read(text) if isinstance(f, Finding)]


def parsed(text: str) -> ParsedFile[str]:
    return parse_file(io.BytesIO(text.encode()), FORMAT, no_progress)


@pytest.mark.parametrize(
    "text",
    [
        "number,name\n1,A\n",
        "\ufeffnumber,name\r\n1,A\r\n",
        "number;name\n1;A",
        "number\tname\n1\tA\n",
        " Number , NAME \n 1 , A \n",
        '"number","name"\n"1","A"\n',
        "name,number\nA,1\n",
        "number,name\n1,A,,\n",
    ],
)
def test_rows_are_read_whatever_the_spreadsheet_made_of_them(text: str) -> None:
    assert read(text) == [Row(2, {"number": "1", "name": "A", "note": ""})]


def test_rows_are_numbered_as_the_spreadsheet_numbers_them() -> None:
    rows = read('number,name\n1,"two\nlines"\n\n,\n2,B\n')
    assert [row.number for row in rows if isinstance(row, Row)] == [2, 5]


def test_a_short_row_has_empty_cells() -> None:
    assert read("number,name,note\n1\n") == [Row(2, {"number": "1", "name": "", "note": ""})]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", [(1, "number", "missing_column"), (1, "name", "missing_column")]),
        ("number,nmae\n1,A\n", [(1, "name", "missing_column"), (1, "nmae", "unknown_column")]),
        ("number,name,name\n", [(1, "name", "duplicate_column")]),
        ("number,name,zzz\n", [(1, "zzz", "unknown_column")]),
        ("number,name\n1,A,B\n2,C\n", [(2, "", "too_many_cells")]),
        ('number,name\n1,"A\n', [(2, "", "malformed_csv")]),
        ("number,name\n1,张三\n".encode("gb18030"), [(2, "", "not_utf8")]),
        ("number,name\n".encode("utf-16"), [(2, "", "not_utf8")]),
        (b"number,name\n1,\xff\xff\xff\n", [(2, "", "not_utf8")]),
        (b"x" * 70_000, [(2, "", "line_too_long")]),
    ],
)
def test_an_unreadable_file_ends_in_findings(
    text: str | bytes, expected: list[tuple[int, str, str]]
) -> None:
    assert findings_of(text) == expected


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("number,name\n1,张三\n".encode("gb18030"), "perhaps in GBK"),
        ("number,name\n".encode("utf-16"), "in UTF-16"),
        (b"PK\x03\x04\xff\xff\xff\n", "a spreadsheet's own file"),
        (b"number,name\n1,\xff\xff\xff\n", "in another encoding"),
    ],
)
def test_the_likely_encoding_is_named(content: bytes, hint: str) -> None:
    (finding,) = (f for f in read(content) if isinstance(f, Finding))
    assert hint in finding.message
    assert "CSV UTF-8" in finding.message


def test_a_likely_column_is_named() -> None:
    finding = read("number,nmae\n")[1]
    assert isinstance(finding, Finding)
    assert "did you mean name?" in finding.message


def test_a_file_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "ROW_COUNT_MAX", 2)
    assert findings_of("number,name\n1,A\n2,B\n3,C\n") == [(3, "", "too_many_rows")]


@pytest.mark.parametrize("text", ["6.0E+10", "6e10", "6,0E+10", "-1.5e-3", "'6.0E+10"])
def test_scientific_notation_is_refused_by_name(text: str) -> None:
    with pytest.raises(ScientificNotationError, match="spreadsheet rounded"):
        clean_digits(text)


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("0123", "0123"),
        (" 01 23 ", "0123"),
        ("'0123", "0123"),
        ("01-23", "0123"),
        ("01\u00a023", "0123"),
        ("E12", "E12"),
    ],
)
def test_digits_lose_what_people_add(text: str, digits: str) -> None:
    assert clean_digits(text) == digits


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", ' =HYPERLINK("x")', "a\u202eb", "a\x00b", "a\nb"]
)
def test_what_a_spreadsheet_would_run_or_not_show_is_refused(text: str) -> None:
    with pytest.raises(TextCellError, match="no plain text"):
        clean_text(text)


def test_plain_text_is_kept() -> None:
    assert clean_text(" 张三 1+1=2 ") == "张三 1+1=2"


def test_each_bad_cell_is_a_finding_that_says_what_to_do() -> None:
    assert parsed("number,name\n1234567,abcdefg\n").findings == (
        Finding(2, "number", "too_long", "1234567 is too long. Shorten it."),
        Finding(2, "name", "too_long", "abcdefg is too long. Shorten it."),
    )


def test_one_bad_row_does_not_stop_the_next() -> None:
    result = parsed("number,name\n1234567,A\n2,B\n3,C,D\n4,E\n")
    assert [numbered.record for numbered in result.records] == ["2", "4"]
    assert [numbered.row for numbered in result.records] == [3, 5]
    assert [finding.row for finding in result.findings] == [2, 4]
    assert result.row_count == 3


def test_a_duplicate_names_the_row_it_repeats() -> None:
    result = parsed("number,name\n1,A\n2,B\n1,C\n")
    (finding,) = result.findings
    assert (finding.row, finding.column, finding.code) == (4, "number", "duplicate_in_file")
    assert "Row 2" in finding.message


def test_the_list_of_findings_is_bounded() -> None:
    rows = "".join(f"{number},abcdefg\n" for number in range(1_500))
    result = parsed("number,name\n" + rows)
    report = result.report([], written_count=0)
    assert len(report.findings) == csv_rows.FINDING_COUNT_MAX + 1
    assert report.findings[-1].code == "too_many_findings"


def test_a_report_lists_its_findings_by_row() -> None:
    result = parsed("number,name\n1,A\n1234567,B\n")
    report = result.report([Finding(2, "number", "taken", "")], written_count=0)
    assert [finding.row for finding in report.findings] == [2, 3]
    assert (report.row_count, report.written_count) == (2, 0)


def test_progress_is_told_on_the_way_and_at_the_end() -> None:
    told: list[tuple[str, int]] = []
    rows = "".join(f"{number},A\n" for number in range(1_200))
    parse_file(io.BytesIO(f"number,name\n{rows}".encode()), FORMAT, lambda *step: told.append(step))
    assert told == [("read", 1_000), ("read", 1_200)]


def test_batches_keep_order_and_lose_nothing() -> None:
    batches = list(in_batches(range(1_001)))
    assert [len(batch) for batch in batches] == [500, 500, 1]
    assert [number for batch in batches for number in batch] == list(range(1_001))

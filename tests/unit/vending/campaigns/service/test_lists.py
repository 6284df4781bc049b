"""Printed lists: the set of a meter together, in two languages, and nothing a spreadsheet runs."""

import csv
import io

import pytest

from vending.campaigns.service.lists import Language, ListFormat, PrintLine, render

LINES = [
    PrintLine("Route 1", "01000000016", ("1" * 20, "2" * 20)),
    PrintLine("=cmd()", "01000000024", ("3" * 20, "4" * 20)),
]


def shown(list_format: ListFormat, language: Language = "en") -> bytes:
    return render(
        LINES,
        list_format=list_format,
        language=language,
        campaign="Revision <2>",
        printed_at="2026-11-25 08:00 UTC",
    )


def test_text_has_the_set_of_each_meter_in_its_order_and_in_groups() -> None:
    text = shown(ListFormat.TEXT).decode()
    first, second = text.index("1111 1111 1111 1111 1111"), text.index("2222 2222 2222 2222 2222")
    assert text.index("01000000016") < first < second < text.index("01000000024")


def test_chinese_list_speaks_chinese() -> None:
    text = shown(ListFormat.TEXT, "zh-CN").decode()
    assert "换钥任务单" in text
    assert "表号 01000000016" in text


def test_csv_is_read_again_and_runs_nothing() -> None:
    rows = list(csv.reader(io.StringIO(shown(ListFormat.CSV).decode("utf-8-sig"))))
    assert rows[0] == ["place", "drn", "token_1", "token_2"]
    assert rows[1][2] == "1111 1111 1111 1111 1111"
    assert rows[2][0] == "'=cmd()"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_pdf_is_one_and_the_same_for_the_same_list(language: Language) -> None:
    made = shown(ListFormat.PDF, language)
    assert made.startswith(b"%PDF-")
    assert made == shown(ListFormat.PDF, language)


def test_no_repr_shows_digits() -> None:
    assert "1111" not in repr(LINES[0])

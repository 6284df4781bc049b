import json

import pytest

from vending.cli.output import print_document, print_note, print_problem


def test_nothing_in_a_value_is_markup_or_moves_the_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_document({"name": "[red]x[/] \\[b] \x1b[2J\r\n"}, as_json=False)
    assert capsys.readouterr().out == "name: [red]x[/] \\[b] \ufffd[2J\ufffd\ufffd\n"


def test_values_are_shown_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_document({"is_on": True, "is_off": False, "nothing": None, "n": 0}, as_json=False)
    assert capsys.readouterr().out == "is on: yes\nis off: no\nnothing: \nn: 0\n"


def test_long_value_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_document({"key": "x" * 200}, as_json=False)
    assert capsys.readouterr().out == f"key: {'x' * 200}\n"


def test_rows_are_a_table_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    print_document([{"name": "a", "text": "many words " * 20}], as_json=False, title="rows")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "rows"
    assert max(map(len, lines)) <= 80


def test_rows_that_fit_no_table_are_printed_one_field_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {f"field_{number}": f"{number:020}" for number in range(6)}
    print_document([row, row], as_json=False)
    out = capsys.readouterr().out
    assert out.count(f"field 5: {5:020}\n") == 2


def test_no_rows_are_said_to_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_document([], as_json=False, title="keys")
    print_document([], as_json=False)
    assert capsys.readouterr().out == "keys: none\nresult: none\n"


def test_programs_get_one_document_and_no_notes(capsys: pytest.CaptureFixture[str]) -> None:
    print_note("for people", as_json=True)
    print_document({"name": "\u5f20\u4f1f"}, as_json=True)
    assert capsys.readouterr().out == '{"name": "\u5f20\u4f1f"}\n'


def test_problem_is_told_to_both(capsys: pytest.CaptureFixture[str]) -> None:
    print_problem("code", "what [x]", "do it", as_json=False)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "code: what [x]\nDo this: do it\n")
    print_problem("code", "what", "do it", as_json=True, report={"rows": 1})
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "rows": 1,
        "error": {"code": "code", "detail": "what", "remedy": "do it"},
    }

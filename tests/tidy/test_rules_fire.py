"""Each house rule is shown a breach, and fires."""

import pytest

from tests.tidy import rules

LONG_FUNCTION = "def long() -> None:\n" + "    pass\n" * 70


def test_size_rule_fires_for_a_function_of_71_lines() -> None:
    assert rules.oversized(LONG_FUNCTION) == ["long has 71 lines, at most 70"]


def test_size_rule_fires_for_a_module_of_501_lines() -> None:
    assert rules.oversized("x = 1\n" * 501) == ["module has 501 lines, at most 500"]


@pytest.mark.parametrize("text", ["x: float", "x = 0.5", "x = a / b", "x /= 2"])
def test_float_rule_fires(text: str) -> None:
    assert len(rules.floats(text)) == 1


def test_float_rule_passes_whole_numbers() -> None:
    assert rules.floats("x = 7 // 2 + int('3')") == []


def test_commit_rule_fires_for_a_connection_and_passes_a_unit_of_work() -> None:
    assert len(rules.commits("connection.commit()")) == 1
    assert rules.commits("uow.commit()") == []


def test_standard_rule_wants_a_citation_in_the_docstring() -> None:
    assert rules.uncited('"""Bits and pieces."""') != []
    assert rules.uncited('"""Tokens (IEC 62055-41, 6.2)."""') == []


@pytest.mark.parametrize(
    "line",
    ["x = 1  # noqa", "x = 1  # type: ignore", "x = 1  # noqa: S101", "x  # pragma: no cover"],
)
def test_silencer_rule_fires_without_code_or_reason(line: str) -> None:
    assert rules.bare_silencers(line) != []


def test_silencer_rule_passes_code_and_reason() -> None:
    assert rules.bare_silencers("x = 1  # noqa: S101 # the reason is written here") == []
    assert rules.bare_silencers("x = 1  # type: ignore[arg-type] # the library lies here") == []


@pytest.mark.parametrize("text", ["# TODO later", "x = 1  # FIXME"])
def test_leftover_rule_fires(text: str) -> None:
    assert rules.leftovers(text) != []


def test_table_rule_fires_for_another_feature_only() -> None:
    imported = rules.foreign_imports("from vending.meters.tables import meters")
    assert rules.foreign_tables("vending/sales/service.py", imported) != []
    assert rules.foreign_tables("vending/meters/repository.py", imported) == []
    assert rules.foreign_imports("from vending.meters.service import load_meter") == []

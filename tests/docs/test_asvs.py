"""The table of OWASP ASVS 5.0.0 is complete, and what it says is met is shown by what exists."""

import ast
import re
from functools import lru_cache

import pytest

from tests.support.documents import ROOT

PAGE = (ROOT / "docs/security/asvs.md").read_text("utf-8")
ROW = re.compile(
    r"^\| (\d+\.\d+\.\d+) \| (\d) \| (.+?) \| (met|not applicable|open) \| (.+) \|$", re.MULTILINE
)
EVIDENCE = re.compile(r"`([^`]+)`|\[[^]]*\]\(([^)]+)\)")
LEVEL_3_CHAPTERS = {"2", "4", "8", "11", "13", "16"}
LEVELS = (
    "1.1 22|1.2 1111122223|1.3 112222222223|1.4 222|1.5 123|2.1 122|2.2 112|2.3 12223|2.4 23|"
    "3.1 3|3.2 113|3.3 12223|3.4 11222233|3.5 11122333|3.6 3|3.7 22333|4.1 12233|4.2 23333|"
    "4.3 22|4.4 1222|5.1 2|5.2 112333|5.3 113|5.4 222|6.1 122|6.2 111111112222|6.3 11223333|"
    "6.4 112233|6.5 22222333|6.6 2223|6.7 33|6.8 2222|7.1 222|7.2 1111|7.3 22|7.4 11222|"
    "7.5 223|7.6 22|8.1 1233|8.2 1123|8.3 133|8.4 23|9.1 111|9.2 1222|10.1 22|10.2 223|"
    "10.3 22223|10.4 1111122222233333|10.5 22222|10.6 22|10.7 222|11.1 2233|11.2 22233|"
    "11.3 11233|11.4 1222|11.5 23|11.6 23|11.7 33|12.1 12233|12.2 11|12.3 22223|13.1 2333|"
    "13.2 222223|13.3 2233|13.4 1222233|14.1 22|14.2 12223333|14.3 122|15.1 12233|15.2 12233|"
    "15.3 1222222|15.4 3333|16.1 2|16.2 22222|16.3 2222|16.4 222|16.5 2223|17.1 23|"
    "17.2 22223333|17.3 22"
)
"""Level of each requirement of each section, as counted in version 5.0.0."""


def requirements() -> dict[str, int]:
    found: dict[str, int] = {}
    for part in LEVELS.split("|"):
        section, levels = part.split()
        found |= {f"{section}.{number}": int(one) for number, one in enumerate(levels, 1)}
    return found


def wanted() -> dict[str, int]:
    """Level 2, and level 3 in the chapters where the most is at stake."""
    return {
        name: level
        for name, level in requirements().items()
        if level <= 2 or name.split(".")[0] in LEVEL_3_CHAPTERS
    }


ROWS = {row[0]: row for row in ROW.findall(PAGE)}


@lru_cache
def list_tests(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def test_the_requirements_are_counted_right() -> None:
    levels = list(requirements().values())
    assert [levels.count(level) for level in (1, 2, 3)] == [70, 183, 92]


def test_every_requirement_has_its_row_and_level() -> None:
    assert {name: int(row[1]) for name, row in ROWS.items()} == wanted()
    assert len(ROW.findall(PAGE)) == len(ROWS)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row[3] == "met"])
def test_what_is_met_is_shown_by_what_exists(name: str) -> None:
    shown = [test or page for test, page in EVIDENCE.findall(ROWS[name][4])]
    assert shown
    for one in shown:
        path, _, test = one.partition("::")
        if path.startswith("tests/"):
            assert test in list_tests(path), f"{path} has no {test}"
        else:
            page, _, heading = path.partition("#")
            text = (ROOT / "docs/security" / page).resolve().read_text("utf-8")
            headings = {
                re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
                for line in text.splitlines()
                if line.startswith("#")
            }
            assert not heading or heading in headings, f"{page} has no #{heading}"


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row[3] != "met"])
def test_what_is_not_met_says_why(name: str) -> None:
    assert len(ROWS[name][4]) >= 10


def test_the_counts_on_the_page_are_those_of_the_rows() -> None:
    for level in (1, 2, 3):
        states = [row[3] for row in ROWS.values() if row[1] == str(level)]
        counts = [states.count(state) for state in ("met", "not applicable", "open")]
        assert f"| {level} | {counts[0]} | {counts[1]} | {counts[2]} |" in PAGE

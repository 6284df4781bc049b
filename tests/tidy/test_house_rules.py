"""The house rules that no linter knows; each is seen to fire in test_rules_fire.py."""

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.tidy import rules

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for package in ("vending", "meter_drivers", "simulators")
    for path in (ROOT / package).rglob("*.py")
)
TEST_SOURCES = sorted((ROOT / "tests").rglob("*.py"))
MIGRATIONS = sorted((ROOT / "migrations").rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def breaches(rule: Callable[[str], list[str]], paths: Iterable[Path]) -> dict[str, list[str]]:
    """What the rule finds, by file; one test a rule, as a test a file would cost a minute."""
    found = {relative(path): rule(path.read_text("utf-8")) for path in paths}
    return {name: lines for name, lines in found.items() if lines}


def test_there_are_sources() -> None:
    assert len(SOURCES) > 250
    assert len(TEST_SOURCES) > 250


def test_module_keeps_the_size_limits() -> None:
    assert MIGRATIONS
    assert breaches(rules.oversized, SOURCES + TEST_SOURCES + MIGRATIONS) == {}


def test_money_and_energy_code_uses_no_float() -> None:
    exact = [path for path in SOURCES if rules.is_exact_code(relative(path))]
    assert len(exact) > 50
    assert breaches(rules.floats, exact) == {}


def test_only_the_unit_of_work_commits() -> None:
    others = [p for p in SOURCES if relative(p) != "vending/persistence/unit_of_work.py"]
    assert breaches(rules.commits, others) == {}


def test_sts_module_cites_its_clause() -> None:
    sts = [path for path in SOURCES if relative(path).startswith("vending/sts/")]
    silent = [relative(path) for path in sts if not rules.cites_a_standard(path.read_text("utf-8"))]
    assert sts
    assert silent == []


def test_silenced_linters_have_code_and_reason() -> None:
    assert breaches(rules.bare_silencers, SOURCES) == {}


def test_code_has_no_leftovers() -> None:
    assert breaches(rules.leftovers, SOURCES) == {}


def test_every_feature_package_is_in_the_import_contracts() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    inside = next(c for c in contracts if c["name"].startswith("inside a feature"))
    features = {
        f"vending.{path.parent.name}"
        for path in (ROOT / "vending").glob("*/tables.py")
        if path.parent.name != "keystore"
    }
    assert features <= set(inside["containers"])


def test_no_package_is_empty() -> None:
    for init in (path for path in SOURCES if path.name == "__init__.py"):
        siblings = [p for p in init.parent.iterdir() if p != init and p.name != "__pycache__"]
        assert siblings, f"{relative(init)} stands alone"


def test_no_feature_reads_another_ones_tables() -> None:
    found = {
        relative(path): rules.foreign_tables(relative(path), path.read_text("utf-8"))
        for path in SOURCES
    }
    assert {name: lines for name, lines in found.items() if lines} == {}

"""The house rules that no linter knows; each is seen to fire in test_rules_fire.py."""

import tomllib
from pathlib import Path

import pytest

from tests.tidy import rules

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for package in ("vending", "meter_drivers", "simulators")
    for path in (ROOT / package).rglob("*.py")
)
TEST_SOURCES = sorted((ROOT / "tests").rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES + TEST_SOURCES, ids=relative)
def test_module_keeps_the_size_limits(path: Path) -> None:
    assert rules.oversized(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_money_and_energy_code_uses_no_float(path: Path) -> None:
    if rules.is_exact_code(relative(path)):
        assert rules.floats(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_the_unit_of_work_commits(path: Path) -> None:
    if relative(path) != "vending/persistence/unit_of_work.py":
        assert rules.commits(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if relative(path).startswith("vending/sts/")], ids=relative
)
def test_sts_module_cites_its_clause(path: Path) -> None:
    assert rules.cites_a_standard(path.read_text("utf-8"))


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_silenced_linters_have_code_and_reason(path: Path) -> None:
    assert rules.bare_silencers(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_code_has_no_leftovers(path: Path) -> None:
    assert rules.leftovers(path.read_text("utf-8")) == []


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


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_feature_reads_another_ones_tables(path: Path) -> None:
    name = relative(path)
    assert rules.foreign_tables(name, path.read_text("utf-8")) == []

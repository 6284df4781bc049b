"""The house rules that no linter knows; each is seen to fire in test_rules_fire.py."""

import tomllib

from tests.tidy import rules
from tests.tidy.survey import MIGRATIONS, PRODUCT, ROOT, TESTS, breaches, relative, survey


def test_there_are_sources() -> None:
    assert len(PRODUCT) > 250
    assert len(TESTS) > 250


def test_module_keeps_the_size_limits() -> None:
    assert MIGRATIONS
    assert breaches(rules.oversized, PRODUCT + TESTS + MIGRATIONS) == {}


def test_money_and_energy_code_uses_no_float() -> None:
    exact = [path for path in PRODUCT if rules.is_exact_code(relative(path))]
    assert len(exact) > 50
    assert breaches(rules.floats, exact) == {}


def test_only_the_unit_of_work_commits() -> None:
    others = [p for p in PRODUCT if relative(p) != "vending/persistence/unit_of_work.py"]
    assert breaches(rules.commits, others) == {}


def test_sts_module_cites_its_clause() -> None:
    sts = [path for path in PRODUCT if relative(path).startswith("vending/sts/")]
    assert sts
    assert breaches(rules.uncited, sts) == {}


def test_silenced_linters_have_code_and_reason() -> None:
    assert breaches(rules.bare_silencers, PRODUCT) == {}


def test_code_has_no_leftovers() -> None:
    assert breaches(rules.leftovers, PRODUCT) == {}


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
    for init in (path for path in PRODUCT if path.name == "__init__.py"):
        siblings = [p for p in init.parent.iterdir() if p != init and p.name != "__pycache__"]
        assert siblings, f"{relative(init)} stands alone"


def test_no_feature_reads_another_ones_tables() -> None:
    imported = survey()[rules.foreign_imports.__name__]
    found = {name: rules.foreign_tables(name, modules) for name, modules in imported.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}

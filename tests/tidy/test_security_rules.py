"""The product keeps the house rules of security, and each rule is seen to fire."""

import re
from collections.abc import Callable

import pytest

from tests.tidy import security_rules as rules
from tests.tidy import survey
from tests.tidy.survey import PRODUCT, ROOT, Rule, relative

SOURCES = [path for path in PRODUCT if not relative(path).startswith("simulators/")]
INVENTORY = (ROOT / "docs/security/cryptography.md").read_text("utf-8")
NAMES_CONSTANT = frozenset(
    {
        "vending/backups/repository.py",
        "vending/persistence/append_only.py",
        "vending/persistence/durability.py",
    }
)
"""Alter constraints, write triggers and read settings by names that stand in our own tables."""

STARTS_ITSELF = frozenset({"vending/audit/service/coding.py"})
"""Starts this program's own interpreter on itself, with constant arguments, to read beside it."""

PATTERNS_OF_WIDTHS = frozenset({"vending/sts/module_messages.py"})
"""Makes the patterns of its table of fields from their widths, when it is loaded."""


def breaches(rule: Rule, excepted: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    found = survey.breaches(rule, SOURCES)
    return {name: lines for name, lines in found.items() if name not in excepted}


def test_there_are_sources() -> None:
    assert len(SOURCES) > 200


def test_sql_is_built_of_no_text() -> None:
    assert breaches(rules.built_sql, NAMES_CONSTANT) == {}


def test_no_code_is_made_of_data() -> None:
    assert breaches(rules.made_code) == {}


def test_product_starts_no_other_program() -> None:
    assert breaches(rules.started_processes, STARTS_ITSELF) == {}


def test_patterns_are_constants() -> None:
    assert breaches(rules.built_patterns, PATTERNS_OF_WIDTHS) == {}


def test_randomness_is_the_operating_systems() -> None:
    assert breaches(rules.weak_randomness) == {}


def test_product_is_python_alone() -> None:
    compiled = {".c", ".cpp", ".pyx", ".so", ".rs", ".pyd"}
    assert not [
        path
        for package in ("vending", "meter_drivers", "simulators")
        for path in (ROOT / package).rglob("*")
        if path.suffix in compiled
    ]


def test_cryptography_is_where_the_inventory_says() -> None:
    users = set(breaches(rules.cryptography_in))
    named = set(re.findall(r"`((?:vending|meter_drivers)/[\w/]+(?:\.py)?)`", INVENTORY))
    uncovered = {
        user
        for user in users
        if not any(user == one or user.startswith(f"{one}/") for one in named)
    }
    assert uncovered == set()
    assert {one for one in named if not (ROOT / one).exists()} == set()


@pytest.mark.parametrize(
    ("rule", "breach", "fine"),
    [
        (rules.built_sql, 'text("SELECT " + name)', 'text("SELECT 1" " FROM sales")'),
        (rules.built_sql, 'c.exec_driver_sql(f"SET x = {y}")', 'text(f"SET x = {LIMIT_MS}")'),
        (rules.built_sql, 'c.execute(text("SELECT {}".format(x)))', "text(QUERY)"),
        (rules.made_code, "eval(x)", "re.compile(X)"),
        (rules.made_code, "import pickle", "import json"),
        (rules.made_code, "from marshal import loads", "from json import loads"),
        (rules.made_code, "template.format(x)", '"{}".format(x)'),
        (rules.started_processes, "import subprocess", "import socket"),
        (rules.started_processes, "os.system(x)", "os.getpid()"),
        (rules.started_processes, "os.execv(x, y)", "os.fsync(x)"),
        (rules.built_patterns, "re.compile(x)", 're.compile(r"\\d+")'),
        (rules.built_patterns, 're.search(f"{x}+", y)', 're.search(f"{re.escape(x)}+", y)'),
        (rules.weak_randomness, "import random", "import secrets"),
    ],
)
def test_rule_fires_for_a_breach_and_passes_what_is_fine(
    rule: Callable[[str], list[str]], breach: str, fine: str
) -> None:
    assert rule(breach)
    assert not rule(fine)


def test_use_of_cryptography_is_seen() -> None:
    assert rules.cryptography_in("from cryptography.hazmat import x\nimport hmac") == [
        "cryptography",
        "hmac",
    ]
    assert not rules.cryptography_in("import json")

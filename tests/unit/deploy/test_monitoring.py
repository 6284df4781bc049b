"""Alert rules and dashboard speak of metrics that exist, and fire when they should."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.documents import ROOT
from vending.observability.metrics import Metrics

FOLDER = ROOT / "docs/deploy/monitoring"
GUIDE = (ROOT / "docs/guide/monitoring.md").read_text("utf-8")
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"][
    0
]["rules"]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]
WANTED = {
    "PaidWithoutToken",
    "OutboxOld",
    "KeyExpiresSoon",
    "ClockNotTrusted",
    "AuditSealLate",
    "FloatLow",
}


def exposed_names() -> set[str]:
    names: set[str] = set()
    for family in Metrics().registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    return names


def run_promtool(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["promtool", *arguments],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    except FileNotFoundError:
        pytest.fail("promtool is missing: `make test-system` installs Debian's prometheus")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_speaks_of_metrics_that_exist(expression: str) -> None:
    named = set(re.findall(r"\bvending_\w+", expression))
    assert named
    assert named <= exposed_names()


def test_every_alert_fires_when_it_should_and_not_before() -> None:
    assert "SUCCESS" in run_promtool("test", "rules", str(FOLDER / "alerts_test.yml"))


def test_every_alert_is_tested() -> None:
    tested = yaml.safe_load((FOLDER / "alerts_test.yml").read_text("utf-8"))["tests"]
    fired = {
        one["alertname"] for test in tested for one in test["alert_rule_test"] if one["exp_alerts"]
    }
    assert {rule["alert"] for rule in RULES} == fired
    assert fired >= WANTED


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_has_a_page_that_says_what_to_do(rule: dict[str, Any]) -> None:
    page, _, heading = rule["annotations"]["runbook"].partition("#")
    assert page == "docs/guide/monitoring.md"
    assert heading == rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in GUIDE


def test_expressions_of_the_dashboard_are_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": target["expr"]}
        for number, panel in enumerate(DASHBOARD["panels"])
        for target in panel["targets"][:1]
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    run_promtool("check", "rules", str(path))


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells

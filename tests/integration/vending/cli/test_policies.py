"""vending policies, and the environment that decides nothing any more."""

import pytest

from tests.support.command_line import BEN, CommandLine, sign_in
from vending.operators.permissions import Role

CHANGE = ("policies", "change", "refund-limit-minor", '{"KES": 50000}')


def row(shell: CommandLine, name: str) -> dict[str, object]:
    (found,) = [one for one in shell.json("policies", "show").document if one["policy"] == name]
    return {"value": found["value"], "version": found["version"]}


def test_policy_is_shown_changed_by_two_and_kept(shell: CommandLine) -> None:
    assert row(shell, "refund-limit-minor") == {"value": {}, "version": 0}
    assert shell.json(*CHANGE).error == "reason_missing"
    asked = shell.json(*CHANGE, "--reason", "queues").document["approval"]
    assert shell.json(*CHANGE, "--approval", asked).error == "approval_state"
    assert shell.json("approvals", "approve", asked).error == "approval_own"
    assert shell.json("approvals", "approve", asked, by=BEN).code == 0
    assert shell.json(*CHANGE, "--approval", asked).document["version"] == 1
    assert row(shell, "refund-limit-minor") == {"value": {"KES": 50000}, "version": 1}
    (kept,) = shell.json("policies", "history").document
    assert (kept["changed_by"], kept["approval"]) == ("anna", asked)
    assert shell.json("policies", "history", "timezone").document == []
    assert "nobody: the default" in shell.run("policies", "show").out


def test_text_needs_no_quotes_and_another_form_is_refused(shell: CommandLine) -> None:
    shell.set_policy("disconnection-hours", "08:00-16:00")
    assert row(shell, "disconnection-hours")["value"] == "08:00-16:00"
    shell.set_policy("disconnection-hours", "null")
    assert row(shell, "disconnection-hours") == {"value": None, "version": 2}
    wrong = shell.json("policies", "change", "disconnection-hours", "late", "--reason", "x")
    assert wrong.error == "policy_invalid"


def test_cashier_sees_no_policy_and_auditor_changes_none(shell: CommandLine) -> None:
    sign_in(shell.folder, "carl", Role.CASHIER)
    sign_in(shell.folder, "audrey", Role.AUDITOR)
    assert shell.json("policies", "show", by="carl").error == "permission_denied"
    assert shell.json("policies", "show", by="audrey").code == 0
    assert shell.json(*CHANGE, "--reason", "x", by="audrey").error == "permission_denied"


@pytest.mark.parametrize(
    "variable",
    ["VENDING_REFUND_LIMIT_MINOR", "VENDING_APPROVAL_DISTINCT_DEVICES", "VENDING_DISCONNECT_HOURS"],
)
def test_command_does_not_start_beside_a_setting_that_became_a_policy(
    shell: CommandLine, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    assert shell.json("policies", "show").error == "setting_moved"

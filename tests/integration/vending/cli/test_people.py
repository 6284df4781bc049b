"""Operators at the shell: taken on by one, given a role by two, locked by one."""

from tests.support.command_line import CommandLine


def test_an_operator_is_taken_on_without_a_role(shell: CommandLine) -> None:
    added = shell.json("operators", "add", "dora", "--person", "S-17").document
    listed = {one["name"]: one for one in shell.json("operators", "list").document}

    assert added["activation_code"]
    assert listed["dora"] == {"name": "dora", "person": "S-17", "state": "invited", "roles": ""}
    assert shell.json("operators", "add", "dora", "--person", "x").error == "operator_name_taken"


def test_roles_change_by_two_people(shell: CommandLine) -> None:
    change = ("operators", "roles", "ben", "--role", "auditor")
    asked = shell.json(*change, "--reason", "moves").document["approval"]

    assert shell.json(*change, "--approval", asked).error == "approval_state"
    assert shell.json("approvals", "approve", asked).error == "approval_own"
    assert shell.json("approvals", "approve", asked, by="ben").code == 0
    other = ("operators", "roles", "ben", "--role", "administrator", "--approval", asked)
    assert shell.json(*other).error == "approval_mismatch"
    # Ben approved what takes this very permission from him; he stood when it was used.
    assert shell.json(*change, "--approval", asked).document["roles"] == "auditor"
    assert shell.json("operators", "lock", "anna", by="ben").error == "permission_denied"


def test_roles_are_not_asked_for_without_a_reason(shell: CommandLine) -> None:
    assert shell.json("operators", "roles", "ben", "--role", "auditor").error == "reason_missing"


def test_a_locked_operator_is_out_at_once_and_unlocked_again(shell: CommandLine) -> None:
    assert shell.json("operators", "lock", "ben").document["state"] == "locked"
    assert shell.json("whoami", by="ben").error == "sign_in_required"
    assert shell.json("operators", "lock", "anna").error == "own_account"
    assert shell.json("operators", "unlock", "ben").document["state"] != "locked"


def test_sessions_of_an_operator_are_ended(shell: CommandLine) -> None:
    ended = shell.json("operators", "sign-out", "ben").document

    assert ended == {"operator": "ben", "sessions_ended": 1}
    assert shell.json("whoami", by="ben").error == "sign_in_required"


def test_a_reset_takes_roles_and_gives_a_new_code(shell: CommandLine) -> None:
    assert shell.json("operators", "reset", "ben").document["activation_code"]
    listed = {one["name"]: one for one in shell.json("operators", "list").document}
    assert (listed["ben"]["state"], listed["ben"]["roles"]) == ("invited", "")


def test_nobody_of_that_name_is_said_to_be_missing(shell: CommandLine) -> None:
    assert shell.json("operators", "lock", "nobody").error == "operator_not_found"

"""Approvals at the shell: seen exactly, decided by another."""

import pytest

from tests.support.command_line import ANNA, CommandLine, session_file, sign_in
from vending.approvals.model import Act, UseCase
from vending.approvals.service import request_approval
from vending.cli.session_file import read_session
from vending.operators.permissions import Role
from vending.operators.service.sessions import authenticate_session
from vending.values.clock import SystemClock

ACT = Act(UseCase.CREDIT_LINE, "partner:acme", {"floor_minor": -5000, "name": "Çelik [red]"})


@pytest.fixture
def asked(shell: CommandLine) -> str:
    database, clock = shell.database(), SystemClock()
    token = read_session(session_file(shell.folder, ANNA))
    assert token is not None
    with database.unit_of_work() as uow:
        anna = authenticate_session(uow.connection, token, now=clock.now())
        approval = request_approval(uow.connection, anna, ACT, reason="grows", clock=clock)
        uow.commit()
    database.close()
    return str(approval.id)


def test_what_waits_is_listed_and_shown_exactly(shell: CommandLine, asked: str) -> None:
    listed = shell.json("approvals", "list", by="ben").document
    shown = shell.json("approvals", "show", asked, by="ben").document
    printed = shell.run("approvals", "show", asked, by="ben").out

    assert [(one["id"], one["requested_by"]) for one in listed] == [(asked, "anna")]
    assert shown["payload"] == ACT.payload
    assert '"floor_minor": -5000,\n  "name": "Çelik [red]"' in printed


def test_another_person_approves(shell: CommandLine, asked: str) -> None:
    approved = shell.json("approvals", "approve", asked, "--note", "seen", by="ben").document

    assert (approved["state"], approved["decided_by"], approved["note"]) == (
        "approved",
        "ben",
        "seen",
    )
    assert shell.json("approvals", "list").document == []
    assert len(shell.json("approvals", "list", "--all").document) == 1
    assert shell.json("approvals", "refuse", asked, by="ben").error == "approval_state"


def test_who_asked_cannot_decide_but_withdraws(shell: CommandLine, asked: str) -> None:
    assert shell.json("approvals", "approve", asked).error == "approval_own"
    assert shell.json("approvals", "refuse", asked).error == "approval_own"
    assert shell.json("approvals", "withdraw", asked, by="ben").error == "approval_not_yours"
    assert shell.json("approvals", "withdraw", asked).document["state"] == "withdrawn"


def test_another_person_refuses(shell: CommandLine, asked: str) -> None:
    assert shell.json("approvals", "refuse", asked, by="ben").document["state"] == "refused"


def test_reading_approvals_is_not_deciding_them(shell: CommandLine, asked: str) -> None:
    sign_in(shell.folder, "audrey", Role.AUDITOR)

    assert shell.json("approvals", "show", asked, by="audrey").code == 0
    assert shell.json("approvals", "approve", asked, by="audrey").error == "permission_denied"


def test_where_policy_asks_for_two_devices_one_is_refused(shell: CommandLine, asked: str) -> None:
    shell.set_policy("distinct-devices", "true")
    sign_in(shell.folder, "beside", *Role, device="device-of-anna")

    assert shell.json("approvals", "approve", asked, by="beside").error == "approval_same_device"
    assert shell.json("approvals", "approve", asked, by="ben").document["state"] == "approved"

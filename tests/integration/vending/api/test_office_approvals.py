"""Approvals over HTTP: seen exactly, decided by another who is signed in."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from httpx2 import Response

from tests.support.api import Counter, problem
from tests.support.people import session_token_for, sign_in_as
from vending.approvals.model import Act, UseCase
from vending.approvals.service import request_approval
from vending.operators.permissions import Role

APPROVALS = "/v1/office/approvals"
ACT = Act(UseCase.CREDIT_LINE, "partner:acme", {"floor_minor": -5000, "name": "Çelik"})


@dataclass(frozen=True)
class Office:
    """The office side of the API."""

    counter: Counter
    tokens: Mapping[str, str]
    asked: str

    def get(self, path: str, by: str, **params: str) -> Response:
        return self.counter.client.get(path, headers=self._headers(by), params=params)

    def post(self, path: str, by: str, body: Mapping[str, Any]) -> Response:
        return self.counter.client.post(path, headers=self._headers(by), json=body)

    def _headers(self, by: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[by]}"}


@pytest.fixture
def office(sqlite_counter: Counter) -> Office:
    database, clock = sqlite_counter.shop.database, sqlite_counter.shop.clock
    anna = sign_in_as(database, clock, Role.KEY_ACCOUNTS, name="anna")
    with database.unit_of_work() as uow:
        asked = request_approval(uow.connection, anna, ACT, reason="grows", clock=clock)
        uow.commit()
    roles = {
        "anna": Role.KEY_ACCOUNTS,
        "ben": Role.FINANCE,
        "audrey": Role.AUDITOR,
        "carl": Role.CASHIER,
    }
    tokens = {
        name: session_token_for(database, clock, role, name=name) for name, role in roles.items()
    }
    tokens["partner"] = sqlite_counter.shop.api_key
    return Office(sqlite_counter, tokens, str(asked.id))


def test_what_waits_is_listed_and_shown_exactly(office: Office) -> None:
    listed = office.get(APPROVALS, "ben", state="requested").json()["approvals"]
    shown = office.get(f"{APPROVALS}/{office.asked}", "ben").json()

    assert listed == [shown]
    assert shown["payload"] == ACT.payload
    assert (shown["requested_by"], shown["state"]) == ("anna", "requested")
    earlier = office.get(APPROVALS, "ben", before=office.asked).json()["approvals"]
    assert office.asked not in [one["id"] for one in earlier]


def test_another_person_approves(office: Office) -> None:
    path = f"{APPROVALS}/{office.asked}/decision"

    assert problem(office.post(path, "anna", {"approve": True}))["code"] == "permission_denied"
    approved = office.post(path, "ben", {"approve": True, "note": "seen"}).json()
    assert (approved["state"], approved["decided_by"]) == ("approved", "ben")
    again = office.post(path, "ben", {"approve": True})
    assert (again.status_code, problem(again)["code"]) == (409, "approval_state")


def test_who_asked_withdraws(office: Office) -> None:
    path = f"{APPROVALS}/{office.asked}/withdrawal"

    assert problem(office.post(path, "ben", {}))["code"] == "approval_not_yours"
    assert office.post(path, "anna", {"note": "no"}).json()["state"] == "withdrawn"


@pytest.mark.parametrize(
    ("by", "status", "code"),
    [
        ("carl", 403, "permission_denied"),
        ("partner", 401, "sign_in_required"),
    ],
)
def test_who_may_not_read_is_let_in_nowhere(
    office: Office, by: str, status: int, code: str
) -> None:
    one = f"{APPROVALS}/{office.asked}"
    for answer in (
        office.get(APPROVALS, by),
        office.get(one, by),
        office.post(f"{one}/decision", by, {"approve": True}),
        office.post(f"{one}/withdrawal", by, {}),
    ):
        assert (answer.status_code, problem(answer)["code"]) == (status, code)


def test_reading_is_not_deciding(office: Office) -> None:
    answer = office.post(f"{APPROVALS}/{office.asked}/decision", "audrey", {"approve": True})

    assert problem(answer)["code"] == "permission_denied"


@pytest.mark.parametrize(
    "body", [{}, {"approve": 1}, {"approve": "yes"}, {"approve": True, "by": "ben"}]
)
def test_a_decision_is_said_plainly(office: Office, body: Mapping[str, Any]) -> None:
    answer = office.post(f"{APPROVALS}/{office.asked}/decision", "ben", body)

    assert problem(answer)["code"] == "request_invalid"


def test_a_note_that_makes_a_line_of_its_own_is_refused(office: Office) -> None:
    body = {"approve": True, "note": "ok\nroot signed in"}
    answer = office.post(f"{APPROVALS}/{office.asked}/decision", "ben", body)

    assert problem(answer)["code"] == "approval_content_invalid"


def test_an_unknown_id_is_no_approval(office: Office) -> None:
    answer = office.get(f"{APPROVALS}/{uuid.uuid4()}", "ben")

    assert (answer.status_code, problem(answer)["code"]) == (404, "approval_not_found")

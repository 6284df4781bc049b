"""Campaigns over HTTP: planned by one, approved by another, followed by those who may."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.support.api import problem
from tests.support.campaigns import Fleet
from tests.support.people import approve, session_token_for, sign_in_as
from vending.app import create_app
from vending.campaigns.service.issuing import issue_due
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.values.clock import FixedClock
from vending.values.identifiers import ApprovalId

CAMPAIGNS = "/v1/office/campaigns"
PLANNED = {
    "name": "Revision 2",
    "reason": "revision 1 expires",
    "filter": {"sgc": "201457", "location_prefix": "Block"},
    "target": {"krn": 2},
}


class Office:
    """The office's side of the API over a fleet of four."""

    def __init__(self, fleet: Fleet, client: TestClient) -> None:
        self.fleet, self.client = fleet, client
        roles = {
            "eddie": Role.ENGINEER,
            "audrey": Role.AUDITOR,
            "carl": Role.CASHIER,
            "sue": Role.CUSTOMER_SERVICE,
        }
        self.tokens = {
            name: session_token_for(fleet.database, fleet.clock, role, name=name)
            for name, role in roles.items()
        }

    def get(self, path: str = "", by: str = "eddie", **params: str) -> Response:
        headers = {"Authorization": f"Bearer {self.tokens[by]}"}
        return self.client.get(CAMPAIGNS + path, headers=headers, params=params)

    def post(
        self, path: str = "", body: Mapping[str, Any] | None = None, by: str = "eddie"
    ) -> Response:
        headers = {"Authorization": f"Bearer {self.tokens[by]}"}
        return self.client.post(CAMPAIGNS + path, headers=headers, json=body)

    def start(self) -> str:
        """A running campaign with every set made; its id."""
        campaign = str(self.post(body=PLANNED).json()["id"])
        asked = self.post(f"/{campaign}/proposal", {"reason": "as planned"}).json()
        approval = ApprovalId(uuid.UUID(asked["approval_id"]))
        approve(self.fleet.database, self.fleet.clock, approval, self.fleet.custodian)
        started = self.post(f"/{campaign}/start", {"approval_id": asked["approval_id"]})
        assert started.json()["state"] == "running"
        issue_due(self.fleet.office)
        return campaign

    @property
    def drn(self) -> str:
        return self.fleet.shop.meters[0].pan.iain


@pytest.fixture
def office(sqlite_database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Office:
    fleet = Fleet(sqlite_database, fixed_clock, tmp_path, 4)
    return Office(fleet, TestClient(create_app(fleet.shop.container())))


def test_campaign_is_planned_looked_at_and_run(office: Office) -> None:
    campaign = office.start()
    found = office.get(f"/{campaign}").json()
    assert (found["steps"], found["filter"]) == ({"issued": 4}, PLANNED["filter"])
    assert [one["id"] for one in office.get(state="running").json()["campaigns"]] == [campaign]


def test_dry_run_tells_each_meter(office: Office) -> None:
    campaign = office.post(body=PLANNED).json()["id"]
    told = office.get(f"/{campaign}/dry-run").json()
    assert (told["meters"], told["would_change"], told["would_not"]) == (4, 4, {})
    assert {row["would"] for row in told["rows"]} == {"change"}


def test_list_has_the_digits_and_is_kept_nowhere(office: Office) -> None:
    campaign = office.start()
    printed = office.post(f"/{campaign}/lists", {"format": "text", "place": "Block A"})
    assert printed.headers["Cache-Control"] == "no-store"
    assert printed.headers["X-Meter-Count"] == "4"
    assert office.drn in printed.text
    assert office.get(f"/{campaign}").json()["steps"] == {"delivered": 4}


def test_customers_word_is_noted_and_told(office: Office) -> None:
    campaign = office.start()
    noted = office.post(f"/{campaign}/meters/{office.drn}/entered", {"note": "called"})
    assert (noted.json()["step"], noted.json()["evidence"]) == ("entered", "customer-said")
    story = office.get(f"/{campaign}/meters/{office.drn}").json()
    assert [step["to"] for step in story["steps"]] == ["entered"]
    again = office.post(f"/{campaign}/meters/{office.drn}/not-entered", {"note": "no"})
    assert (again.status_code, problem(again)["code"]) == (409, "campaign_meter_state")


def test_paused_resumed_and_cancelled(office: Office) -> None:
    campaign = office.start()
    assert office.post(f"/{campaign}/pause").json()["state"] == "paused"
    assert office.post(f"/{campaign}/resumption", {}).json()["state"] == "running"
    ended = office.post(f"/{campaign}/cancellation", {"reason": "wrong key"})
    assert ended.json()["state"] == "cancelled"
    assert office.get(f"/{campaign}/chase", days="0").json() == {"groups": []}


def test_key_of_a_token_is_told_to_those_who_may_see_tokens(office: Office) -> None:
    token = office.fleet.shop.issue("k")["tokens"][0]["grouped"]
    body = {"meter": office.drn, "digits": token}
    headers = {"Authorization": f"Bearer {office.tokens['sue']}"}
    told = office.client.post("/v1/office/token-keys", headers=headers, json=body).json()
    assert (told["is_registered_key"], told["token"]) == (True, "TransferCredit")
    body["digits"] = "0" * 20
    unread = office.client.post("/v1/office/token-keys", headers=headers, json=body)
    assert problem(unread)["code"] == "token_unreadable"


@pytest.mark.parametrize(
    ("by", "status"), [("audrey", 403), ("carl", 403), ("sue", 403), ("eddie", 201)]
)
def test_only_engineers_plan(office: Office, by: str, status: int) -> None:
    assert office.post(body=PLANNED, by=by).status_code == status


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": {}},
        {"target": {"krn": 0}},
        {"target": {"krn": 2, "colour": "red"}},
        {"filter": {"meters": ["123"]}},
        {"name": ""},
        {"chase_after_days": 0},
    ],
)
def test_campaign_that_says_something_else_is_refused(
    office: Office, wrong: dict[str, object]
) -> None:
    assert office.post(body={**PLANNED, **wrong}).status_code == 422


def test_free_units_say_what_is_entered_first(office: Office) -> None:
    office.start()
    body = {"meter": office.drn, "units": 5, "reason": "outage"}
    headers = {"Authorization": f"Bearer {office.tokens['sue']}"}
    path = "/v1/office/tokens/free-units"
    asked = office.client.post(path, headers=headers, json=body).json()["approval_id"]
    fleet = office.fleet
    finance = sign_in_as(fleet.database, fleet.clock, Role.FINANCE, name="fay")
    approve(fleet.database, fleet.clock, ApprovalId(uuid.UUID(asked)), finance)
    made = office.client.post(path, headers=headers, json={**body, "approval_id": asked}).json()
    assert [one["section"] for one in made["key_change"]["tokens"]] == [1, 2]
    told = made["key_change"]["instructions"]
    assert "for your energy" in told["en"]
    assert "请先按顺序输入" in told["zh-CN"]
    path = f"/v1/office/tokens/{made['id']}/views"
    seen = office.client.post(path, headers=headers, json={"purpose": "receipt lost"}).json()
    assert seen["key_change"] == made["key_change"]

"""Acts of two people over HTTP: asked for, approved by another, sent again; and personal data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from httpx2 import Response

from tests.support.api import Counter, problem
from tests.support.people import session_token_for
from tests.support.policies import ANY_HOUR, set_policies
from vending.api.office_forms import ASKED
from vending.meters.model import MeterState
from vending.meters.service import change_link, change_state
from vending.operators.permissions import Role
from vending.policies.model import PolicyName
from vending.values.actor import SYSTEM

OFFICE = "/v1/office"
ROLES = {
    "anna": tuple(Role),
    "ben": tuple(Role),
    "carl": (Role.CASHIER,),
}


@dataclass(frozen=True)
class Office:
    """Three operators before the API."""

    counter: Counter
    tokens: Mapping[str, str]

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, by: str = "anna"
    ) -> Response:
        headers = {"Authorization": f"Bearer {self.tokens[by]}"}
        return self.counter.client.request(method, OFFICE + path, headers=headers, json=body)

    def approve(self, asked: Response) -> str:
        """Ben says yes to what was asked for; the id of the approval."""
        assert asked.status_code == ASKED, asked.text
        approval_id: str = asked.json()["approval_id"]
        path = f"/approvals/{approval_id}/decision"
        assert self.send("POST", path, {"approve": True}, by="ben").status_code == 200
        return approval_id

    def do(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, have it approved, do it, do it again; the answer."""
        approval_id = self.approve(self.send(method, path, body))
        done = self.send(method, path, {**body, "approval_id": approval_id})
        assert done.status_code in {200, 201}, done.text
        document: dict[str, Any] = done.json()
        return document

    @property
    def drn(self) -> str:
        return self.counter.shop.meters[0].pan.iain

    @property
    def partner(self) -> str:
        return str(self.counter.shop.partner.id)


@pytest.fixture
def office(sqlite_counter: Counter) -> Office:
    database, clock = sqlite_counter.shop.database, sqlite_counter.shop.clock
    tokens = {
        name: session_token_for(database, clock, *roles, name=name) for name, roles in ROLES.items()
    }
    return Office(sqlite_counter, tokens)


def test_management_token_takes_two_and_is_shown_once_made(office: Office) -> None:
    body = {"meter": office.drn, "kind": "set-maximum-power-limit", "value": 5000, "reason": "x"}
    made = office.do("POST", "/tokens/management", body)
    assert len(made["digits"]) == 20
    (row,) = office.send("GET", f"/meters/{office.drn}/tokens").json()["tokens"]
    assert (row["id"], row["purpose"], row["last_four"]) == (
        made["id"],
        "management",
        made["digits"][-4:],
    )
    assert "digits" not in row
    seen = office.send("POST", f"/tokens/{made['id']}/views", {"purpose": "complaint 7"})
    assert seen.json() == made


def test_meter_test_takes_one(office: Office) -> None:
    body = {"meter": office.drn, "kind": "initiate-meter-test", "value": 1, "reason": "display"}
    assert office.send("POST", "/tokens/management", body).status_code == 200


def test_free_units_and_replacement(office: Office) -> None:
    body = {"meter": office.drn, "units": 50, "reason": "outage"}
    given = office.do("POST", "/tokens/free-units", body)
    assert given["units"] == 50
    path = f"/tokens/{given['id']}/replacement"
    other = office.do("POST", path, {"why": "token-rejected"})
    assert (other["units"], other["digits"] == given["digits"]) == (50, False)


def test_refund(office: Office) -> None:
    sale = office.counter.sell("k-1").json()
    body = {
        "amount_minor": 1000,
        "destination": "partner",
        "why": "paid-twice",
        "note": "two tills",
        "key": "refund-1",
    }
    made = office.do("POST", f"/sales/{sale['id']}/refunds", body)
    assert made["gross"]["minor"] == 1000
    listed = office.send("GET", f"/sales/{sale['id']}/refunds").json()
    assert listed == {"refunds": [made]}


def test_tariff_is_drafted_activated_and_withdrawn(office: Office) -> None:
    terms = {"code": "BIZ-1", "currency": "KES", "price_per_kwh": "25.00", "vat_percent": "16"}
    drafts = [office.send("POST", "/tariffs/drafts", terms).json() for _ in range(2)]
    version = office.do("POST", f"/tariffs/drafts/{drafts[0]['id']}/activation", {"reason": "x"})
    assert (version["code"], version["version"]) == ("BIZ-1", 1)
    gone = office.send("DELETE", f"/tariffs/drafts/{drafts[1]['id']}")
    assert gone.json()["state"] == "withdrawn"
    listed = office.send("GET", "/tariffs").json()
    assert version in listed["versions"]
    states = {one["id"]: one["state"] for one in listed["drafts"]}
    assert [states[one["id"]] for one in drafts] == ["activated", "withdrawn"]
    wrong = office.send("POST", "/tariffs/drafts", terms | {"currency": "ZZZ"})
    assert problem(wrong)["status"] == 422


def test_credit_line_and_suspension(office: Office) -> None:
    path = f"/partners/{office.partner}"
    changed = office.do("PUT", f"{path}/credit-line", {"line_minor": 6000, "reason": "risk"})
    assert changed["credit_line_minor"] == 6000
    assert office.counter.sell("k-1").status_code == 201
    refused = problem(office.counter.sell("k-2"))
    assert (refused["code"], refused["facts"]["available_minor"]) == ("credit_line_exceeded", 1000)
    listed = office.send("GET", "/partners").json()["partners"]
    assert [one["owed"]["minor"] for one in listed] == [5000]
    stopped = office.send("PUT", f"{path}/status", {"status": "suspended"})
    assert stopped.json()["status"] == "suspended"


def test_disconnection_inside_and_outside_the_rule(office: Office) -> None:
    shop = office.counter.shop
    change_link(
        shop.database,
        shop.meters[0].pan,
        profile="reference_prepay",
        link="modbus-tcp://127.0.0.1:502/1",
        by=SYSTEM,
        clock=shop.clock,
    )
    path = f"/meters/{office.drn}"
    body = {"reason": "six months owed"}
    set_policies(shop.database, shop.clock, ANY_HOUR)
    assert office.send("POST", f"{path}/disconnections", body).status_code == 201
    night = {PolicyName.DISCONNECTION_HOURS: "01:00-02:00"}
    set_policies(shop.database, shop.clock, night)
    ordered = office.do("POST", f"{path}/disconnections", body)
    assert (ordered["kind"], ordered["state"]) == ("disconnect", "queued")
    back = office.send("POST", f"{path}/reconnections", body)
    assert (back.status_code, back.json()["kind"]) == (201, "reconnect")


def test_personal_data_is_masked_seen_exported_and_erased(office: Office) -> None:
    shop = office.counter.shop
    found = office.send("GET", "/customers?account_number=A-1", by="carl").json()
    assert found["name"] == "A**** W******"
    path = f"/customers/{found['id']}"
    purpose = {"purpose": "complaint 7"}
    assert (
        problem(office.send("POST", f"{path}/identity-views", purpose, by="carl"))["code"]
        == "permission_denied"
    )
    seen = office.send("POST", f"{path}/identity-views", purpose).json()
    assert seen["name"] == "Amina Wanjiru"
    parts = office.send("POST", f"{path}/exports", purpose).json()["parts"]
    assert set(parts) == {"customer", "meters", "sales"}
    held = problem(office.send("POST", f"{path}/erasure", {"reason": "letter"}))
    assert held["code"] == "erasure_held"
    for meter in shop.meters:
        change_state(
            shop.database, meter.pan, MeterState.REMOVED, by=SYSTEM, reason="x", clock=shop.clock
        )
    erased = office.do("POST", f"{path}/erasure", {"reason": "letter"})
    assert erased["erased_at"] is not None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/tokens/management", {"kind": "clear-credit", "reason": "x"}),
        ("POST", "/tokens/free-units", {"units": 5, "reason": "x"}),
    ],
)
def test_cashier_is_refused_and_told_the_permission(
    office: Office, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = problem(office.send(method, path, {"meter": office.drn, **body}, by="carl"))
    assert (answer["status"], answer["code"]) == (403, "permission_denied")

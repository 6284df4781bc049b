"""Policies over HTTP: read, asked for, approved by another, sent again."""

from typing import Any
from uuid import UUID

from tests.support.api import Counter, problem
from tests.support.people import approve, session_token_for, sign_in_as
from vending.operators.permissions import Role
from vending.values.identifiers import ApprovalId

PATH = "/v1/office/policies"


def test_policy_is_changed_by_two(sqlite_counter: Counter) -> None:
    shop, client = sqlite_counter.shop, sqlite_counter.client
    token = session_token_for(shop.database, shop.clock, Role.ADMINISTRATOR, name="anna")
    headers = {"Authorization": f"Bearer {token}"}
    path = f"{PATH}/refund-limit-minor"
    body: dict[str, Any] = {"value": {"KES": 1000}, "reason": "queues"}
    asked = client.put(path, json=body, headers=headers)
    assert asked.status_code == 202
    approval_id = asked.json()["approval_id"]
    with_approval = body | {"approval_id": approval_id}
    early = client.put(path, json=with_approval, headers=headers)
    assert problem(early)["code"] == "approval_state"
    ben = sign_in_as(shop.database, shop.clock, Role.FINANCE, name="ben")
    approve(shop.database, shop.clock, ApprovalId(UUID(approval_id)), ben)
    done = client.put(path, json=with_approval, headers=headers)
    assert done.status_code == 200
    assert (done.json()["value"], done.json()["version"]) == ({"KES": 1000}, 1)
    listed = client.get(PATH, headers=headers).json()["policies"]
    assert done.json() in listed
    (kept,) = client.get(f"{PATH}/history", headers=headers).json()["versions"]
    assert (kept["changed_by"], kept["approval_id"]) == ("anna", approval_id)


def test_value_of_another_form_and_unknown_policy_are_refused(sqlite_counter: Counter) -> None:
    shop, client = sqlite_counter.shop, sqlite_counter.client
    token = session_token_for(shop.database, shop.clock, Role.ADMINISTRATOR, name="anna")
    headers = {"Authorization": f"Bearer {token}"}
    body = {"value": True, "reason": "x"}
    wrong = client.put(f"{PATH}/session-idle-min", json=body, headers=headers)
    assert problem(wrong)["code"] == "policy_invalid"
    assert client.put(f"{PATH}/nothing", json=body, headers=headers).status_code == 422
    number = {"value": 1.5, "reason": "x"}
    assert client.put(f"{PATH}/session-idle-min", json=number, headers=headers).status_code == 422

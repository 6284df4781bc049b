"""Custody over HTTP: forecast, switches, ceilings."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.api import Counter
from tests.support.people import session_token_for, sign_in_as
from vending.approvals.model import Decision
from vending.approvals.service import decide
from vending.operators.permissions import Role
from vending.values.identifiers import ApprovalId

KEY = "201457/1/DUTK"


def headers(counter: Counter, *roles: Role, name: str) -> dict[str, str]:
    token = session_token_for(counter.shop.database, counter.shop.clock, *roles, name=name)
    return {"Authorization": f"Bearer {token}"}


def post(counter: Counter, path: str, body: dict[str, Any], *, name: str = "chen") -> Any:  # noqa: ANN401 # any JSON document
    told = headers(counter, Role.KEY_CUSTODIAN, name=name)
    return counter.client.post(f"/v1/office/{path}", json=body, headers=told)


def get(counter: Counter, path: str, *roles: Role) -> Any:  # noqa: ANN401 # any JSON document
    told = headers(counter, *(roles or (Role.AUDITOR,)), name=f"reader-{len(roles)}")
    return counter.client.get(f"/v1/office/{path}", headers=told)


def approve(counter: Counter, approval_id: str) -> None:
    amina = sign_in_as(counter.shop.database, counter.shop.clock, Role.KEY_CUSTODIAN, name="amina")
    with counter.shop.database.unit_of_work() as uow:
        decide(
            uow.connection,
            amina,
            ApprovalId(UUID(approval_id)),
            Decision(approve=True),
            clock=counter.shop.clock,
        )
        uow.commit()


def test_stop_acts_on_the_next_sale_and_two_release_it(counter: Counter) -> None:
    body = {"scope": "key", "name": KEY, "reason": "theft"}
    stopped = post(counter, "switches", body)
    assert stopped.status_code == 201
    refused = counter.sell("k-1")
    assert (refused.status_code, refused.json()["code"]) == (503, "issuing_stopped")
    assert get(counter, "switches").json()["stops"] == [stopped.json()]
    path = f"switches/{stopped.json()['id']}/release"
    asked = post(counter, path, {"reason": "found"}).json()
    assert asked["done"] is False
    release = {"reason": "found", "approval_id": asked["approval_id"]}
    assert post(counter, path, release).status_code == 409
    approve(counter, asked["approval_id"])
    assert post(counter, path, release).json()["done"] is True
    assert counter.sell("k-1").status_code == 201
    assert get(counter, "switches").json()["stops"] == []
    assert len(get(counter, "switches?all=true").json()["stops"]) == 1


def test_outlet_is_stopped_alone(counter: Counter) -> None:
    body = {
        "scope": "outlet",
        "name": str(counter.shop.partner.id),
        "outlet": "westgate",
        "reason": "theft",
    }
    assert post(counter, "switches", body).status_code == 201
    refused = counter.sell("k-1", counter.body(outlet="westgate"))
    assert refused.json()["code"] == "issuing_stopped"
    assert counter.sell("k-2", counter.body(outlet="eastgate")).status_code == 201
    assert counter.sell("k-3", counter.body(meter=1)).status_code == 201


def test_ceiling_is_lowered_by_one_and_raised_by_two(counter: Counter) -> None:
    body = {"key": KEY, "use_class": "credit", "ceiling": {"token_count": 0}, "reason": "night"}
    assert post(counter, "ceilings", {**body, "lower": True}).json()["done"] is True
    assert counter.sell("k-1").json()["code"] == "ceiling_reached"
    raised = {**body, "ceiling": {"token_count": 1, "money_minor": {"KES": 10_000}}}
    assert post(counter, "ceilings", {**raised, "lower": True}).status_code == 403
    asked = post(counter, "ceilings", raised).json()
    approve(counter, asked["approval_id"])
    allowed = {**raised, "approval_id": asked["approval_id"]}
    assert post(counter, "ceilings", allowed).json()["done"] is True
    assert counter.sell("k-1").status_code == 201
    (row,) = get(counter, "ceilings").json()["ceilings"]
    assert (row["used"]["token_count"], row["ceiling"]["token_count"], row["own"]) == (1, 1, True)
    assert counter.sell("k-2").json()["code"] == "ceiling_reached"


def test_forecast_names_the_key_and_its_meters(counter: Counter) -> None:
    (row,) = get(counter, "keys/forecast").json()["keys"]
    assert (row["key"], row["severity"], row["suggestion"]) == (KEY, "ok", "nothing")
    assert row["meters"] == len(counter.shop.meters)


@pytest.mark.parametrize(
    "body",
    [
        {"scope": "key", "name": "201457", "reason": "theft"},
        {"scope": "key", "name": KEY, "reason": ""},
        {"scope": "planet", "name": KEY, "reason": "theft"},
        {"scope": "key", "name": KEY, "reason": "theft\nforged line"},
        {"scope": "key", "name": KEY},
    ],
)
def test_switch_of_nothing_is_refused(counter: Counter, body: dict[str, Any]) -> None:
    assert post(counter, "switches", body).status_code == 422


def test_cashier_sees_and_stops_nothing(counter: Counter) -> None:
    for path in ("switches", "ceilings", "keys/forecast"):
        assert get(counter, path, Role.CASHIER).status_code == 403
    told = headers(counter, Role.CASHIER, name="cashier")
    body = {"scope": "key", "name": KEY, "reason": "bored"}
    refused = counter.client.post("/v1/office/switches", json=body, headers=told)
    assert refused.json()["code"] == "permission_denied"
    assert counter.client.get("/v1/office/switches").status_code == 401


def test_outlet_leaves_older_bodies_the_same(counter: Counter) -> None:
    assert counter.sell("k-1").status_code == 201
    again = counter.sell("k-1")
    assert again.headers["Idempotency-Replayed"] == "true"
    other = counter.sell("k-1", counter.body(outlet="westgate"))
    assert other.json()["code"] == "idempotency_key_reused"

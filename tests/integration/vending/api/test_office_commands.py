"""Commands over HTTP: listed, settled by what was found at the meter, tried again."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.support.api import problem
from tests.support.campaign_meters import Round
from tests.support.campaigns import Fleet
from tests.support.deliveries import Plan
from tests.support.json_schema import list_faults, resolve
from tests.support.people import session_token_for
from vending.app import create_app
from vending.campaigns.model import MeterStep
from vending.commands.rules import UNKNOWN_TRIES_MAX
from vending.operators.permissions import Role
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.values.clock import FixedClock

COMMANDS = "/v1/office/commands"
NOBODY = "019abf3e-9d3c-7a54-8f0b-3f2a1c5d7e90"


class Office:
    """The office over a fleet whose first meter never answered a key-change set."""

    def __init__(self, street: Round) -> None:
        self.fleet = street.fleet
        self.campaign = self.fleet.run()
        lost = [Plan.LOSE_REQUEST] * UNKNOWN_TRIES_MAX
        street.gateway.plan(self.fleet.shop.meters[0], *lost)
        for _ in lost:
            street.deliver(after=timedelta(hours=1))
        self.client = TestClient(create_app(self.fleet.shop.container()))
        database, clock = self.fleet.database, self.fleet.clock
        self.tokens = {
            name: session_token_for(database, clock, role, name=name)
            for name, role in {"eve": Role.ENGINEER, "audrey": Role.AUDITOR}.items()
        }

    def get(self, by: str = "eve", **params: str) -> Response:
        headers = {"Authorization": f"Bearer {self.tokens[by]}"}
        return self.client.get(COMMANDS, headers=headers, params=params)

    def post(self, path: str, body: dict[str, str] | None = None, by: str = "eve") -> Response:
        headers = {"Authorization": f"Bearer {self.tokens[by]}"}
        return self.client.post(f"{COMMANDS}/{path}", headers=headers, json=body)

    def waiting(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get().json()["commands"]
        return found

    @property
    def drn(self) -> str:
        return self.fleet.shop.meters[0].pan.iain


@pytest.fixture
def office(sqlite_database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Office:
    return Office(Round(Fleet(sqlite_database, fixed_clock, tmp_path, 2)))


def test_commands_that_wait_for_a_person_are_listed(office: Office) -> None:
    (command,) = office.waiting()
    assert (command["drn"], command["kind"]) == (office.drn, "enter-key-change")
    assert (command["state"], command["attempts"]) == ("needs-human", UNKNOWN_TRIES_MAX)


def test_commands_of_a_meter_are_listed_whatever_their_state(office: Office) -> None:
    (command,) = office.waiting()
    assert office.get(meter=office.drn).json()["commands"] == [command]
    other = office.fleet.shop.meters[1].pan.iain
    assert office.get(meter=other).json()["commands"] == []
    assert problem(office.get(meter="01234567890"))["code"] == "meter_check_digit"


def test_settled_set_is_known_to_its_campaign_and_by_whom_is_recorded(office: Office) -> None:
    (command,) = office.waiting()
    settled = office.post(f"{command['id']}/settlement", {"verdict": "applied"}).json()
    assert settled["state"] == "reconciled"
    assert office.waiting() == []
    assert office.fleet.steps(office.campaign.id)[MeterStep.ENTERED] == 1
    with office.fleet.database.read() as connection:
        told = connection.execute(audit_events.select()).mappings().all()
    assert [row["actor_name"] for row in told if "settled" in row["action"]] == ["eve"]


def test_set_that_was_not_applied_is_chased(office: Office) -> None:
    (command,) = office.waiting()
    settled = office.post(f"{command['id']}/settlement", {"verdict": "not-applied"}).json()
    assert settled["state"] == "refused"
    assert office.fleet.steps(office.campaign.id)[MeterStep.NEEDS_CHASE] == 1


def test_command_is_tried_again_the_same(office: Office) -> None:
    (command,) = office.waiting()
    again = office.post(f"{command['id']}/retry").json()
    assert (again["id"], again["state"]) == (command["id"], "unknown")
    assert problem(office.post(f"{command['id']}/retry"))["code"] == "command_state"


def test_command_that_is_not_there_or_a_verdict_that_is_none_is_refused(office: Office) -> None:
    (command,) = office.waiting()
    for path, body in (("retry", None), ("settlement", {"verdict": "applied"})):
        assert problem(office.post(f"{NOBODY}/{path}", body))["code"] == "command_not_found"
    assert office.post(f"{command['id']}/settlement", {"verdict": "perhaps"}).status_code == 422
    assert len(office.waiting()) == 1


def test_who_may_read_may_not_settle(office: Office) -> None:
    (command,) = office.get(by="audrey").json()["commands"]
    for path, body in (("retry", None), ("settlement", {"verdict": "applied"})):
        refused = office.post(f"{command['id']}/{path}", body, by="audrey")
        assert problem(refused)["code"] == "permission_denied"
    assert len(office.waiting()) == 1


def test_answers_fit_their_schemas(office: Office) -> None:
    document = office.client.get("/openapi.json").json()
    (command,) = office.waiting()
    answers = [
        (COMMANDS, "get", office.get().json()),
        (f"{COMMANDS}/{{command_id}}/retry", "post", office.post(f"{command['id']}/retry").json()),
    ]
    for path, method, answer in answers:
        content = document["paths"][path][method]["responses"]["200"]["content"]
        schema = content["application/json"]["schema"]
        assert list_faults(answer, resolve(schema, document), document) == []

"""The audit log over HTTP: for auditors, in pages."""

from datetime import timedelta

import pytest

from tests.support.api import Counter
from tests.support.people import session_token_for
from vending.operators.permissions import Role
from vending.persistence.audit import AuditEvent, record
from vending.values.actor import Actor, ActorKind

AUDIT = "/v1/office/audit"
ANN = Actor(ActorKind.OPERATOR, "ann\nfake: line\x1b[2J")


@pytest.fixture
def audited(sqlite_counter: Counter) -> Counter:
    """Three acts on two subjects, a second apart."""
    shop = sqlite_counter.shop
    for number in range(3):
        shop.clock.advance(timedelta(seconds=1))
        with shop.database.unit_of_work() as uow:
            event = AuditEvent(ANN, "lamp.lit", f"lamp:{number % 2}", {"number": number})
            record(uow.connection, [event], shop.clock)
            uow.commit()
    return sqlite_counter


def headers_of(counter: Counter, *roles: Role) -> dict[str, str]:
    shop = counter.shop
    token = session_token_for(shop.database, shop.clock, *roles, name="audrey")
    return {"Authorization": f"Bearer {token}"}


def test_an_auditor_reads_the_log_in_pages(audited: Counter) -> None:
    headers = headers_of(audited, Role.AUDITOR)
    told = {"action": "lamp.", "limit": "2"}
    first = audited.client.get(AUDIT, headers=headers, params=told).json()
    assert [event["details"]["number"] for event in first["events"]] == [2, 1]
    told["before"] = first["next_before"]
    second = audited.client.get(AUDIT, headers=headers, params=told).json()
    assert [event["details"]["number"] for event in second["events"]] == [0]
    assert second["next_before"] is None
    assert second["events"][0]["actor_name"] == ANN.name


@pytest.mark.parametrize(
    ("told", "numbers"),
    [
        ({"subject": "lamp:0"}, [2, 0]),
        ({"action": "lamp.lit"}, [2, 1, 0]),
        ({"actor": "nobody"}, []),
        ({"since": "2020-01-01T00:00:00Z", "subject": "lamp:1"}, [1]),
        ({"until": "2020-01-01T00:00:00Z"}, []),
        ({"until": "1960-01-01T00:00:00Z"}, []),
        ({"since": "0001-01-01T00:00:00+14:00", "subject": "lamp:1"}, [1]),
    ],
)
def test_the_log_is_searched(audited: Counter, told: dict[str, str], numbers: list[int]) -> None:
    headers = headers_of(audited, Role.AUDITOR)
    found = audited.client.get(AUDIT, headers=headers, params=told).json()["events"]
    assert [event["details"]["number"] for event in found] == numbers


def test_a_cashier_does_not_read_it(audited: Counter) -> None:
    refused = audited.client.get(AUDIT, headers=headers_of(audited, Role.CASHIER))
    assert refused.status_code == 403
    assert audited.client.get(AUDIT, headers=audited.headers()).status_code == 401


@pytest.mark.parametrize("told", [{"limit": "501"}, {"limit": "0"}, {"since": "yesterday"}])
def test_a_bad_question_is_refused(audited: Counter, told: dict[str, str]) -> None:
    headers = headers_of(audited, Role.AUDITOR)
    assert audited.client.get(AUDIT, headers=headers, params=told).status_code == 422

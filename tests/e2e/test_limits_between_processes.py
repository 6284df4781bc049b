"""Switches and ceilings between processes that know nothing of each other but the database."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.installation import Installation, ProductProcess, install
from tests.support.partner_client import PartnerClient, Purchase
from tests.support.people import sign_in_as
from tests.support.policies import set_policies
from vending.custody.model import StopScope
from vending.custody.service.switches import parse_target, stop
from vending.operators.permissions import Role
from vending.persistence.engine import create_database
from vending.policies.model import PolicyName
from vending.values.clock import SystemClock

CEILING = 25


@dataclass
class Two:
    """Two services over one database."""

    place: Installation
    services: list[ProductProcess]

    def client(self, number: int) -> PartnerClient:
        return PartnerClient(self.services[number].port, self.place.api_key)


@pytest.fixture
def two(postgres_url: str, tmp_path: Path) -> Iterator[Two]:
    place = install(tmp_path / "place", postgres_url, meter_count=60)
    with (
        ProductProcess(place, "serve", "--port", "0") as first,
        ProductProcess(place, "serve", "--port", "0") as second,
    ):
        yield Two(place, [first, second])


def code_of(client: PartnerClient, purchase: Purchase) -> str:
    status, body = client._post(purchase.body(), {"Idempotency-Key": purchase.key})
    return "issued" if status == 201 else str(json.loads(body)["code"])


def test_stop_acts_on_the_very_next_request_of_every_process(two: Two) -> None:
    clients = [two.client(0), two.client(1)]
    for number, client in enumerate(clients):
        assert code_of(client, Purchase(f"before-{number}", two.place.meters[number], 5000)) == (
            "issued"
        )
    database = create_database(two.place.url)
    engineer = sign_in_as(database, SystemClock(), Role.ENGINEER)
    target = parse_target(StopScope.KEY, "201457/1/DUTK")
    stop(database, engineer, target, reason="theft", clock=SystemClock())
    told = [
        code_of(client, Purchase(f"after-{number}", two.place.meters[10 + number], 5000))
        for number, client in enumerate(clients)
    ]
    database.close()
    for client in clients:
        client.close()
    assert told == ["issuing_stopped", "issuing_stopped"]


def test_two_processes_never_pass_one_ceiling(postgres_url: str, tmp_path: Path) -> None:
    place = install(tmp_path / "place", postgres_url, meter_count=60)
    with closing(create_database(place.url)) as database:
        set_policies(database, SystemClock(), {PolicyName.CEILING_CREDIT_TOKENS: CEILING})
    with (
        ProductProcess(place, "serve", "--port", "0") as first,
        ProductProcess(place, "serve", "--port", "0") as second,
    ):
        both = Two(place, [first, second])

        def sell(number: int) -> str:
            client = both.client(number % 2)
            try:
                return code_of(client, Purchase(f"k{number}", place.meters[number], 5000))
            finally:
                client.close()

        with ThreadPoolExecutor(12) as threads:
            told = list(threads.map(sell, range(60)))
    assert told.count("issued") == CEILING
    assert told.count("ceiling_reached") == 60 - CEILING
    database = create_database(place.url)
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT use_class, token_count FROM key_uses").all()
        sold = connection.exec_driver_sql("SELECT count(*) FROM sales").scalar_one()
        raised = connection.exec_driver_sql(
            "SELECT level, count(*) FROM ceiling_alarms GROUP BY level ORDER BY level"
        ).all()
    database.close()
    assert (rows, sold) == ([("credit", CEILING)], CEILING)
    assert raised == [("near", 1), ("reached", 1)]

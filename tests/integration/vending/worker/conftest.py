"""A worker's context over meters in memory, and an attempt that keeps what failed."""

from collections.abc import Callable

import pytest

from tests.support.deliveries import ScriptedGateway, Town, make_delivery
from vending.persistence.engine import Database
from vending.values.clock import FixedClock
from vending.worker.context import WorkerContext


@pytest.fixture
def town(database: Database, fixed_clock: FixedClock) -> Town:
    return Town(database, fixed_clock)


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
def context(town: Town, gateway: ScriptedGateway) -> WorkerContext:
    delivery = make_delivery(town, gateway)
    return WorkerContext(
        database=town.database,
        clock=town.clock,
        metrics=delivery.metrics,
        delivery=delivery,
        resolve_open_sales=lambda limit: limit,
        issue_campaigns=lambda: 0,
        erase_due=lambda: 0,
        finish_open_orders=lambda _: 0,
        watch_keys=lambda: 0,
        beat_clock=lambda: None,
    )


class Attempts:
    """Runs what it is given, and keeps the errors."""

    def __init__(self) -> None:
        self.failed: list[tuple[str, Exception]] = []

    def __call__(self, name: str, action: Callable[[], None]) -> Exception | None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 # as the loop does
            self.failed.append((name, error))
            return error
        return None


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()

"""What the jobs of a worker work with, put together from the container."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy import Connection

from vending.bootstrap import Container
from vending.delivery.addresses import find_addresses
from vending.delivery.gateway import DriverGateway
from vending.delivery.service import Delivery
from vending.keystore.sealing import Sealer
from vending.observability.metrics import Metrics
from vending.persistence.engine import Database
from vending.sales.service.two_step import resolve_open_sales
from vending.tokens.service import open_tokens
from vending.values.clock import Clock
from vending.values.identifiers import TokenId


class WorkerMetrics:
    """The metrics of a worker, in the registry of its process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.failures = Counter(
            "vending_worker_failures_total",
            "Runs of a job, or messages of a topic, that ended in an error",
            ["job"],
            registry=registry,
        )
        self.parked = Gauge(
            "vending_outbox_parked",
            "Messages of the outbox that failed for good and wait for a person",
            registry=registry,
        )
        self.commands = Gauge(
            "vending_commands_unfinished",
            "Commands to meters that are not finished, by state",
            ["state"],
            registry=registry,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    """Everything a job may use."""

    database: Database
    clock: Clock
    metrics: Metrics
    worker_metrics: WorkerMetrics
    delivery: Delivery
    resolve_open_sales: Callable[[int], int]
    """Finishes up to so many sales that were left open; returns how many are no longer open."""
    beat_clock: Callable[[], None]
    """Keeps the mark of the last seen time young; raises when the clock cannot be trusted."""


def make_context(container: Container) -> WorkerContext:
    """Return what the jobs of this process work with; a container has one worker at most."""
    desk = container.desk
    settings = container.settings
    delivery = Delivery(
        database=container.database,
        clock=container.clock,
        gateway=DriverGateway(timeout_s=settings.meter_timeout_ms / 1000),
        find_addresses=find_addresses,
        open_digits=partial(_open_digits, desk.token_sealer),
        metrics=container.metrics,
    )
    return WorkerContext(
        database=container.database,
        clock=container.clock,
        metrics=container.metrics,
        worker_metrics=WorkerMetrics(container.metrics.registry),
        delivery=delivery,
        resolve_open_sales=lambda limit: resolve_open_sales(desk, limit=limit),
        beat_clock=lambda: desk.clock_guard.beat(container.database),
    )


def _open_digits(sealer: Sealer, connection: Connection, token_id: TokenId) -> str:
    return open_tokens(connection, [token_id], sealer)[token_id].digits

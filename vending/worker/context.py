"""What the jobs of a worker work with, put together from the container."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from vending.bootstrap import Container, disconnection_rule
from vending.delivery.addresses import find_addresses
from vending.delivery.gateway import DriverGateway
from vending.delivery.service import Delivery
from vending.keystore.sealing import Sealer
from vending.observability.metrics import Metrics
from vending.persistence.engine import Database
from vending.sales.service.two_step import resolve_open_sales
from vending.tokens.service.orders import finish_open_orders
from vending.tokens.service.sealed import open_tokens
from vending.values.clock import Clock
from vending.values.identifiers import TokenId


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    """Everything a job may use."""

    database: Database
    clock: Clock
    metrics: Metrics
    delivery: Delivery
    resolve_open_sales: Callable[[int], int]
    """Finishes up to so many sales that were left open; returns how many are no longer open."""
    beat_clock: Callable[[], None]
    """Keeps the mark of the last seen time young; raises when the clock cannot be trusted."""
    finish_open_orders: Callable[[int], int]
    """The same for tokens that were ordered outside a sale."""


def make_context(container: Container) -> WorkerContext:
    """Return what the jobs of this process work with."""
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
        rule=disconnection_rule(settings),
        delivery=delivery,
        resolve_open_sales=lambda limit: resolve_open_sales(desk, limit=limit),
        beat_clock=lambda: desk.clock_guard.beat(container.database),
    )


def _open_digits(sealer: Sealer, connection: Connection, token_id: TokenId) -> str:
        finish_open_orders=lambda limit: finish_open_orders(container.token_desk, limit=limit),
    return open_tokens(connection, [token_id], sealer)[token_id].digits

"""What the jobs of a worker work with, put together from the container."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from vending.bootstrap import Container
from vending.campaigns.service.deliveries import open_set
from vending.campaigns.service.issuing import issue_due
from vending.delivery.addresses import find_addresses
from vending.delivery.gateway import DriverGateway
from vending.delivery.service import Delivery
from vending.keystore.sealing import Sealer
from vending.observability.metrics import Metrics
from vending.persistence.engine import Database
from vending.personal_data.service import erase_due
from vending.sales.service.two_step import resolve_open_sales
from vending.tokens.service.orders import finish_open_orders
from vending.tokens.service.sealed import open_tokens
from vending.values.clock import Clock
from vending.values.identifiers import CustomerId, TokenId
from vending.worker.key_watch import watch_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    """Everything a job may use."""

    database: Database
    clock: Clock
    metrics: Metrics
    delivery: Delivery
    resolve_open_sales: Callable[[int], int]
    """Finishes up to so many sales that were left open; returns how many are no longer open."""
    erase_due: Callable[[], int]
    """Erases personal data whose time is over; returns how many people it no longer knows."""
    finish_open_orders: Callable[[int], int]
    """The same for tokens that were ordered outside a sale."""
    issue_campaigns: Callable[[], int]
    """Makes one batch of sets for each running campaign; returns how many meters moved on."""
    watch_keys: Callable[[], int]
    """Shows what expires and what nears its ceiling; returns how many ceremonies it wiped."""
    beat_clock: Callable[[], None]
    """Keeps the mark of the last seen time young; raises when the clock cannot be trusted."""


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
        open_sections=partial(open_set, sealer=desk.token_sealer),
        metrics=container.metrics,
    )
    return WorkerContext(
        database=container.database,
        clock=container.clock,
        metrics=container.metrics,
        delivery=delivery,
        resolve_open_sales=lambda limit: resolve_open_sales(desk, limit=limit),
        erase_due=RetentionRound(container).run,
        finish_open_orders=lambda limit: finish_open_orders(container.token_desk, limit=limit),
        issue_campaigns=lambda: issue_due(container.campaign_office),
        watch_keys=partial(watch_keys, container),
        beat_clock=lambda: desk.clock_guard.beat(container.database),
    )


class RetentionRound:
    """Looks at a few customers a run, one after the other, and begins anew at the end."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._after: CustomerId | None = None

    def run(self) -> int:
        """Erase what is due among the next customers, where the utility has set a time."""
        erased_count, self._after = erase_due(
            self._container.database,
            after=self._after,
            clock=self._container.clock,
        )
        return erased_count


def _open_digits(sealer: Sealer, connection: Connection, token_id: TokenId) -> str:
    return open_tokens(connection, [token_id], sealer)[token_id].digits

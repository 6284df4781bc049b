"""The jobs of a worker, one row each; every run is bounded, and may be repeated or cut short.

job              what it does                                              bound
outbox           hands each message to the handler of its topic            OUTBOX_BATCH_MAX
delivery         carries due commands to meters                            THREAD_COUNT_MAX
stale commands   puts in doubt what a dead worker left `sent`              one batch
campaigns        makes key-change sets of running campaigns                ISSUE_BATCH_MAX each
open sales       finishes sales whose security module did not answer       SALE_BATCH_MAX
open orders      the same for tokens that were ordered outside a sale      ORDER_BATCH_MAX
retention        erases personal data whose time is over                   SCAN_COUNT_MAX
clock            keeps the mark of the last seen time young                one row
keys             expiry, ceilings, overdue ceremonies, older root keys     one row a key
gauges           counts what waits, for `/metrics`                         three queries
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from vending.commands.service import count_unfinished
from vending.delivery.service import (
    deliver_due,
    doubt_stale,
    handle_sale_issued,
    handle_token_issued,
)
from vending.errors import VendingError
from vending.observability.tracing import span
from vending.persistence import outbox
from vending.persistence.outbox import Failure, LeasedMessage
from vending.sales.errors import ClockJumpedError
from vending.sales.service.books import SALE_ISSUED
from vending.sales.service.two_step import age_of_oldest_open
from vending.tokens.service.orders import TOKEN_ISSUED
from vending.worker.context import WorkerContext

OUTBOX_BATCH_MAX: Final = 50
OUTBOX_LEASE_S: Final = 60
"""A handler only writes rows: a batch takes seconds, a dead worker's batch is free in a minute."""
OUTBOX_ATTEMPTS_MAX: Final = 20
"""About ten hours of tries, each after a longer pause; then the message waits for a person."""
SALE_BATCH_MAX: Final = 100
ORDER_BATCH_MAX: Final = 50
NO_HANDLER: Final = "no handler for this topic"

Attempt = Callable[[str, Callable[[], None]], Exception | None]
"""Runs something under a name; an error is logged, counted and returned, never raised."""
Handler = Callable[[WorkerContext, LeasedMessage], None]
"""Carries out one message in transactions of its own; the same message may come again."""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the table: `run` returns how much it did; 0 means that nothing waits."""

    name: str
    interval_s: float
    """Pause after a run that found nothing to do; 0: as soon as the loop comes by."""
    run: Callable[[Attempt], int]


def relay_outbox(context: WorkerContext, attempt: Attempt, handlers: Mapping[str, Handler]) -> int:
    """Hand due messages to their handlers; return how many there were."""
    with context.database.unit_of_work() as uow:
        messages = outbox.lease(
            uow.connection,
            now=context.clock.now(),
            limit=OUTBOX_BATCH_MAX,
            lease_s=OUTBOX_LEASE_S,
        )
        uow.commit()
    if not messages:
        return 0
    failures = {
        message.id: failure
        for message in messages
        if (failure := _hand_over(context, attempt, message, handlers)) is not None
    }
    with context.database.unit_of_work() as uow:
        now = context.clock.now()
        done = [message for message in messages if message.id not in failures]
        outbox.mark_done(uow.connection, done, now=now)
        outbox.mark_failed(uow.connection, list(failures.values()), now=now)
        uow.commit()
    return len(messages)


def _hand_over(
    context: WorkerContext,
    attempt: Attempt,
    message: LeasedMessage,
    handlers: Mapping[str, Handler],
) -> Failure | None:
    handler = handlers.get(message.topic)
    if handler is None:
        return Failure(message, NO_HANDLER, retry_at=None)

    def hand_over() -> None:
        with span(f"outbox {message.topic}", {"messaging.operation.name": message.topic}):
            handler(context, message)

    error = attempt(f"outbox {message.topic}", hand_over)
    if error is None:
        return None
    is_last = message.attempt >= OUTBOX_ATTEMPTS_MAX
    pause = outbox.compute_backoff(message.attempt)
    retry_at = None if is_last else context.clock.now() + pause
    return Failure(message, _name(error), retry_at)


def _name(error: Exception) -> str:
    """Return the code of a refusal, the class of anything else: its text may quote a row."""
    return error.code if isinstance(error, VendingError) else type(error).__name__


def keep_clock(context: WorkerContext) -> int:
    """Keep the clock's mark young, and show whether the clock is trusted.

    Raises:
        ClockJumpedError: It is not.
    """
    try:
        context.beat_clock()
    except ClockJumpedError:
        context.metrics.clock_trusted.set(0)
        raise
    context.metrics.clock_trusted.set(1)
    return 0


def read_gauges(context: WorkerContext) -> int:
    """Count what waits."""
    with context.database.read() as connection:
        age = outbox.age_of_oldest(connection, context.clock.now())
        parked = outbox.count_parked(connection)
        unfinished = count_unfinished(connection)
        open_sale = age_of_oldest_open(connection, context.clock.now())
    context.metrics.outbox_age.set(0 if age is None else age.total_seconds())
    context.metrics.outbox_parked.set(parked)
    context.metrics.open_sale_age.set(0 if open_sale is None else open_sale.total_seconds())
    for state, count in unfinished.items():
        context.metrics.commands_unfinished.labels(state.value).set(count)
    return 0


HANDLERS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        SALE_ISSUED: lambda context, message: handle_sale_issued(context.delivery, message),
        TOKEN_ISSUED: lambda context, message: handle_token_issued(context.delivery, message),
    }
)
"""Who carries out which topic."""


def make_jobs(context: WorkerContext) -> tuple[Job, ...]:
    """Return the table, in the order the jobs run: a promise is delivered in the same round."""
    return (
        Job("clock", 20, lambda _: keep_clock(context)),
        Job("outbox", 0, lambda attempt: relay_outbox(context, attempt, HANDLERS)),
        Job("delivery", 0, lambda _: deliver_due(context.delivery)),
        Job("stale commands", 10, lambda _: doubt_stale(context.delivery)),
        Job("campaigns", 5, lambda _: context.issue_campaigns()),
        Job("open sales", 5, lambda _: context.resolve_open_sales(SALE_BATCH_MAX)),
        Job("open orders", 5, lambda _: context.finish_open_orders(ORDER_BATCH_MAX)),
        Job("retention", 60, lambda _: context.erase_due()),
        Job("keys", 60, lambda _: context.watch_keys()),
        Job("gauges", 15, lambda _: read_gauges(context)),
    )

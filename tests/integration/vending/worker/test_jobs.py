"""The jobs on both databases: the outbox above all."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.support.deliveries import Plan, ScriptedGateway, Town
from vending.commands.model import CommandState
from vending.delivery.errors import SaleMessageError
from vending.persistence import outbox
from vending.persistence.column_types import Json
from vending.persistence.outbox import LeasedMessage, Message
from vending.sales.errors import ClockJumpedError
from vending.sales.service.books import SALE_ISSUED
from vending.values.identifiers import OutboxId, new_uuid7
from vending.worker.context import WorkerContext
from vending.worker.jobs import (
    HANDLERS,
    NO_HANDLER,
    OUTBOX_ATTEMPTS_MAX,
    OUTBOX_LEASE_S,
    Attempt,
    keep_clock,
    make_jobs,
    read_gauges,
    relay_outbox,
)

Append = Callable[..., OutboxId]


@pytest.fixture
def append(town: Town) -> Append:
    def add(topic: str, payload: Json = None) -> OutboxId:
        identifier, now = OutboxId(new_uuid7(town.clock)), town.clock.now()
        message = Message(identifier, topic, payload or {}, now)
        with town.database.unit_of_work() as uow:
            outbox.append(uow.connection, [message])
            uow.commit()
        return message.id

    return add


@pytest.fixture
def failure_of(town: Town) -> Callable[[OutboxId], str | None]:
    def read(message_id: OutboxId) -> str | None:
        table = outbox.outbox
        with town.database.read() as connection:
            query = select(table.c.last_failure).where(table.c.id == message_id)
            found: str | None = connection.execute(query).scalar_one()
            return found

    return read


def test_issued_sale_is_delivered_in_one_round(
    town: Town, context: WorkerContext, gateway: ScriptedGateway, append: Append, attempts: Attempt
) -> None:
    token = town.issue(town.add_meter())
    append(SALE_ISSUED, token.payload)
    done = {job.name: job.run(attempts) for job in make_jobs(context)}
    assert (done["outbox"], done["delivery"], done["open sales"]) == (1, 1, 100)
    assert gateway.credits_of(token) == 1
    assert relay_outbox(context, attempts, HANDLERS) == 0


def test_message_that_comes_again_is_delivered_once(
    town: Town, context: WorkerContext, gateway: ScriptedGateway, append: Append, attempts: Attempt
) -> None:
    token = town.issue(town.add_meter())
    for _ in range(2):
        append(SALE_ISSUED, token.payload)
    for _ in range(3):
        for job in make_jobs(context):
            job.run(attempts)
    assert gateway.credits_of(token) == 1
    assert len(gateway.sent) == 1


def test_failing_message_stops_no_other_and_comes_back_later(
    town: Town,
    context: WorkerContext,
    append: Append,
    failure_of: Callable[[OutboxId], str | None],
    attempts: Attempt,
) -> None:
    bad = append(SALE_ISSUED, {"sale_id": 1})
    token = town.issue(town.add_meter())
    append(SALE_ISSUED, token.payload)
    assert relay_outbox(context, attempts, HANDLERS) == 2
    assert failure_of(bad) == SaleMessageError.code
    assert town.queue(token.command())[0].version == 1
    assert relay_outbox(context, attempts, HANDLERS) == 0
    town.clock.advance(timedelta(seconds=outbox.BACKOFF_FIRST_S))
    assert relay_outbox(context, attempts, HANDLERS) == 1


def test_message_that_always_fails_is_parked_for_a_person(
    town: Town,
    context: WorkerContext,
    append: Append,
    failure_of: Callable[[OutboxId], str | None],
    attempts: Attempt,
) -> None:
    def fail(_: WorkerContext, __: LeasedMessage) -> None:
        raise ZeroDivisionError

    bad = append("doomed")
    for number in range(OUTBOX_ATTEMPTS_MAX):
        assert relay_outbox(context, attempts, {"doomed": fail}) == 1, number
        town.clock.advance(timedelta(hours=1))
    assert relay_outbox(context, attempts, {"doomed": fail}) == 0
    assert failure_of(bad) == "ZeroDivisionError"
    read_gauges(context)
    assert context.metrics.registry.get_sample_value("vending_outbox_parked") == 1


def test_message_without_a_handler_is_parked_at_once(
    town: Town,
    context: WorkerContext,
    append: Append,
    failure_of: Callable[[OutboxId], str | None],
    attempts: Attempt,
) -> None:
    strange = append("of.tomorrow")
    assert relay_outbox(context, attempts, HANDLERS) == 1
    town.clock.advance(timedelta(days=1))
    assert relay_outbox(context, attempts, HANDLERS) == 0
    assert failure_of(strange) == NO_HANDLER


def test_message_of_a_dead_worker_comes_back_after_its_lease(
    town: Town, context: WorkerContext, append: Append, attempts: Attempt
) -> None:
    class Crash(BaseException):
        pass

    def die(_: WorkerContext, __: LeasedMessage) -> None:
        raise Crash

    append("fatal")
    with pytest.raises(Crash):
        relay_outbox(context, attempts, {"fatal": die})
    assert relay_outbox(context, attempts, {"fatal": die}) == 0
    town.clock.advance(timedelta(seconds=OUTBOX_LEASE_S))
    assert relay_outbox(context, attempts, {"fatal": lambda _, __: None}) == 1


def test_gauges_show_what_waits(
    town: Town, context: WorkerContext, gateway: ScriptedGateway, append: Append, attempts: Attempt
) -> None:
    token = town.issue(town.add_meter())
    gateway.plan(token.meter, Plan.LOSE_ANSWER)
    append(SALE_ISSUED, token.payload)
    for job in make_jobs(context):
        job.run(attempts)
    append("waits")
    town.clock.advance(timedelta(seconds=7))
    read_gauges(context)
    registry = context.metrics.registry
    assert registry.get_sample_value("vending_outbox_oldest_seconds") == 7
    assert (
        registry.get_sample_value(
            "vending_commands_unfinished", {"state": CommandState.UNKNOWN.value}
        )
        == 1
    )


def test_untrusted_clock_is_shown_and_raised(town: Town, context: WorkerContext) -> None:
    keep_clock(context)
    registry = context.metrics.registry
    assert registry.get_sample_value("vending_clock_trusted") == 1

    def jump() -> None:
        raise ClockJumpedError(town.clock.now(), town.clock.now())

    broken = WorkerContext(
        database=context.database,
        clock=context.clock,
        metrics=context.metrics,
        delivery=context.delivery,
        resolve_open_sales=context.resolve_open_sales,
        issue_campaigns=lambda: 0,
        erase_due=context.erase_due,
        finish_open_orders=context.finish_open_orders,
        watch_keys=lambda: 0,
        beat_clock=jump,
    )
    with pytest.raises(ClockJumpedError):
        keep_clock(broken)
    assert registry.get_sample_value("vending_clock_trusted") == 0

"""The outbox on both databases."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from vending.persistence import outbox
from vending.persistence.engine import Database
from vending.persistence.outbox import Failure, LeasedMessage, Message
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.values.identifiers import OutboxId

Append = Callable[..., list[OutboxId]]
Lease = Callable[..., list[LeasedMessage]]


@pytest.fixture
def append(database: Database, fixed_clock: FixedClock) -> Append:
    def run(count: int = 1) -> list[OutboxId]:
        messages = [
            Message(
                OutboxId(uuid.UUID(int=number + 1)),
                "receipt",
                {"sale": number, "to": "电"},
                fixed_clock.now() + timedelta(microseconds=number),
            )
            for number in range(count)
        ]
        with database.unit_of_work() as uow:
            outbox.append(uow.connection, messages)
            uow.commit()
        fixed_clock.advance(timedelta(seconds=1))
        return [message.id for message in messages]

    return run


@pytest.fixture
def lease(database: Database, fixed_clock: FixedClock) -> Lease:
    def run(limit: int = 10, lease_s: int = 30) -> list[LeasedMessage]:
        with database.unit_of_work() as uow:
            taken = outbox.lease(
                uow.connection, now=fixed_clock.now(), limit=limit, lease_s=lease_s
            )
            uow.commit()
        return taken

    return run


def test_messages_are_leased_oldest_first_and_once(append: Append, lease: Lease) -> None:
    ids = append(3)
    first = lease(limit=2)
    assert [message.id for message in first] == ids[:2]
    assert first[0].payload == {"sale": 0, "to": "电"}
    assert first[0].attempt == 1
    assert [message.id for message in lease()] == ids[2:]
    assert lease() == []


def test_a_lease_that_ran_out_is_given_to_another_worker(
    append: Append, lease: Lease, fixed_clock: FixedClock
) -> None:
    append()
    lease(lease_s=30)
    fixed_clock.advance(timedelta(seconds=29))
    assert lease() == []
    fixed_clock.advance(timedelta(seconds=1))
    assert [message.attempt for message in lease()] == [2]


def test_done_messages_do_not_come_back(
    database: Database, append: Append, lease: Lease, fixed_clock: FixedClock
) -> None:
    append(2)
    taken = lease()
    with database.unit_of_work() as uow:
        outbox.mark_done(uow.connection, taken, now=fixed_clock.now())
        outbox.mark_done(uow.connection, taken, now=fixed_clock.now())
        outbox.mark_done(uow.connection, [], now=fixed_clock.now())
        uow.commit()
    fixed_clock.advance(timedelta(days=1))
    assert lease() == []


def test_a_failed_message_comes_back_when_it_is_due(
    database: Database, append: Append, lease: Lease, fixed_clock: FixedClock
) -> None:
    append()
    taken = lease()[0]
    retry_at = fixed_clock.now() + outbox.compute_backoff(taken.attempt)
    with database.unit_of_work() as uow:
        failure = Failure(taken, "timeout", retry_at)
        outbox.mark_failed(uow.connection, [failure], now=fixed_clock.now())
        uow.commit()
    assert lease() == []
    fixed_clock.jump_to(retry_at)
    assert [message.attempt for message in lease()] == [2]


def test_a_parked_message_waits_for_a_person(
    database: Database, append: Append, lease: Lease, fixed_clock: FixedClock
) -> None:
    ids = append()
    failures = [Failure(message, "x" * 2_000, None) for message in lease()]
    with database.unit_of_work() as uow:
        outbox.mark_failed(uow.connection, failures, now=fixed_clock.now())
        uow.commit()
    fixed_clock.advance(timedelta(days=1))
    assert lease() == []
    with database.unit_of_work() as uow:
        assert outbox.count_parked(uow.connection) == 1
        assert outbox.age_of_oldest(uow.connection, fixed_clock.now()) is None
        assert outbox.release_parked(uow.connection, [], by=SYSTEM, clock=fixed_clock) == 0
        assert outbox.release_parked(uow.connection, ids, by=SYSTEM, clock=fixed_clock) == 1
        uow.commit()
    assert [message.id for message in lease()] == ids


def test_a_worker_whose_lease_ran_out_cannot_reschedule(
    database: Database, append: Append, lease: Lease, fixed_clock: FixedClock
) -> None:
    append()
    late = lease(lease_s=10)[0]
    fixed_clock.advance(timedelta(seconds=10))
    current = lease(lease_s=10)[0]
    with database.unit_of_work() as uow:
        outbox.mark_failed(uow.connection, [Failure(late, "late", None)], now=fixed_clock.now())
        assert outbox.count_parked(uow.connection) == 0
        outbox.mark_done(uow.connection, [current], now=fixed_clock.now())
        outbox.mark_failed(uow.connection, [Failure(current, "done", None)], now=fixed_clock.now())
        outbox.mark_failed(uow.connection, [], now=fixed_clock.now())
        assert outbox.count_parked(uow.connection) == 0


def test_messages_vanish_with_the_work_that_is_rolled_back(
    database: Database, fixed_clock: FixedClock
) -> None:
    with database.unit_of_work() as uow:
        message = Message(OutboxId(uuid.UUID(int=1)), "receipt", {}, fixed_clock.now())
        outbox.append(uow.connection, [message])
        outbox.append(uow.connection, [])
    with database.read() as connection:
        assert outbox.age_of_oldest(connection, fixed_clock.now()) is None


def test_the_age_of_the_oldest_is_known(
    database: Database, append: Append, fixed_clock: FixedClock
) -> None:
    append(2)
    fixed_clock.advance(timedelta(seconds=59))
    with database.read() as connection:
        assert outbox.age_of_oldest(connection, fixed_clock.now()) == timedelta(seconds=60)


def test_two_workers_of_postgresql_take_different_messages(
    postgres_database: Database, fixed_clock: FixedClock
) -> None:
    messages = [
        Message(OutboxId(uuid.UUID(int=number)), "receipt", {}, fixed_clock.now())
        for number in range(1, 5)
    ]
    with postgres_database.unit_of_work() as uow:
        outbox.append(uow.connection, messages)
        uow.commit()
    with postgres_database.unit_of_work() as one, postgres_database.unit_of_work() as two:
        first = outbox.lease(one.connection, now=fixed_clock.now(), limit=2, lease_s=10)
        second = outbox.lease(two.connection, now=fixed_clock.now(), limit=4, lease_s=10)
    assert [message.id.int for message in first] == [1, 2]
    assert [message.id.int for message in second] == [3, 4]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM outbox",
        "UPDATE outbox SET payload = payload",
        "UPDATE outbox SET topic = 'other'",
        "UPDATE outbox SET id = id",
        "UPDATE outbox SET created_at = created_at",
    ],
)
def test_a_waiting_message_stays_as_it_was_written(
    database: Database, append: Append, statement: str
) -> None:
    append()
    with pytest.raises(IntegrityError), database.unit_of_work() as uow:
        uow.connection.execute(text(statement))


def test_a_done_message_may_be_deleted(
    database: Database, append: Append, lease: Lease, fixed_clock: FixedClock
) -> None:
    append()
    taken = lease()
    with database.unit_of_work() as uow:
        outbox.mark_done(uow.connection, taken, now=fixed_clock.now())
        assert uow.connection.execute(text("DELETE FROM outbox")).rowcount == 1


def test_a_lease_is_bounded(database: Database, fixed_clock: FixedClock) -> None:
    with pytest.raises(AssertionError), database.unit_of_work() as uow:
        outbox.lease(uow.connection, now=fixed_clock.now(), limit=100_000, lease_s=1)

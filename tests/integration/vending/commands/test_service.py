"""Queue, lease and record on both databases."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import IntegrityError

from tests.support.deliveries import Town
from vending.commands import rules
from vending.commands import service as commands
from vending.commands.errors import (
    CommandKeyReusedError,
    CommandNotFoundError,
    CommandStateError,
)
from vending.commands.model import (
    FINISHED_STATES,
    Command,
    CommandKind,
    CommandState,
    TryOutcome,
    TryResult,
    Verdict,
)
from vending.commands.tables import command_changes
from vending.commands.tables import commands as commands_table
from vending.values.actor import Actor, ActorKind
from vending.values.identifiers import CommandId

AMINA = Actor(ActorKind.OPERATOR, "amina")
DONE = TryResult(TryOutcome.DONE, "Accept")
UNKNOWN = TryResult(TryOutcome.UNKNOWN, "link_timeout")
NOT_REACHED = TryResult(TryOutcome.NOT_REACHED, "connection_lost")
S = CommandState


class Desk:
    """The service, each call in a transaction of its own."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def lease(self, limit: int = 10) -> list[Command]:
        with self.town.database.unit_of_work() as uow:
            leased = commands.lease_due(uow.connection, self.town.clock.now(), limit)
            uow.commit()
        return leased

    def record(self, command: Command, result: TryResult) -> list[Command]:
        with self.town.database.unit_of_work() as uow:
            report = commands.TryReport(command, result)
            changed = commands.record_results(uow.connection, [report], self.town.clock.now())
            uow.commit()
        return changed

    def mark_stale(self) -> list[Command]:
        with self.town.database.unit_of_work() as uow:
            stale = commands.mark_stale(uow.connection, self.town.clock.now())
            uow.commit()
        return stale

    def bring_to_person(self, command: Command) -> Command:
        self.town.clock.advance(rules.LIFETIMES[command.kind])
        self.lease()
        return self.town.command(command.id)


@pytest.fixture
def desk(town: Town) -> Desk:
    return Desk(town)


def test_command_is_queued_once_under_its_key(town: Town) -> None:
    token = town.issue(town.add_meter())
    first, twin = town.queue(token.command(), token.command())
    town.clock.advance(timedelta(minutes=5))
    (again,) = town.queue(token.command())
    assert first == twin == again
    assert first.state is S.QUEUED
    assert town.command(first.id) == first


def test_nothing_is_queued_for_an_empty_batch(town: Town) -> None:
    assert town.queue() == []


def test_key_of_another_command_is_refused(town: Town) -> None:
    meter = town.add_meter()
    (first,) = town.queue(town.issue(meter).command())
    other = replace(town.issue(meter).command(), dedupe_key=first.dedupe_key)
    with pytest.raises(CommandKeyReusedError) as caught:
        town.queue(other)
    assert caught.value.facts == {"command_id": str(first.id)}


def test_lease_marks_one_command_a_meter_sent(town: Town, desk: Desk) -> None:
    meters = [town.add_meter() for _ in range(3)]
    queued = town.queue(*(town.issue(meter).command() for meter in meters for _ in range(2)))
    leased = desk.lease()
    assert sorted(each.id for each in leased) == sorted(each.id for each in queued[::2])
    assert {(each.state, each.attempts) for each in leased} == {(S.SENT, 1)}
    assert [town.command(each.id) for each in leased] == leased
    assert desk.lease() == []


def test_lease_takes_no_more_than_its_limit(town: Town, desk: Desk) -> None:
    town.queue(*(town.issue(town.add_meter()).command() for _ in range(3)))
    assert len(desk.lease(limit=2)) == 2
    assert len(desk.lease(limit=2)) == 1


def test_next_command_of_a_meter_waits_until_the_first_is_recorded(town: Town, desk: Desk) -> None:
    meter = town.add_meter()
    first, second = town.queue(town.issue(meter).command(), town.issue(meter).command())
    (leased,) = desk.lease()
    assert {leased.id} < {first.id, second.id}
    assert desk.record(leased, DONE)[0].state is S.DONE
    (following,) = desk.lease()
    assert {leased.id, following.id} == {first.id, second.id}


def test_unknown_command_comes_back_after_its_delay_the_same(town: Town, desk: Desk) -> None:
    token = town.issue(town.add_meter())
    town.queue(token.command())
    (leased,) = desk.lease()
    (unknown,) = desk.record(leased, UNKNOWN)
    assert (unknown.state, unknown.doubtful) == (S.UNKNOWN, True)
    assert desk.lease() == []
    town.clock.advance(timedelta(seconds=5))
    (again,) = desk.lease()
    assert (again.id, again.token_id, again.attempts) == (leased.id, token.token_id, 2)


def test_result_of_a_worker_taken_for_dead_is_dropped(town: Town, desk: Desk) -> None:
    town.queue(town.issue(town.add_meter()).command())
    (slow,) = desk.lease()
    town.clock.advance(rules.SENT_LEASE)
    (stale,) = desk.mark_stale()
    assert (stale.state, stale.result_code) == (S.UNKNOWN, rules.CODE_STALE)
    assert desk.record(slow, DONE) == []
    town.clock.advance(timedelta(seconds=5))
    (again,) = desk.lease()
    assert desk.record(slow, DONE) == []
    assert desk.record(again, TryResult(TryOutcome.APPLIED_BEFORE, "UsedError"))
    assert town.command(slow.id).state is S.RECONCILED


def test_sent_command_is_not_stale_before_its_lease_is_over(town: Town, desk: Desk) -> None:
    town.queue(town.issue(town.add_meter()).command())
    desk.lease()
    town.clock.advance(rules.SENT_LEASE - timedelta(microseconds=1))
    assert desk.mark_stale() == []


def test_queued_command_expires_and_doubtful_one_goes_to_a_person(town: Town, desk: Desk) -> None:
    (fresh,) = town.queue(town.issue(town.add_meter()).command())
    (doubted,) = town.queue(town.issue(town.add_meter()).command())
    for leased in desk.lease():
        desk.record(leased, UNKNOWN if leased.id == doubted.id else NOT_REACHED)
    town.clock.advance(rules.LIFETIMES[CommandKind.ENTER_TOKEN])
    assert desk.lease() == []
    assert town.command(fresh.id).state is S.EXPIRED
    assert town.command(doubted.id).state is S.NEEDS_HUMAN


def test_only_the_newest_order_for_a_relay_is_sent(town: Town, desk: Desk) -> None:
    meter, neighbour = town.add_meter(), town.add_meter()
    cut = town.order_relay(meter, CommandKind.DISCONNECT)
    other = town.order_relay(neighbour, CommandKind.DISCONNECT)
    (token,) = town.queue(town.issue(meter).command())
    town.clock.advance(timedelta(seconds=1))
    restore = town.order_relay(meter, CommandKind.RECONNECT)
    assert {each.id for each in desk.lease()} == {other.id, token.id}
    assert town.command(cut.id).state is S.SUPERSEDED
    assert town.command(restore.id).state is S.QUEUED


def test_doubtful_order_for_a_relay_gives_way_to_a_newer_one(town: Town, desk: Desk) -> None:
    meter = town.add_meter()
    cut = town.order_relay(meter, CommandKind.DISCONNECT)
    (leased,) = desk.lease()
    town.clock.advance(timedelta(milliseconds=1))
    restore = town.order_relay(meter, CommandKind.RECONNECT)
    assert desk.lease() == []
    desk.record(leased, UNKNOWN)
    assert [each.id for each in desk.lease()] == [restore.id]
    town.clock.advance(timedelta(seconds=5))
    assert desk.lease() == []
    assert town.command(cut.id).state is S.SUPERSEDED


def test_person_sends_a_doubtful_command_again(town: Town, desk: Desk) -> None:
    town.queue(town.issue(town.add_meter()).command())
    (leased,) = desk.lease()
    desk.record(leased, UNKNOWN)
    asked = desk.bring_to_person(leased)
    with town.database.read() as connection:
        assert commands.list_for_person(connection) == [asked]
    with town.database.unit_of_work() as uow:
        again = commands.try_again(uow.connection, asked.id, by=AMINA, clock=town.clock)
        uow.commit()
    assert again.state is S.UNKNOWN
    assert [each.id for each in desk.lease()] == [asked.id]


@pytest.mark.parametrize(
    ("verdict", "state"), [(Verdict.APPLIED, S.RECONCILED), (Verdict.NOT_APPLIED, S.REFUSED)]
)
def test_person_settles_a_doubtful_command(
    town: Town, desk: Desk, verdict: Verdict, state: CommandState
) -> None:
    town.queue(town.issue(town.add_meter()).command())
    (leased,) = desk.lease()
    desk.record(leased, UNKNOWN)
    asked = desk.bring_to_person(leased)
    with town.database.unit_of_work() as uow:
        commands.settle(uow.connection, asked.id, verdict, by=AMINA, clock=town.clock)
        uow.commit()
    assert town.command(asked.id).state is state
    with town.database.read() as connection:
        history = commands.list_changes(connection, asked.id)
    assert [(each.version, each.target, each.actor) for each in history] == [
        (2, S.SENT, "worker"),
        (3, S.UNKNOWN, "worker"),
        (4, S.NEEDS_HUMAN, "worker"),
        (5, state, str(AMINA)),
    ]
    assert history[1].code == "link_timeout"


def test_person_cannot_settle_what_still_waits(town: Town) -> None:
    (queued,) = town.queue(town.issue(town.add_meter()).command())
    with town.database.unit_of_work() as uow, pytest.raises(CommandStateError):
        commands.settle(uow.connection, queued.id, Verdict.APPLIED, by=AMINA, clock=town.clock)
    assert town.command(queued.id) == queued


def test_unknown_id_is_refused(town: Town) -> None:
    nobody = CommandId(uuid.UUID(int=1))
    with town.database.unit_of_work() as uow:
        with pytest.raises(CommandNotFoundError):
            commands.load_command(uow.connection, nobody)
        with pytest.raises(CommandNotFoundError):
            commands.try_again(uow.connection, nobody, by=AMINA, clock=town.clock)


def test_commands_are_listed_by_meter_and_by_sale(town: Town) -> None:
    meter = town.add_meter()
    token = town.issue(meter)
    (entry,) = town.queue(token.command())
    town.clock.advance(timedelta(seconds=1))
    cut = town.order_relay(meter, CommandKind.DISCONNECT)
    with town.database.read() as connection:
        assert commands.list_for_meter(connection, meter.id) == [cut, entry]
        assert commands.list_for_meter(connection, meter.id, limit=1) == [cut]
        assert commands.list_for_sale(connection, token.sale_id) == [entry]
        assert commands.count_unfinished(connection) == {
            S.QUEUED: 2,
            S.UNKNOWN: 0,
            S.SENT: 0,
            S.NEEDS_HUMAN: 0,
        }


@pytest.mark.parametrize("state", sorted(FINISHED_STATES))
def test_finished_command_is_never_changed_again(town: Town, state: CommandState) -> None:
    (queued,) = town.queue(town.issue(town.add_meter()).command())
    row = commands_table.c.id == queued.id
    with town.database.unit_of_work() as uow:
        uow.connection.execute(update(commands_table).where(row).values(state=state.value))
        uow.commit()
    with (
        town.database.unit_of_work() as uow,
        pytest.raises(IntegrityError, match="commands:finished"),
    ):
        uow.connection.execute(update(commands_table).where(row).values(state="queued"))


def test_command_is_never_deleted(town: Town) -> None:
    town.queue(town.issue(town.add_meter()).command())
    with (
        town.database.unit_of_work() as uow,
        pytest.raises(IntegrityError, match="append_only:commands"),
    ):
        uow.connection.execute(delete(commands_table))


def test_what_a_command_orders_never_changes(town: Town) -> None:
    town.queue(town.issue(town.add_meter()).command())
    other = town.add_meter()
    with (
        town.database.unit_of_work() as uow,
        pytest.raises(IntegrityError, match="append_only:commands"),
    ):
        uow.connection.execute(update(commands_table).values(meter_id=other.id))


def test_history_is_never_changed(town: Town, desk: Desk) -> None:
    town.queue(town.issue(town.add_meter()).command())
    desk.lease()
    with (
        town.database.unit_of_work() as uow,
        pytest.raises(IntegrityError, match="append_only:command_changes"),
    ):
        uow.connection.execute(update(command_changes).values(actor="nobody"))


def test_database_refuses_two_sent_commands_of_one_meter(town: Town) -> None:
    meter = town.add_meter()
    town.queue(town.issue(meter).command(), town.issue(meter).command())
    with town.database.unit_of_work() as uow, pytest.raises(IntegrityError):
        uow.connection.execute(update(commands_table).values(state="sent"))


def test_database_refuses_a_token_entry_without_a_token(town: Town) -> None:
    cut = town.order_relay(town.add_meter(), CommandKind.DISCONNECT)
    row = {column.name: getattr(cut, column.name) for column in commands_table.columns} | {
        "id": uuid.uuid4(),
        "dedupe_key": "another",
        "kind": "enter-token",
        "state": "queued",
    }
    with town.database.unit_of_work() as uow, pytest.raises(IntegrityError):
        uow.connection.execute(insert(commands_table).values(row))

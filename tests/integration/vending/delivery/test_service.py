"""Commands carried to meters in memory: answers, losses, crashes, on both databases."""

import logging
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.support.deliveries import Crash, IssuedToken, Plan, ScriptedGateway, Town, make_delivery
from vending.commands import rules
from vending.commands.model import CommandKind, CommandState, TryOutcome, TryResult
from vending.delivery.errors import SaleMessageError, TokenMessageError
from vending.delivery.port import RelayPosition
from vending.delivery.service import (
    CODE_NO_LINK,
    CODE_TOKEN_SEALED,
    THREAD_COUNT_MAX,
    Delivery,
    deliver_due,
    doubt_stale,
    handle_sale_issued,
    handle_token_issued,
)
from vending.persistence.column_types import Json
from vending.persistence.outbox import LeasedMessage
from vending.values.identifiers import OutboxId

S = CommandState


@pytest.fixture
def message_of(town: Town) -> Callable[[Json], LeasedMessage]:
    def make(payload: Json) -> LeasedMessage:
        identifier = OutboxId(uuid.UUID(int=1))
        return LeasedMessage(identifier, "sale.issued", payload, town.clock.now(), 1)

    return make


@pytest.fixture
def token(town: Town) -> IssuedToken:
    """Return a token whose entry is queued."""
    issued = town.issue(town.add_meter())
    town.queue(issued.command())
    return issued


def state_of(town: Town, token: IssuedToken) -> CommandState:
    return town.queue(token.command())[0].state


def test_due_token_is_delivered(
    town: Town, token: IssuedToken, delivery: Delivery, gateway: ScriptedGateway
) -> None:
    assert deliver_due(delivery) == 1
    assert gateway.sent == [(token.meter.link, token.digits)]
    assert state_of(town, token) is S.DONE
    assert deliver_due(delivery) == 0
    sample = delivery.metrics.registry.get_sample_value(
        "vending_meter_commands_total", {"kind": "enter-token", "state": "done"}
    )
    assert sample == 1


@pytest.mark.parametrize("lost", [Plan.LOSE_REQUEST, Plan.LOSE_ANSWER])
def test_lost_exchange_is_unknown_and_the_same_token_settles_it(
    town: Town, token: IssuedToken, delivery: Delivery, gateway: ScriptedGateway, lost: Plan
) -> None:
    gateway.plan(token.meter, lost)
    deliver_due(delivery)
    assert state_of(town, token) is S.UNKNOWN
    assert deliver_due(delivery) == 0
    town.clock.advance(timedelta(seconds=5))
    deliver_due(delivery)
    assert state_of(town, token) is (S.DONE if lost is Plan.LOSE_REQUEST else S.RECONCILED)
    assert [digits for _, digits in gateway.sent] == [token.digits] * 2
    assert gateway.credits_of(token) == 1


def test_token_typed_by_hand_before_is_reconciled(
    town: Town, token: IssuedToken, delivery: Delivery, gateway: ScriptedGateway
) -> None:
    assert token.meter.link is not None
    gateway.taken[token.meter.link, token.digits] = 1
    deliver_due(delivery)
    assert state_of(town, token) is S.RECONCILED
    assert gateway.credits_of(token) == 1


def test_meter_that_refuses_ends_the_command_with_its_reason(
    town: Town, token: IssuedToken, delivery: Delivery, gateway: ScriptedGateway
) -> None:
    gateway.refusals[token.digits] = TryResult(TryOutcome.REFUSED, "KeyExpiredError")
    deliver_due(delivery)
    command = town.queue(token.command())[0]
    assert (command.state, command.result_code) == (S.REFUSED, "KeyExpiredError")


@pytest.mark.parametrize(("plan", "delay_s"), [(Plan.UNREACHABLE, 10), (Plan.LOCKED_OUT, 60)])
def test_untouched_meter_leaves_the_command_queued_and_free_of_doubt(
    town: Town,
    token: IssuedToken,
    delivery: Delivery,
    gateway: ScriptedGateway,
    *,
    plan: Plan,
    delay_s: int,
) -> None:
    gateway.plan(token.meter, plan)
    deliver_due(delivery)
    command = town.queue(token.command())[0]
    assert (command.state, command.doubtful) == (S.QUEUED, False)
    town.clock.advance(timedelta(seconds=delay_s - 1))
    assert deliver_due(delivery) == 0
    town.clock.advance(timedelta(seconds=1))
    assert deliver_due(delivery) == 1
    assert state_of(town, token) is S.DONE


def test_meter_that_lost_its_link_is_not_reached(
    town: Town, token: IssuedToken, delivery: Delivery, gateway: ScriptedGateway
) -> None:
    town.cut_link(token.meter)
    assert deliver_due(delivery) == 1
    command = town.queue(token.command())[0]
    assert (command.state, command.result_code) == (S.QUEUED, CODE_NO_LINK)
    assert gateway.sent == []


def test_token_whose_seal_is_broken_is_not_sent_and_stops_no_other(
    town: Town, token: IssuedToken, gateway: ScriptedGateway
) -> None:
    other = town.issue(town.add_meter())
    town.queue(other.command())
    delivery = make_delivery(town, gateway, broken_seals=[token.token_id])
    assert deliver_due(delivery) == 2
    command = town.queue(token.command())[0]
    assert (command.state, command.result_code) == (S.QUEUED, CODE_TOKEN_SEALED)
    assert state_of(town, other) is S.DONE


@pytest.mark.parametrize(
    ("crash", "ends"), [(Plan.CRASH_BEFORE, S.DONE), (Plan.CRASH_AFTER, S.RECONCILED)]
)
def test_crash_while_sending_leaves_a_doubt_that_the_same_token_settles(
    town: Town,
    token: IssuedToken,
    delivery: Delivery,
    gateway: ScriptedGateway,
    *,
    crash: Plan,
    ends: CommandState,
) -> None:
    gateway.plan(token.meter, crash)
    with pytest.raises(Crash):
        deliver_due(delivery)
    assert state_of(town, token) is S.SENT
    assert doubt_stale(delivery) == 0
    town.clock.advance(rules.SENT_LEASE)
    assert doubt_stale(delivery) == 1
    assert state_of(town, token) is S.UNKNOWN
    town.clock.advance(timedelta(seconds=5))
    deliver_due(delivery)
    assert state_of(town, token) is ends
    assert gateway.credits_of(token) == 1


def test_crash_of_one_try_does_not_lose_the_results_of_others(
    town: Town, token: IssuedToken, delivery: Delivery, gateway: ScriptedGateway
) -> None:
    others = [town.issue(town.add_meter()) for _ in range(3)]
    town.queue(*(each.command() for each in others))
    gateway.plan(token.meter, Plan.CRASH_BEFORE)
    with pytest.raises(Crash):
        deliver_due(delivery)
    assert state_of(town, token) is S.SENT
    assert {state_of(town, each) for each in others} == {S.DONE}


def test_crash_before_the_lease_commits_leaves_the_command_as_it_was(
    town: Town, token: IssuedToken, gateway: ScriptedGateway
) -> None:
    delivery = make_delivery(town, gateway, crash_in="lease")
    with pytest.raises(Crash):
        deliver_due(delivery)
    assert state_of(town, token) is S.QUEUED
    assert gateway.sent == []


def test_late_result_of_a_slow_worker_changes_nothing(
    town: Town, token: IssuedToken, delivery: Delivery, gateway: ScriptedGateway
) -> None:
    assert token.meter.link is not None

    def outlive_the_lease() -> None:
        town.clock.advance(rules.SENT_LEASE)
        doubt_stale(delivery)

    gateway.while_sending = outlive_the_lease
    deliver_due(delivery)
    assert state_of(town, token) is S.UNKNOWN
    gateway.while_sending = None
    town.clock.advance(timedelta(seconds=5))
    deliver_due(delivery)
    assert state_of(town, token) is S.RECONCILED


def test_relay_is_switched_and_seen(
    town: Town, delivery: Delivery, gateway: ScriptedGateway
) -> None:
    meter = town.add_meter()
    assert meter.link is not None
    cut = town.order_relay(meter, CommandKind.DISCONNECT)
    deliver_due(delivery)
    assert town.command(cut.id).state is S.DONE
    assert gateway.relays[meter.link] is RelayPosition.OPEN
    town.clock.advance(timedelta(seconds=1))
    restore = town.order_relay(meter, CommandKind.RECONNECT)
    deliver_due(delivery)
    assert town.command(restore.id).state is S.DONE
    assert gateway.relays[meter.link] is RelayPosition.CLOSED
    assert gateway.relay_reads == 0


@pytest.mark.parametrize(
    ("lost", "ends", "sent"),
    [(Plan.LOSE_ANSWER, S.RECONCILED, 1), (Plan.LOSE_REQUEST, S.DONE, 2)],
)
def test_doubtful_relay_is_read_before_the_order_is_repeated(
    town: Town,
    delivery: Delivery,
    gateway: ScriptedGateway,
    *,
    lost: Plan,
    ends: CommandState,
    sent: int,
) -> None:
    meter = town.add_meter()
    cut = town.order_relay(meter, CommandKind.DISCONNECT)
    gateway.plan(meter, lost)
    deliver_due(delivery)
    assert town.command(cut.id).state is S.UNKNOWN
    town.clock.advance(timedelta(seconds=5))
    deliver_due(delivery)
    assert town.command(cut.id).state is ends
    assert gateway.relay_reads == 1
    assert len(gateway.sent) == sent


def test_doubtful_relay_that_cannot_be_read_stays_in_doubt(
    town: Town, delivery: Delivery, gateway: ScriptedGateway
) -> None:
    meter = town.add_meter()
    cut = town.order_relay(meter, CommandKind.DISCONNECT)
    gateway.plan(meter, Plan.LOSE_ANSWER, Plan.UNREACHABLE)
    deliver_due(delivery)
    town.clock.advance(timedelta(seconds=5))
    deliver_due(delivery)
    assert town.command(cut.id).state is S.UNKNOWN
    assert len(gateway.sent) == 1


def test_relay_that_never_moves_ends_with_a_person(
    town: Town, delivery: Delivery, gateway: ScriptedGateway
) -> None:
    meter = town.add_meter()
    assert meter.link is not None
    gateway.stuck.add(meter.link)
    cut = town.order_relay(meter, CommandKind.DISCONNECT)
    for _ in range(rules.UNKNOWN_TRIES_MAX):
        deliver_due(delivery)
        town.clock.advance(timedelta(minutes=15))
    assert town.command(cut.id).state is S.NEEDS_HUMAN


def test_digits_reach_no_log_and_no_repr(
    token: IssuedToken,
    delivery: Delivery,
    gateway: ScriptedGateway,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway.plan(token.meter, Plan.LOSE_ANSWER)
    deliver_due(delivery)
    assert token.digits not in caplog.text


def test_two_workers_never_speak_to_one_meter_at_once(
    town: Town, delivery: Delivery, gateway: ScriptedGateway
) -> None:
    meters = [town.add_meter() for _ in range(4)]
    tokens = [town.issue(meter) for meter in meters for _ in range(6)]
    town.queue(*(each.command() for each in tokens))
    together = threading.Barrier(2)

    def work() -> None:
        for _ in range(40):
            together.wait(timeout=100)
            deliver_due(delivery, limit=2)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=100)
    assert gateway.overlaps == 0
    assert {state_of(town, each) for each in tokens} == {S.DONE}
    assert {gateway.credits_of(each) for each in tokens} == {1}
    assert len(gateway.sent) == len(tokens)


def test_lease_is_no_larger_than_the_pool(delivery: Delivery) -> None:
    with pytest.raises(AssertionError, match="does not wait for a thread"):
        deliver_due(delivery, limit=THREAD_COUNT_MAX + 1)


def test_issued_sale_is_queued_for_a_meter_with_a_link_once(
    town: Town, delivery: Delivery, message_of: Callable[[Json], LeasedMessage]
) -> None:
    issued = town.issue(town.add_meter())
    handle_sale_issued(delivery, message_of(issued.payload))
    handle_sale_issued(delivery, message_of(issued.payload))
    assert deliver_due(delivery) == 1
    handle_sale_issued(delivery, message_of(issued.payload))
    assert deliver_due(delivery) == 0
    assert state_of(town, issued) is S.DONE


def test_issued_sale_of_a_meter_without_a_link_is_left_to_the_keypad(
    town: Town, delivery: Delivery, message_of: Callable[[Json], LeasedMessage]
) -> None:
    issued = town.issue(town.add_meter(is_linked=False))
    handle_sale_issued(delivery, message_of(issued.payload))
    assert deliver_due(delivery) == 0


@pytest.mark.parametrize("is_linked", [True, False])
def test_token_of_an_order_is_entered_once_where_there_is_a_link(
    town: Town,
    delivery: Delivery,
    message_of: Callable[[Json], LeasedMessage],
    is_linked: bool,  # noqa: FBT001 # a column of the table
) -> None:
    issued = town.issue(town.add_meter(is_linked=is_linked))
    payload: dict[str, Json] = {
        "order_id": str(uuid.UUID(int=7)),
        "token_id": str(issued.token_id),
        "meter_id": str(issued.meter.id),
    }
    for _ in range(2):
        handle_token_issued(delivery, message_of(payload))
    assert deliver_due(delivery) == int(is_linked)
    assert deliver_due(delivery) == 0


@pytest.mark.parametrize("payload", [None, {}, {"order_id": "x", "token_id": "y", "meter_id": "z"}])
def test_malformed_message_of_an_order_is_refused(
    delivery: Delivery, message_of: Callable[[Json], LeasedMessage], payload: Json
) -> None:
    with pytest.raises(TokenMessageError):
        handle_token_issued(delivery, message_of(payload))


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"sale_id": "1", "token_id": "2"},
        {"sale_id": "x", "token_id": "y", "meter_id": "z"},
    ],
)
def test_malformed_message_is_refused(
    delivery: Delivery, message_of: Callable[[Json], LeasedMessage], payload: Json
) -> None:
    with pytest.raises(SaleMessageError):
        handle_sale_issued(delivery, message_of(payload))

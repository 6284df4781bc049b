"""Every step from every state: legal as the table says, or refused and nothing changed."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vending.commands import rules
from vending.commands.errors import CommandStateError
from vending.commands.model import (
    FINISHED_STATES,
    WAITING_STATES,
    Command,
    CommandKind,
    CommandState,
    NewCommand,
    TryOutcome,
    TryResult,
    Verdict,
)
from vending.values.identifiers import CommandId, MeterId, TokenId

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
S = CommandState
R = TryOutcome

NEW_TOKEN = NewCommand(
    kind=CommandKind.ENTER_TOKEN,
    meter_id=MeterId(uuid.UUID(int=1)),
    token_id=TokenId(uuid.UUID(int=2)),
    dedupe_key="sale:1",
    reason="sale",
    requested_by="sales",
)
NEW_DISCONNECT = NewCommand(
    kind=CommandKind.DISCONNECT,
    meter_id=MeterId(uuid.UUID(int=1)),
    dedupe_key="cut:1",
    reason="tamper",
    requested_by="operator",
)


@pytest.fixture
def queued() -> Command:
    return rules.start(NEW_DISCONNECT, CommandId(uuid.UUID(int=9)), NOW)


def in_state(command: Command, state: CommandState, *, doubtful: bool | None = None) -> Command:
    is_doubtful = state in {S.UNKNOWN, S.NEEDS_HUMAN} if doubtful is None else doubtful
    attempts = 0 if state is S.QUEUED else 1
    return replace(
        command,
        state=state,
        doubtful=is_doubtful,
        attempts=attempts,
        unknown_tries=int(is_doubtful),
    )


def end(outcome: TryOutcome) -> Callable[[Command], Command]:
    return lambda command: rules.end_try(command, TryResult(outcome, "word"), LATER)


EVENTS: dict[str, tuple[Callable[[Command], Command], dict[CommandState, CommandState]]] = {
    "send": (lambda c: rules.send(c, LATER), {S.QUEUED: S.SENT, S.UNKNOWN: S.SENT}),
    "done": (end(R.DONE), {S.SENT: S.DONE}),
    "applied before": (end(R.APPLIED_BEFORE), {S.SENT: S.RECONCILED}),
    "refused": (end(R.REFUSED), {S.SENT: S.REFUSED}),
    "refused unseen": (end(R.REFUSED_UNSEEN), {S.SENT: S.REFUSED}),
    "unknown": (end(R.UNKNOWN), {S.SENT: S.UNKNOWN}),
    "not reached": (end(R.NOT_REACHED), {S.SENT: S.QUEUED}),
    "not now": (end(R.NOT_NOW), {S.SENT: S.QUEUED}),
    "worker lost": (lambda c: rules.lose_track(c, LATER), {S.SENT: S.UNKNOWN}),
    "run out": (
        lambda c: rules.run_out(c, LATER),
        {S.QUEUED: S.EXPIRED, S.UNKNOWN: S.NEEDS_HUMAN},
    ),
    "supersede": (
        lambda c: rules.supersede(c, LATER),
        {S.QUEUED: S.SUPERSEDED, S.UNKNOWN: S.SUPERSEDED},
    ),
    "try again": (lambda c: rules.try_again(c, LATER), {S.NEEDS_HUMAN: S.UNKNOWN}),
    "applied": (
        lambda c: rules.settle(c, Verdict.APPLIED, LATER),
        {S.NEEDS_HUMAN: S.RECONCILED},
    ),
    "not applied": (
        lambda c: rules.settle(c, Verdict.NOT_APPLIED, LATER),
        {S.NEEDS_HUMAN: S.REFUSED},
    ),
}


@pytest.mark.parametrize("state", CommandState)
@pytest.mark.parametrize("event", EVENTS)
def test_step_follows_the_table_or_is_refused_with_the_command_unchanged(
    queued: Command, event: str, state: CommandState
) -> None:
    step, targets = EVENTS[event]
    command = in_state(queued, state)
    before = replace(command)
    if state not in targets:
        with pytest.raises(CommandStateError) as caught:
            step(command)
        assert caught.value.facts["state"] == state.value
        assert command == before
        return
    after = step(command)
    assert after.state is targets[state]
    assert after.version == command.version + 1
    assert after.changed_at == LATER
    assert after.result_code is not None


@pytest.mark.parametrize(
    ("outcome", "target"),
    [
        (R.DONE, S.DONE),
        (R.APPLIED_BEFORE, S.RECONCILED),
        (R.REFUSED, S.REFUSED),
        (R.REFUSED_UNSEEN, S.NEEDS_HUMAN),
        (R.UNKNOWN, S.UNKNOWN),
        (R.NOT_REACHED, S.UNKNOWN),
        (R.NOT_NOW, S.UNKNOWN),
    ],
)
def test_doubtful_command_stays_in_doubt_until_the_meter_tells(
    queued: Command, outcome: TryOutcome, target: CommandState
) -> None:
    sent = in_state(queued, S.SENT, doubtful=True)
    after = end(outcome)(sent)
    assert after.state is target
    assert after.doubtful


@pytest.mark.parametrize("table", [rules.FIRST_TRY_STATES, rules.DOUBTFUL_STATES])
def test_table_has_a_row_for_every_outcome(table: dict[TryOutcome, CommandState]) -> None:
    assert set(table) == set(TryOutcome)


def test_every_outcome_that_waits_has_a_backoff() -> None:
    waiting = {
        outcome for outcome, state in rules.FIRST_TRY_STATES.items() if state in WAITING_STATES
    }
    assert waiting == set(rules.BACKOFFS)


def test_every_kind_has_a_lifetime_and_every_verdict_a_word() -> None:
    assert set(rules.LIFETIMES) == set(CommandKind)
    assert set(rules.VERDICT_CODES) == set(rules.VERDICT_STATES) == set(Verdict)


def test_started_command_is_queued_and_due_at_once() -> None:
    command = rules.start(NEW_TOKEN, CommandId(uuid.UUID(int=9)), NOW)
    assert command.state is S.QUEUED
    assert command.due_at == command.created_at == NOW
    assert command.expires_at == NOW + timedelta(days=7)
    assert (command.version, command.attempts, command.doubtful) == (1, 0, False)


@pytest.mark.parametrize(("tries", "delay_s"), [(1, 5), (2, 10), (3, 20), (8, 640), (60, 900)])
def test_delay_doubles_up_to_the_longest(tries: int, delay_s: int) -> None:
    assert rules.BACKOFFS[R.UNKNOWN].delay(tries) == timedelta(seconds=delay_s)


def test_unknown_tries_end_with_a_person(queued: Command) -> None:
    command, delays = queued, []
    for _ in range(rules.UNKNOWN_TRIES_MAX):
        command = end(R.UNKNOWN)(rules.send(command, LATER))
        delays.append(command.due_at - LATER)
    assert command.state is S.NEEDS_HUMAN
    assert command.attempts == rules.UNKNOWN_TRIES_MAX
    assert delays == sorted(set(delays))


def test_tries_that_reach_nothing_do_not_count_as_unknown_ones(queued: Command) -> None:
    command = end(R.UNKNOWN)(rules.send(queued, LATER))
    for _ in range(50):
        command = end(R.NOT_REACHED)(rules.send(command, LATER))
    assert command.state is S.UNKNOWN
    assert command.unknown_tries == 1
    assert command.due_at == LATER + timedelta(minutes=15)


def test_person_gives_fresh_tries_and_fresh_time(queued: Command) -> None:
    asked = in_state(queued, S.NEEDS_HUMAN)
    again = rules.try_again(replace(asked, unknown_tries=8), LATER)
    assert again.unknown_tries == 0
    assert again.due_at == LATER
    assert again.expires_at == LATER + timedelta(days=1)
    assert again.doubtful


def test_command_with_time_left_does_not_run_out(queued: Command) -> None:
    with pytest.raises(AssertionError, match="its time is over"):
        rules.run_out(queued, NOW)


def test_token_is_never_superseded() -> None:
    command = rules.start(NEW_TOKEN, CommandId(uuid.UUID(int=9)), NOW)
    with pytest.raises(AssertionError, match="each token counts"):
        rules.supersede(command, NOW)


def test_backoff_counts_from_one() -> None:
    with pytest.raises(AssertionError, match="from 1"):
        rules.BACKOFFS[R.UNKNOWN].delay(0)


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({}, True),
        ({"reason": "another word", "requested_by": "somebody"}, True),
        ({"meter_id": MeterId(uuid.UUID(int=7))}, False),
        ({"kind": CommandKind.RECONNECT}, False),
    ],
)
def test_same_order_is_told_by_kind_meter_sale_and_token(
    queued: Command, change: dict[str, object], *, is_same: bool
) -> None:
    asked = replace(NEW_DISCONNECT, **change)  # type: ignore[arg-type] # fields by name
    assert rules.is_same_order(queued, asked) is is_same


def test_finished_states_are_the_ends_of_the_table() -> None:
    assert {S.DONE, S.REFUSED, S.RECONCILED, S.EXPIRED, S.SUPERSEDED} == FINISHED_STATES

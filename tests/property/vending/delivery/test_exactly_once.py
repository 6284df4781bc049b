"""Whatever is lost and whoever dies: a meter is credited once for each token, never twice.

The machine drives the real service over SQLite against meters in memory. Its invariants hold
after every step; at the end, when the line is good again and time passes, each token is credited
exactly once and its command is finished.
"""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.deliveries import (
    Crash,
    IssuedToken,
    Plan,
    ScriptedGateway,
    Town,
    make_delivery,
)
from vending.commands import rules
from vending.commands.model import FINISHED_STATES, CommandState
from vending.commands.service import try_again
from vending.delivery.service import deliver_due, doubt_stale
from vending.meters.model import Meter
from vending.persistence import migrate
from vending.persistence.engine import create_database
from vending.values.clock import FixedClock

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
METER_COUNT = 2
ROUNDS_MAX = 60
S = CommandState


class Delivering(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        database = create_database(f"sqlite:///{Path(self.folder.name) / 'town.sqlite3'}")
        migrate.upgrade(database)
        self.town = Town(database, FixedClock(START))
        self.gateway = ScriptedGateway()
        self.delivery = make_delivery(self.town, self.gateway)
        self.meters: list[Meter] = [self.town.add_meter() for _ in range(METER_COUNT)]
        self.tokens: list[IssuedToken] = []

    @rule(index=st.integers(0, METER_COUNT - 1))
    @precondition(lambda self: len(self.tokens) < 6)
    def sell(self, index: int) -> None:
        token = self.town.issue(self.meters[index])
        self.town.queue(token.command())
        self.tokens.append(token)

    @rule(index=st.integers(0, METER_COUNT - 1), plan=st.sampled_from(Plan))
    def plan(self, index: int, plan: Plan) -> None:
        self.gateway.plan(self.meters[index], plan)

    @rule()
    def deliver(self) -> None:
        self.run(lambda: deliver_due(self.delivery))

    @rule()
    def deliver_and_die_before_the_lease_commits(self) -> None:
        dying = make_delivery(self.town, self.gateway, crash_in="lease")
        self.run(lambda: deliver_due(dying))

    @rule(seconds=st.sampled_from([1, 5, 60, 300, 3600]))
    def wait(self, seconds: int) -> None:
        self.town.clock.advance(timedelta(seconds=seconds))

    @rule()
    def doubt(self) -> None:
        doubt_stale(self.delivery)

    @rule(index=st.integers(0, 5))
    @precondition(lambda self: bool(self.tokens))
    def type_at_the_keypad(self, index: int) -> None:
        token = self.tokens[index % len(self.tokens)]
        key = (token.meter.link or "", token.digits)
        self.gateway.taken[key] = self.gateway.taken[key] or 1

    @rule(index=st.integers(0, 5))
    @precondition(lambda self: bool(self.tokens))
    def sell_the_same_again(self, index: int) -> None:
        self.town.queue(self.tokens[index % len(self.tokens)].command())

    @invariant()
    def no_token_is_credited_twice(self) -> None:
        assert all(self.gateway.credits_of(token) <= 1 for token in self.tokens)

    @invariant()
    def finished_as_applied_means_credited(self) -> None:
        for token in self.tokens:
            if self.state_of(token) in {S.DONE, S.RECONCILED}:
                assert self.gateway.credits_of(token) == 1

    @invariant()
    def command_that_cannot_have_reached_the_meter_is_not_in_doubt(self) -> None:
        for token in self.tokens:
            (command,) = self.town.queue(token.command())
            if command.state is S.QUEUED:
                assert not command.doubtful

    def teardown(self) -> None:
        self.gateway.plans.clear()
        for _ in range(ROUNDS_MAX):
            self.ask_a_person()
            if all(self.state_of(token) in FINISHED_STATES for token in self.tokens):
                break
            self.town.clock.advance(rules.SENT_LEASE)
            doubt_stale(self.delivery)
            deliver_due(self.delivery)
        credited = {self.gateway.credits_of(token) for token in self.tokens}
        states = {self.state_of(token) for token in self.tokens}
        self.town.database.close()
        self.folder.cleanup()
        assert credited <= {1}
        assert states <= {S.DONE, S.RECONCILED}

    def run(self, work: Callable[[], int]) -> None:
        try:
            work()
        except Crash:
            self.delivery = make_delivery(self.town, self.gateway)

    def ask_a_person(self) -> None:
        for token in self.tokens:
            (command,) = self.town.queue(token.command())
            if command.state is S.NEEDS_HUMAN:
                with self.town.database.unit_of_work() as uow:
                    try_again(uow.connection, command.id, actor="amina", now=self.town.clock.now())
                    uow.commit()

    def state_of(self, token: IssuedToken) -> CommandState:
        return self.town.queue(token.command())[0].state


TestDelivering = Delivering.TestCase
TestDelivering.settings = settings(max_examples=25, stateful_step_count=30)

"""Whatever is lost and whoever dies: a meter is credited once for each token, never twice.

The machine drives the real service over SQLite against meters in memory. Its invariants hold
after every step; at the end, when the line is good again and time passes, each token is credited
exactly once and its command is finished.
"""

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.deliveries import (
    Crash,
    IssuedToken,
    Plan,
    ScriptedGateway,
    Town,
    make_delivery,
)
from vending.commands import rules
from vending.commands.model import FINISHED_STATES, Command, CommandState
from vending.commands.service import list_for_meter, try_again
from vending.delivery.service import deliver_due, doubt_stale
from vending.meters.model import Meter
from vending.persistence.engine import create_database
from vending.values.actor import Actor, ActorKind
from vending.values.clock import FixedClock

AMINA = Actor(ActorKind.OPERATOR, "amina")
START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
METER_COUNT = 2
TOKEN_COUNT_MAX = 8
ROUNDS_MAX = 60
S = CommandState


class Delivering(RuleBasedStateMachine):
    migrated: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = shutil.copy(self.migrated, Path(self.folder.name) / "town.sqlite3")
        database = create_database(f"sqlite:///{path}")
        self.town = Town(database, FixedClock(START))
        self.gateway = ScriptedGateway()
        self.delivery = make_delivery(self.town, self.gateway)
        self.meters: list[Meter] = [self.town.add_meter() for _ in range(METER_COUNT)]
        self.tokens: list[IssuedToken] = []

    @initialize()
    def open_shop(self) -> None:
        for index in range(METER_COUNT):
            self.sell(index)

    @rule(index=st.integers(0, METER_COUNT - 1))
    def sell(self, index: int) -> None:
        if len(self.tokens) == TOKEN_COUNT_MAX:
            return
        token = self.town.issue(self.meters[index])
        self.town.queue(token.command())
        self.tokens.append(token)

    @rule(
        index=st.integers(0, METER_COUNT - 1),
        plans=st.lists(st.sampled_from(Plan), min_size=2, max_size=5),
        pause_s=st.sampled_from([1, 20, 900]),
    )
    def deliver(self, index: int, plans: list[Plan], pause_s: int) -> None:
        self.sell(index)
        self.gateway.plan(self.meters[index], *plans)
        for _ in range(len(plans) + 1):
            self.run(lambda: deliver_due(self.delivery))
            self.each_command_tells_the_truth()
            self.town.clock.advance(timedelta(seconds=pause_s))

    @rule()
    def deliver_and_die_before_the_lease_commits(self) -> None:
        dying = make_delivery(self.town, self.gateway, crash_in="lease")
        self.run(lambda: deliver_due(dying))

    @rule()
    def wait_and_doubt(self) -> None:
        self.town.clock.advance(rules.SENT_LEASE)
        doubt_stale(self.delivery)

    @rule(index=st.integers(0, 5))
    def type_at_the_keypad(self, index: int) -> None:
        token = self.tokens[index % len(self.tokens)]
        key = (token.meter.link or "", token.digits)
        self.gateway.taken[key] = self.gateway.taken[key] or 1

    @rule(index=st.integers(0, 5))
    def sell_the_same_again(self, index: int) -> None:
        self.town.queue(self.tokens[index % len(self.tokens)].command())

    @invariant()
    def each_command_tells_the_truth(self) -> None:
        for token, command in self.look():
            assert self.gateway.credits_of(token) <= 1
            if command.state in {S.DONE, S.RECONCILED}:
                assert self.gateway.credits_of(token) == 1
            assert command.state not in {S.REFUSED, S.EXPIRED, S.SUPERSEDED}
            assert command.state is not S.QUEUED or not command.doubtful

    def teardown(self) -> None:
        try:
            ends = self.bring_to_an_end()
        finally:
            self.town.database.close()
            self.folder.cleanup()
        assert ends <= {(1, S.DONE), (1, S.RECONCILED)}

    def bring_to_an_end(self) -> set[tuple[int, CommandState]]:
        self.gateway.plans.clear()
        for _ in range(ROUNDS_MAX):
            self.ask_a_person()
            if all(command.state in FINISHED_STATES for _, command in self.look()):
                break
            self.town.clock.advance(rules.SENT_LEASE)
            doubt_stale(self.delivery)
            deliver_due(self.delivery)
        return {(self.gateway.credits_of(each), command.state) for each, command in self.look()}

    def run(self, work: Callable[[], int]) -> None:
        try:
            work()
        except Crash:
            self.delivery = make_delivery(self.town, self.gateway)

    def ask_a_person(self) -> None:
        for _, command in self.look():
            if command.state is S.NEEDS_HUMAN:
                with self.town.database.unit_of_work() as uow:
                    try_again(uow.connection, command.id, by=AMINA, clock=self.town.clock)
                    uow.commit()

    def look(self) -> list[tuple[IssuedToken, Command]]:
        with self.town.database.read() as connection:
            found = [each for meter in self.meters for each in list_for_meter(connection, meter.id)]
        commands = {each.token_id: each for each in found}
        return [(token, commands[token.token_id]) for token in self.tokens]


TestDelivering = Delivering.TestCase
TestDelivering.settings = settings(max_examples=20, stateful_step_count=10)


@pytest.fixture(autouse=True)
def lend_migrated_file(migrated_sqlite: Path) -> None:
    """Each machine begins with a copy of it: to migrate anew takes longer than the machine."""
    Delivering.migrated = migrated_sqlite

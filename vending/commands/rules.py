"""What becomes of a command: pure steps from one state to the next, each with its bound.

Laws:

- A command that may have reached the meter is never queued as if new and never expires: it is
  sent again, the same, or a person decides.
- Every wait ends. Tries that end unknown are counted; tries that reach nothing go on until the
  command's time runs out.
- Only the newest order for a relay counts: an older one, sent late, would undo it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from vending.approvals.model import Act, UseCase
from vending.commands.errors import CommandReasonError, CommandStateError
from vending.commands.model import (
    COMMAND_TRANSITIONS,
    RELAY_KINDS,
    WAITING_STATES,
    Command,
    CommandKind,
    CommandState,
    NewCommand,
    TryOutcome,
    TryResult,
    Verdict,
)
from vending.meters.model import Meter
from vending.values.identifiers import CommandId

UNKNOWN_TRIES_MAX: Final = 8
"""5 s, doubling, makes about twenty minutes: a line that stays broken needs a person."""

SENT_LEASE: Final = timedelta(minutes=5)
"""A worker that has not told the outcome by then is taken for dead.

Longer than a try takes: a dozen exchanges, each within the meter's time limit, on a line that a
few others wait for. If one takes longer all the same, its result is dropped and the same command
goes out again, which does no harm.
"""

LIFETIMES: Final[Mapping[CommandKind, timedelta]] = MappingProxyType(
    {
        # The customer holds the 20 digits and may type them; a meter out of reach for a week
        # needs a visit, not another try.
        CommandKind.ENTER_TOKEN: timedelta(days=7),
        # A meter without a line for a month is on the campaign's chase list long before.
        CommandKind.ENTER_KEY_CHANGE: timedelta(days=30),
        # Whether a household should be cut off is decided anew each day.
        CommandKind.DISCONNECT: timedelta(days=1),
        CommandKind.RECONNECT: timedelta(days=1),
    }
)

REASON_LENGTH_MAX: Final = 200

CODE_STALE: Final = "worker_lost"
CODE_LEASED: Final = "sent"
CODE_OVERDUE: Final = "overdue"
CODE_SUPERSEDED: Final = "newer_order"
CODE_WITHDRAWN: Final = "set_withdrawn"
CODE_RETRY: Final = "person_try_again"
VERDICT_CODES: Final[Mapping[Verdict, str]] = MappingProxyType(
    {Verdict.APPLIED: "person_applied", Verdict.NOT_APPLIED: "person_not_applied"}
)
VERDICT_STATES: Final[Mapping[Verdict, CommandState]] = MappingProxyType(
    {Verdict.APPLIED: CommandState.RECONCILED, Verdict.NOT_APPLIED: CommandState.REFUSED}
)


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay that doubles with each try, up to a longest."""

    first: timedelta
    longest: timedelta

    def delay(self, tries: int) -> timedelta:
        """Return how long to wait after this many tries, counted from 1."""
        assert tries >= 1, "tries count from 1"
        doublings = min(tries - 1, 16)
        return min(self.first * (1 << doublings), self.longest)


BACKOFFS: Final[Mapping[TryOutcome, Backoff]] = MappingProxyType(
    {
        TryOutcome.UNKNOWN: Backoff(timedelta(seconds=5), timedelta(minutes=15)),
        TryOutcome.NOT_REACHED: Backoff(timedelta(seconds=10), timedelta(minutes=15)),
        # A keypad that saw wrong tokens locks itself for minutes, each time longer.
        TryOutcome.NOT_NOW: Backoff(timedelta(minutes=1), timedelta(hours=1)),
    }
)

FIRST_TRY_STATES: Final[Mapping[TryOutcome, CommandState]] = MappingProxyType(
    {
        TryOutcome.DONE: CommandState.DONE,
        TryOutcome.APPLIED_BEFORE: CommandState.RECONCILED,
        TryOutcome.REFUSED: CommandState.REFUSED,
        TryOutcome.REFUSED_UNSEEN: CommandState.REFUSED,
        TryOutcome.UNKNOWN: CommandState.UNKNOWN,
        TryOutcome.NOT_REACHED: CommandState.QUEUED,
        TryOutcome.NOT_NOW: CommandState.QUEUED,
    }
)
"""Where a try leads when no earlier one is in doubt."""

DOUBTFUL_STATES: Final[Mapping[TryOutcome, CommandState]] = MappingProxyType(
    {
        TryOutcome.DONE: CommandState.DONE,
        TryOutcome.APPLIED_BEFORE: CommandState.RECONCILED,
        TryOutcome.REFUSED: CommandState.REFUSED,
        TryOutcome.REFUSED_UNSEEN: CommandState.NEEDS_HUMAN,
        TryOutcome.UNKNOWN: CommandState.UNKNOWN,
        TryOutcome.NOT_REACHED: CommandState.UNKNOWN,
        TryOutcome.NOT_NOW: CommandState.UNKNOWN,
    }
)
"""Where a try leads when the meter may have applied an earlier one."""

_SENT: Final = frozenset({CommandState.SENT})
_WITH_PERSON: Final = frozenset({CommandState.NEEDS_HUMAN})


def start(new: NewCommand, command_id: CommandId, now: datetime) -> Command:
    """Return the command as it is first stored."""
    return Command(
        id=command_id,
        kind=new.kind,
        meter_id=new.meter_id,
        sale_id=new.sale_id,
        token_id=new.token_id,
        key_change_set_id=new.key_change_set_id,
        dedupe_key=new.dedupe_key,
        state=CommandState.QUEUED,
        reason=new.reason,
        requested_by=new.requested_by,
        version=1,
        attempts=0,
        unknown_tries=0,
        doubtful=False,
        result_code=None,
        created_at=now,
        due_at=now,
        expires_at=now + LIFETIMES[new.kind],
        changed_at=now,
        approval_id=new.approval_id,
    )


def is_same_order(stored: Command, new: NewCommand) -> bool:
    """Return whether the stored command is what is asked for again."""
    return (
        stored.kind,
        stored.meter_id,
        stored.sale_id,
        stored.token_id,
        stored.key_change_set_id,
    ) == (new.kind, new.meter_id, new.sale_id, new.token_id, new.key_change_set_id)


def disconnection_act(meter: Meter, reason: str) -> Act:
    """Return what two people agree to: this meter cut off, for this reason."""
    return Act(
        UseCase.DISCONNECTION,
        f"meter:{meter.pan.digits}",
        {"reason": reason, "state": meter.state.value, "link": meter.link},
    )


def require_reason(text: str) -> str:
    """Return the text, why a relay is to be switched.

    Raises:
        CommandReasonError: It is empty, too long or does not print.
    """
    if not (1 <= len(text.strip()) <= REASON_LENGTH_MAX and text.isprintable()):
        raise CommandReasonError(REASON_LENGTH_MAX)
    return text


def send(command: Command, now: datetime) -> Command:
    """Return the command as it stands while a worker tries it.

    Raises:
        CommandStateError: It does not wait.
    """
    _require(command, WAITING_STATES, CommandState.SENT)
    sent = _move(command, CommandState.SENT, CODE_LEASED, now)
    return replace(sent, attempts=command.attempts + 1)


def end_try(command: Command, result: TryResult, now: datetime) -> Command:
    """Return what becomes of a sent command after the try.

    Raises:
        CommandStateError: It is not sent.
    """
    states = DOUBTFUL_STATES if command.doubtful else FIRST_TRY_STATES
    is_unknown = result.outcome is TryOutcome.UNKNOWN
    unknown_tries = command.unknown_tries + is_unknown
    target = states[result.outcome]
    _require(command, _SENT, target)
    if target is CommandState.UNKNOWN and unknown_tries >= UNKNOWN_TRIES_MAX:
        target = CommandState.NEEDS_HUMAN
    moved = replace(
        _move(command, target, result.code, now),
        unknown_tries=unknown_tries,
        doubtful=command.doubtful or is_unknown,
    )
    backoff = BACKOFFS.get(result.outcome)
    if backoff is None:
        return moved
    tries = unknown_tries if is_unknown else command.attempts
    return replace(moved, due_at=now + backoff.delay(tries))


def lose_track(command: Command, now: datetime) -> Command:
    """Return what becomes of a sent command whose worker never told the outcome.

    Raises:
        CommandStateError: It is not sent.
    """
    return end_try(command, TryResult(TryOutcome.UNKNOWN, CODE_STALE), now)


def run_out(command: Command, now: datetime) -> Command:
    """Return what becomes of a waiting command whose time is over.

    Raises:
        CommandStateError: It does not wait.
    """
    assert command.expires_at <= now, "its time is over"
    target = CommandState.NEEDS_HUMAN if command.doubtful else CommandState.EXPIRED
    _require(command, WAITING_STATES, target)
    return _move(command, target, CODE_OVERDUE, now)


def supersede(command: Command, now: datetime) -> Command:
    """Return what becomes of a waiting order for a relay once there is a newer one.

    Raises:
        CommandStateError: It does not wait.
    """
    assert command.kind in RELAY_KINDS, "each token counts"
    _require(command, WAITING_STATES, CommandState.SUPERSEDED)
    return _move(command, CommandState.SUPERSEDED, CODE_SUPERSEDED, now)


def withdraw(command: Command, now: datetime) -> Command:
    """Return what becomes of a key change that is not to reach its meter any more.

    Raises:
        CommandStateError: It may have reached the meter, or is finished.
    """
    assert command.kind is CommandKind.ENTER_KEY_CHANGE, "each token counts"
    _require(command, frozenset({CommandState.QUEUED}), CommandState.SUPERSEDED)
    return _move(command, CommandState.SUPERSEDED, CODE_WITHDRAWN, now)


def try_again(command: Command, now: datetime) -> Command:
    """Return the command due again, with fresh tries and time, as a person asked.

    Raises:
        CommandStateError: It does not wait for a person.
    """
    _require(command, _WITH_PERSON, CommandState.UNKNOWN)
    moved = _move(command, CommandState.UNKNOWN, CODE_RETRY, now)
    return replace(moved, unknown_tries=0, due_at=now, expires_at=now + LIFETIMES[command.kind])


def settle(command: Command, verdict: Verdict, now: datetime) -> Command:
    """Return the command finished by what a person found out.

    Raises:
        CommandStateError: It does not wait for a person.
    """
    target = VERDICT_STATES[verdict]
    _require(command, _WITH_PERSON, target)
    return _move(command, target, VERDICT_CODES[verdict], now)


def _require(command: Command, origins: Collection[CommandState], target: CommandState) -> None:
    if command.state not in origins:
        raise CommandStateError(command.id, state=command.state.value, target=target.value)


def _move(command: Command, target: CommandState, code: str, now: datetime) -> Command:
    assert target in COMMAND_TRANSITIONS[command.state], "the table of the states has this step"
    return replace(
        command, state=target, result_code=code, version=command.version + 1, changed_at=now
    )

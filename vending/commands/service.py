"""Queues commands, hands them to a worker one a meter at a time, and keeps what became of each.

What takes a connection works inside the caller's transaction. `lease_due` must be committed before
the first byte leaves for a meter: a worker that dies afterwards leaves the command `sent`, and
`mark_stale` turns it into a doubt that is resolved by sending the same command again.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.approvals.model import Approval
from vending.approvals.service import redeem, request_approval
from vending.commands import repository, rules
from vending.commands.errors import (
    CommandKeyReusedError,
    CommandNotFoundError,
    DisconnectionHoursError,
    MeterUnreachableError,
)
from vending.commands.model import (
    Command,
    CommandChange,
    CommandKind,
    CommandState,
    NewCommand,
    RelayOrder,
    TryResult,
    Verdict,
)
from vending.meters.model import Meter
from vending.meters.rules import parse_meter_number
from vending.meters.service import load_meter
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.policies.service import load_policies
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import (
    ApprovalId,
    CommandId,
    KeyChangeSetId,
    MeterId,
    SaleId,
    TokenId,
    new_uuid7,
)

BATCH_COUNT_MAX: Final = 1_000
"""Commands in one call."""
LIST_COUNT_MAX: Final = 200
HOUSEKEEPING_COUNT_MAX: Final = 500
"""Commands that one lease ends or one round of the stale job doubts; the next goes on."""

WORKER: Final = "worker"
"""Who took a step that no person took."""


@dataclass(frozen=True, slots=True)
class TryReport:
    """What a worker tells of a command it was handed: the command as it got it, and the result."""

    command: Command
    result: TryResult


def queue_commands(
    connection: Connection, new: Sequence[NewCommand], clock: Clock
) -> list[Command]:
    """Store each command once and return them as they are stored, in the order given.

    Asked for again under the same key, a command is returned as it stands now.

    Raises:
        CommandKeyReusedError: A key belongs to a command of another kind, meter, sale or token.
    """
    assert len(new) <= BATCH_COUNT_MAX, "a batch is bounded"
    if not new:
        return []
    now = clock.now()
    first = {each.dedupe_key: each for each in reversed(new)}  # the first of twins stays
    # Identifiers rise in the order given: it decides whose turn at a meter comes first.
    ids = sorted(new_uuid7(clock) for _ in first)
    started = [
        rules.start(each, CommandId(new_id), now)
        for each, new_id in zip(reversed(first.values()), ids, strict=True)
    ]
    repository.insert_new(connection, sorted(started, key=lambda each: each.dedupe_key))
    stored = repository.find_by_keys(connection, first.keys())
    for each in new:
        if not rules.is_same_order(stored[each.dedupe_key], each):
            raise CommandKeyReusedError(stored[each.dedupe_key].id)
    return [stored[each.dedupe_key] for each in new]


def propose_disconnection(
    database: Database, order: RelayOrder, *, by: SignedIn, clock: Clock
) -> Approval:
    """Ask for the approval of a disconnection outside the rule; its reason is the order's.

    Raises:
        PermissionDeniedError: The operator may not order meters.
        CommandReasonError: There is no reason, or none that can be shown.
        MeterNotFoundError: The register has none of this number.
        MeterUnreachableError: The register does not say how the meter is reached.
    """
    by.require(Permission.COMMANDS_WRITE)
    rules.require_reason(order.reason)
    with database.unit_of_work() as uow:
        act = rules.disconnection_act(_load_reachable(uow.connection, order), order.reason)
        approval = request_approval(uow.connection, by, act, reason=order.reason, clock=clock)
        uow.commit()
    return approval


def disconnect(
    database: Database,
    order: RelayOrder,
    *,
    by: SignedIn,
    clock: Clock,
    approval_id: ApprovalId | None = None,
) -> Command:
    """Queue the opening of a relay; the same approval queues it once.

    Without an approval it needs the hours of the rule twice: now, and when its turn comes.

    Raises:
        PermissionDeniedError: The operator may not order meters.
        CommandReasonError: There is no reason, or none that can be shown.
        MeterNotFoundError: The register has none of this number.
        MeterUnreachableError: The register does not say how the meter is reached.
        DisconnectionHoursError: The rule allows none now, and no approval came with the order.
        VendingError: The approval does not allow it.
    """
    by.require(Permission.COMMANDS_WRITE)
    rules.require_reason(order.reason)
    now = clock.now()
    with database.unit_of_work() as uow:
        meter = _load_reachable(uow.connection, order)
        if approval_id is None and not load_policies(uow.connection).disconnection.allows(now):
            raise DisconnectionHoursError(meter.pan.iain, now)
        new = _relay_command(CommandKind.DISCONNECT, meter, order, by, approval_id)
        if approval_id is not None:
            queued = repository.find_by_keys(uow.connection, [new.dedupe_key])
            if queued:
                return queued[new.dedupe_key]
            act = rules.disconnection_act(meter, order.reason)
            redeem(uow.connection, by, approval_id, act, clock=clock)
        command = _queue_relay(uow.connection, new, meter, by, clock)
        uow.commit()
    return command


def reconnect(database: Database, order: RelayOrder, *, by: SignedIn, clock: Clock) -> Command:
    """Queue the closing of a relay; no rule stands in its way.

    Raises:
        PermissionDeniedError: The operator may not order meters.
        CommandReasonError: There is no reason, or none that can be shown.
        MeterNotFoundError: The register has none of this number.
        MeterUnreachableError: The register does not say how the meter is reached.
    """
    by.require(Permission.COMMANDS_WRITE)
    rules.require_reason(order.reason)
    with database.unit_of_work() as uow:
        meter = _load_reachable(uow.connection, order)
        new = _relay_command(CommandKind.RECONNECT, meter, order, by, None)
        command = _queue_relay(uow.connection, new, meter, by, clock)
        uow.commit()
    return command


def lease_due(connection: Connection, now: datetime, limit: int) -> list[Command]:
    """Mark up to `limit` due commands sent, at most one a meter, and return them so.

    Ends first what must not be sent any more: commands whose time is over, and orders for a relay
    that a newer one has replaced. A disconnection that nobody else approved waits for the hours of
    the rule, however early it was queued; consent holds for the command's first day, not for what
    one person has tried again since.
    """
    assert 1 <= limit <= BATCH_COUNT_MAX, "a lease is bounded"
    repository.serialise_leases(connection)
    overdue = repository.lock_overdue(connection, now=now, limit=HOUSEKEEPING_COUNT_MAX)
    _store(connection, overdue, lambda each: rules.run_out(each, now))
    older = repository.lock_superseded(connection, now=now, limit=HOUSEKEEPING_COUNT_MAX)
    _store(connection, older, lambda each: rules.supersede(each, now))
    due = repository.lock_due(
        connection,
        now=now,
        limit=limit,
        may_disconnect=load_policies(connection).disconnection.allows(now),
        consent_after=now - rules.LIFETIMES[CommandKind.DISCONNECT],
    )
    return _store(connection, due, lambda each: rules.send(each, now))


def record_results(
    connection: Connection, reports: Sequence[TryReport], now: datetime
) -> list[Command]:
    """Store what the tries ended in; return the commands that took their result.

    A worker that was taken for dead has no say any more: its command is not returned and stays
    as it is, for it will be sent again or was already.
    """
    assert len(reports) <= BATCH_COUNT_MAX, "a batch is bounded"
    results = {(each.command.id, each.command.version): each.result for each in reports}
    locked = repository.lock_commands(connection, [each.command.id for each in reports])
    current = [each for each in locked.values() if (each.id, each.version) in results]
    return _store(
        connection,
        current,
        lambda each: rules.end_try(each, results[each.id, each.version], now),
    )


def list_open_for_sets(connection: Connection, set_ids: Sequence[KeyChangeSetId]) -> list[Command]:
    """Return the commands that still carry one of these key-change sets to a meter, locked."""
    return repository.list_open_for_sets(connection, set_ids)


def withdraw_sets(
    connection: Connection, set_ids: Sequence[KeyChangeSetId], *, actor: str, now: datetime
) -> list[Command]:
    """Keep these key-change sets from their meters; return the commands that cannot be held back.

    Those were sent, or are in doubt: their set may have reached the meter.
    """
    found = repository.list_open_for_sets(connection, set_ids)
    queued = [each for each in found if each.state is CommandState.QUEUED]
    _store(connection, queued, lambda each: rules.withdraw(each, now), actor)
    return [each for each in found if each.state is not CommandState.QUEUED]


def mark_stale(connection: Connection, now: datetime) -> list[Command]:
    """Put in doubt what a worker took and never told the outcome of; return it."""
    stale = repository.lock_stale(
        connection, before=now - rules.SENT_LEASE, limit=HOUSEKEEPING_COUNT_MAX
    )
    return _store(connection, stale, lambda each: rules.lose_track(each, now))


def try_again(connection: Connection, command_id: CommandId, *, by: Actor, clock: Clock) -> Command:
    """Give a command that waits for a person fresh tries and fresh time.

    Raises:
        CommandNotFoundError: There is none of this id.
        CommandStateError: It does not wait for a person.
    """
    now = clock.now()
    command = _lock_command(connection, command_id)
    after = _store(connection, [command], lambda each: rules.try_again(each, now), str(by))[0]
    record(connection, [_event(by, "command.retried", after)], clock)
    return after


def settle(
    connection: Connection,
    command_id: CommandId,
    verdict: Verdict,
    *,
    by: Actor,
    clock: Clock,
) -> Command:
    """Finish a command that waits for a person by what the person found out.

    Raises:
        CommandNotFoundError: There is none of this id.
        CommandStateError: It does not wait for a person.
    """
    now = clock.now()
    command = _lock_command(connection, command_id)
    after = _store(connection, [command], lambda each: rules.settle(each, verdict, now), str(by))[0]
    record(connection, [_event(by, "command.settled", after)], clock)
    return after


def load_command(connection: Connection, command_id: CommandId) -> Command:
    """Return the command of this id.

    Raises:
        CommandNotFoundError: There is none.
    """
    command = repository.find_command(connection, command_id)
    if command is None:
        raise CommandNotFoundError(command_id)
    return command


def list_for_meter(
    connection: Connection, meter_id: MeterId, limit: int = LIST_COUNT_MAX
) -> list[Command]:
    """Return the newest commands to a meter, the newest first."""
    return repository.list_commands(connection, limit=limit, meter_id=meter_id)


def list_for_sale(
    connection: Connection, sale_id: SaleId, limit: int = LIST_COUNT_MAX
) -> list[Command]:
    """Return the commands that deliver a sale, the newest first."""
    return repository.list_commands(connection, limit=limit, sale_id=sale_id)


def list_for_token(
    connection: Connection, token_id: TokenId, limit: int = LIST_COUNT_MAX
) -> list[Command]:
    """Return the commands that enter a token, the newest first."""
    return repository.list_commands(connection, limit=limit, token_id=token_id)


def list_for_person(connection: Connection, limit: int = LIST_COUNT_MAX) -> list[Command]:
    """Return commands that wait for a person's decision, the newest first."""
    return repository.list_commands(connection, limit=limit, state=CommandState.NEEDS_HUMAN)


def list_changes(connection: Connection, command_id: CommandId) -> list[CommandChange]:
    """Return the history of a command, the first step first."""
    return repository.list_changes(connection, command_id)


def count_unfinished(connection: Connection) -> dict[CommandState, int]:
    """Return how many commands stand in each state that is not final."""
    return repository.count_by_state(connection)


def _load_reachable(connection: Connection, order: RelayOrder) -> Meter:
    meter = load_meter(connection, parse_meter_number(order.meter))
    if meter.link is None:
        raise MeterUnreachableError(meter.pan.iain)
    return meter


def _relay_command(
    kind: CommandKind,
    meter: Meter,
    order: RelayOrder,
    by: SignedIn,
    approval_id: ApprovalId | None,
) -> NewCommand:
    key = f"order:{uuid.uuid4()}" if approval_id is None else f"approval:{approval_id}"
    return NewCommand(
        kind=kind,
        meter_id=meter.id,
        dedupe_key=key,
        reason=order.reason,
        requested_by=str(by.actor),
        approval_id=approval_id,
    )


def _queue_relay(
    connection: Connection, new: NewCommand, meter: Meter, by: SignedIn, clock: Clock
) -> Command:
    command = queue_commands(connection, [new], clock)[0]
    event = AuditEvent(
        by.actor,
        f"command.{new.kind.value}-ordered",
        f"meter:{meter.pan.digits}",
        {
            "command": str(command.id),
            "approval": None if new.approval_id is None else str(new.approval_id),
        },
    )
    record(connection, [event], clock)
    return command


def _event(by: Actor, action: str, command: Command) -> AuditEvent:
    details = {"kind": command.kind.value, "state": command.state.value}
    return AuditEvent(by, action, f"command:{command.id}", details)


def _lock_command(connection: Connection, command_id: CommandId) -> Command:
    command = repository.lock_commands(connection, [command_id]).get(command_id)
    if command is None:
        raise CommandNotFoundError(command_id)
    return command


def _store(
    connection: Connection,
    before: Sequence[Command],
    step: Callable[[Command], Command],
    actor: str = WORKER,
) -> list[Command]:
    changed = [(each, step(each)) for each in before]
    repository.store_changes(connection, changed, actor=actor)
    return [after for _, after in changed]

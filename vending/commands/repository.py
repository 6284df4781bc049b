"""Every query on commands and their history; all of them set-based."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    RowMapping,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    true,
    update,
)

from vending.commands.model import (
    ENTRY_KINDS,
    RELAY_KINDS,
    WAITING_STATES,
    Command,
    CommandChange,
    CommandKind,
    CommandState,
)
from vending.commands.tables import command_changes, commands
from vending.persistence.bulk import is_one_of
from vending.persistence.column_types import is_sqlite
from vending.persistence.upsert import insert_or_ignore
from vending.values.identifiers import (
    ApprovalId,
    CommandId,
    KeyChangeSetId,
    MeterId,
    SaleId,
    TokenId,
)

LEASE_LOCK: Final = 0x636D6473
"""Key of PostgreSQL's advisory lock: one lease at a time decides which meters are free."""

_waits = commands.c.state.in_([state.value for state in WAITING_STATES])
_waits_or_sent = commands.c.state.in_(
    [state.value for state in (*WAITING_STATES, CommandState.SENT)]
)
_is_relay = commands.c.kind.in_([kind.value for kind in RELAY_KINDS])
_MUTABLE: Final = (
    "state",
    "version",
    "attempts",
    "unknown_tries",
    "doubtful",
    "result_code",
    "due_at",
    "expires_at",
    "changed_at",
)


def insert_new(connection: Connection, new: Sequence[Command]) -> None:
    """Store the commands whose key is free."""
    connection.execute(
        insert_or_ignore(connection, commands),
        [asdict(each) | {"kind": each.kind.value, "state": each.state.value} for each in new],
    )


def find_by_keys(connection: Connection, keys: Collection[str]) -> dict[str, Command]:
    """Return the commands that were queued under these keys."""
    query = select(commands).where(commands.c.dedupe_key.in_(keys))
    found = [_to_command(row) for row in connection.execute(query).mappings()]
    return {each.dedupe_key: each for each in found}


def serialise_leases(connection: Connection) -> None:
    """Wait for any other lease to commit; on SQLite the transaction is the only writer already."""
    if not is_sqlite(connection.dialect):
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LEASE_LOCK})


def lock_overdue(connection: Connection, *, now: datetime, limit: int) -> list[Command]:
    """Return, locked, waiting commands whose time is over."""
    return _lock(connection, and_(_waits, commands.c.expires_at <= now), limit=limit)


def lock_superseded(connection: Connection, *, now: datetime, limit: int) -> list[Command]:
    """Return, locked, orders for a relay that are due although a newer one was given."""
    newer = commands.alias("newer")
    is_older = exists().where(
        newer.c.meter_id == commands.c.meter_id,
        newer.c.kind.in_([kind.value for kind in RELAY_KINDS]),
        or_(
            newer.c.created_at > commands.c.created_at,
            and_(newer.c.created_at == commands.c.created_at, newer.c.id > commands.c.id),
        ),
    )
    condition = and_(_waits, commands.c.due_at <= now, _is_relay, is_older)
    return _lock(connection, condition, limit=limit)


def lock_due(
    connection: Connection,
    *,
    now: datetime,
    limit: int,
    may_disconnect: bool,
    consent_after: datetime,
) -> list[Command]:
    """Return, locked, the oldest due command of each meter that has none sent.

    While relays may not be opened, a disconnection without an approval waits, and holds up nothing;
    so does one that was queued before `consent_after`, and tried again since.
    A key change waits for the tokens that were queued before it, and later tokens wait for the
    key change: on the other side of it the meter would not read them.
    """
    may_go = (
        true()
        if may_disconnect
        else or_(
            commands.c.kind != CommandKind.DISCONNECT.value,
            and_(
                commands.c.approval_id.is_not(None),
                commands.c.created_at > consent_after,
            ),
        )
    )
    sent = commands.alias("sent")
    is_busy = exists().where(
        sent.c.meter_id == commands.c.meter_id, sent.c.state == CommandState.SENT.value
    )
    older = commands.alias("older")
    is_behind = exists().where(
        older.c.meter_id == commands.c.meter_id,
        older.c.state.in_([state.value for state in WAITING_STATES]),
        _is_older(older),
        or_(
            and_(
                older.c.kind == CommandKind.ENTER_KEY_CHANGE.value,
                commands.c.kind.in_([kind.value for kind in ENTRY_KINDS]),
            ),
            and_(
                older.c.kind == CommandKind.ENTER_TOKEN.value,
                commands.c.kind == CommandKind.ENTER_KEY_CHANGE.value,
            ),
        ),
    )
    place = func.row_number().over(
        partition_by=commands.c.meter_id, order_by=(commands.c.created_at, commands.c.id)
    )
    due = (
        select(commands.c.id, commands.c.due_at, place.label("place"))
        .where(_waits, commands.c.due_at <= now, ~is_busy, ~is_behind, may_go)
        .subquery()
    )
    firsts = select(due.c.id).where(due.c.place == 1).order_by(due.c.due_at, due.c.id).limit(limit)
    return _lock(connection, and_(_waits, commands.c.id.in_(firsts)), limit=limit)


def list_open_for_sets(
    connection: Connection, set_ids: Collection[KeyChangeSetId]
) -> list[Command]:
    """Return the commands that still carry one of these key-change sets to a meter, locked."""
    query = (
        select(commands)
        .where(_waits_or_sent, is_one_of(connection, commands.c.key_change_set_id, list(set_ids)))
        .order_by(commands.c.id)
        .with_for_update()
    )
    return [_to_command(row) for row in connection.execute(query).mappings()]


def lock_stale(connection: Connection, *, before: datetime, limit: int) -> list[Command]:
    """Return, locked, commands that were sent before an instant and have no outcome."""
    is_stale = and_(commands.c.state == CommandState.SENT.value, commands.c.changed_at <= before)
    return _lock(connection, is_stale, limit=limit)


def lock_commands(connection: Connection, ids: Collection[CommandId]) -> dict[CommandId, Command]:
    """Return those of the commands that exist, locked in the order of their ids."""
    query = select(commands).where(commands.c.id.in_(ids)).order_by(commands.c.id).with_for_update()
    found = [_to_command(row) for row in connection.execute(query).mappings()]
    return {each.id: each for each in found}


def store_changes(
    connection: Connection, changed: Sequence[tuple[Command, Command]], *, actor: str
) -> None:
    """Store locked commands as they stand now, and each step in the history.

    `changed` pairs a command as it was with what became of it.
    """
    if not changed:
        return
    statement = (
        update(commands)
        .where(commands.c.id == bindparam("of_id"), commands.c.version == bindparam("of_version"))
        .values({name: bindparam(f"new_{name}") for name in _MUTABLE})
    )
    rows = sorted(changed, key=lambda pair: pair[0].id)
    updated = connection.execute(
        statement, [_update_parameters(before, after) for before, after in rows]
    )
    assert updated.rowcount == len(rows), "a locked command keeps its version"
    connection.execute(
        insert(command_changes), [_to_change_row(before, after, actor) for before, after in rows]
    )


def find_command(connection: Connection, command_id: CommandId) -> Command | None:
    """Return the command of this id; None: there is none."""
    row = (
        connection.execute(select(commands).where(commands.c.id == command_id))
        .mappings()
        .one_or_none()
    )
    return None if row is None else _to_command(row)


def list_commands(
    connection: Connection,
    *,
    limit: int,
    meter_id: MeterId | None = None,
    sale_id: SaleId | None = None,
    token_id: TokenId | None = None,
    state: CommandState | None = None,
) -> list[Command]:
    """Return up to `limit` commands, the newest first."""
    query = select(commands).order_by(commands.c.created_at.desc(), commands.c.id.desc())
    if meter_id is not None:
        query = query.where(commands.c.meter_id == meter_id)
    if sale_id is not None:
        query = query.where(commands.c.sale_id == sale_id)
    if token_id is not None:
        query = query.where(commands.c.token_id == token_id)
    if state is not None:
        query = query.where(commands.c.state == state.value)
    return [_to_command(row) for row in connection.execute(query.limit(limit)).mappings()]


def list_changes(connection: Connection, command_id: CommandId) -> list[CommandChange]:
    """Return the history of a command, the first step first; a queued one has none."""
    query = (
        select(command_changes)
        .where(command_changes.c.command_id == command_id)
        .order_by(command_changes.c.version)
    )
    return [_to_change(row) for row in connection.execute(query).mappings()]


def count_by_state(connection: Connection) -> dict[CommandState, int]:
    """Return how many commands stand in each state that is not final."""
    unfinished = [*WAITING_STATES, CommandState.SENT, CommandState.NEEDS_HUMAN]
    query = (
        select(commands.c.state, func.count())
        .where(commands.c.state.in_([state.value for state in unfinished]))
        .group_by(commands.c.state)
    )
    found = {CommandState(state): count for state, count in connection.execute(query)}
    return {state: found.get(state, 0) for state in unfinished}


def _is_older(other: FromClause) -> ColumnElement[bool]:
    return or_(
        other.c.created_at < commands.c.created_at,
        and_(other.c.created_at == commands.c.created_at, other.c.id < commands.c.id),
    )


def _lock(connection: Connection, condition: ColumnElement[bool], *, limit: int) -> list[Command]:
    query = (
        select(commands)
        .where(condition)
        .order_by(commands.c.due_at, commands.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_to_command(row) for row in connection.execute(query).mappings()]


def _update_parameters(before: Command, after: Command) -> dict[str, object]:
    new = {f"new_{name}": getattr(after, name) for name in _MUTABLE}
    key = {"of_id": before.id, "of_version": before.version}
    return new | key | {"new_state": after.state.value}


def _to_change_row(before: Command, after: Command, actor: str) -> dict[str, Any]:
    return {
        "command_id": after.id,
        "version": after.version,
        "at": after.changed_at,
        "origin": before.state.value,
        "target": after.state.value,
        "attempt": after.attempts,
        "code": after.result_code,
        "actor": actor,
    }


def _to_change(row: RowMapping) -> CommandChange:
    return CommandChange(
        command_id=CommandId(row["command_id"]),
        version=row["version"],
        at=row["at"],
        origin=CommandState(row["origin"]),
        target=CommandState(row["target"]),
        attempt=row["attempt"],
        code=row["code"],
        actor=row["actor"],
    )


def _to_command(row: RowMapping) -> Command:
    return Command(
        id=CommandId(row["id"]),
        kind=CommandKind(row["kind"]),
        meter_id=MeterId(row["meter_id"]),
        sale_id=None if row["sale_id"] is None else SaleId(row["sale_id"]),
        token_id=None if row["token_id"] is None else TokenId(row["token_id"]),
        key_change_set_id=(
            None if row["key_change_set_id"] is None else KeyChangeSetId(row["key_change_set_id"])
        ),
        dedupe_key=row["dedupe_key"],
        state=CommandState(row["state"]),
        reason=row["reason"],
        requested_by=row["requested_by"],
        version=row["version"],
        attempts=row["attempts"],
        unknown_tries=row["unknown_tries"],
        doubtful=row["doubtful"],
        result_code=row["result_code"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        expires_at=row["expires_at"],
        changed_at=row["changed_at"],
        approval_id=None if row["approval_id"] is None else ApprovalId(row["approval_id"]),
    )

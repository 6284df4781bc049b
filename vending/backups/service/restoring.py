"""Brings an installation back: all of it in one transaction, or nothing.

What a restore cannot bring back is what happened after the backup: tokens, keys of partners that
were revoked, sign-outs, the use of an approval. So identifiers of tokens are raised past the clock,
sessions end, approvals that were not used are withdrawn, and a row tells from when to when
something may be missing (`vending.backups.service.gap`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from vending.backups import repository
from vending.backups.archive import ArchiveReader, ContentKey
from vending.backups.custodian_keys import CustodianKey
from vending.backups.errors import (
    BackupDamagedError,
    BackupSchemaError,
    RestoreRefusedError,
    RestoreTargetError,
)
from vending.backups.model import (
    BackupReport,
    Restoration,
    RestorationKind,
    TableShape,
)
from vending.backups.rules import require_clock, tid_floors
from vending.backups.service.reading import (
    Opening,
    open_backup,
    read_opening,
    read_through,
    walk,
)
from vending.keystore.recovery import adopt_restored
from vending.keystore.store import OpenKeyStore
from vending.keystore.unlocking import RECOMMENDED_COST, Argon2Cost, Unlock
from vending.persistence import migrate
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.sales.rules import ClockLimits
from vending.sales.service.clock_guard import confirm_clock
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import new_uuid7

BASE: Final = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTarget:
    """The empty installation, and what it goes by."""

    database: Database
    unlock: Unlock
    """What opens the key store from now on."""
    data_folder: Path
    tid_ahead_limit_min: int
    clock_limits: ClockLimits
    cost: Argon2Cost = RECOMMENDED_COST


def restore_backup(
    path: Path,
    holders: Sequence[CustodianKey],
    target: RestoreTarget,
    *,
    by: Actor,
    clock: Clock,
    clock_confirmed: bool = False,
) -> tuple[BackupReport, Restoration]:
    """Restore a backup into an empty installation, on either engine.

    The file is read twice: once to see that it is whole, then to load it.

    Raises:
        BackupFileError: The file cannot be read.
        BackupLockedError: The keys are not those of two different custodians of it.
        BackupDamagedError: It was cut, altered or mixed, or is no backup.
        BackupSchemaError: It was made at a schema this release does not know.
        RestoreTargetError: The installation is not empty.
        RestoreClockError: The clock disagrees with the backup.
        RestoreRefusedError: The database refused a row.
        KeyFileError: The key file cannot be used.
        KeyStoreCorruptError: The key store in it is not whole.
    """
    with open_backup(path) as file:
        reader = ArchiveReader(file)
        content_key = reader.header.unlock(holders)
        report = read_through(reader, content_key, path)
        contents = report.contents
        if not migrate.is_known(contents.revision):
            raise BackupSchemaError(contents.revision)
        _require_clock(contents.seen_at or contents.at, target, clock, confirmed=clock_confirmed)
        with target.database.unit_of_work() as uow:
            _require_empty(uow.connection)
            opening = _load(uow.connection, reader, content_key, report)
            store = _adopt_store(uow.connection, opening, content_key, target)
            done = _settle(
                uow.connection,
                _Return(RestorationKind.BACKUP, contents.at, report),
                target,
                by=by,
                clock=clock,
            )
            uow.commit()
    store.adopt_generation()
    confirm_clock(target.database, clock)
    return report, done


def settle_point_in_time(
    target: RestoreTarget,
    *,
    state_at: datetime,
    by: Actor,
    clock: Clock,
    clock_confirmed: bool = False,
) -> Restoration:
    """Do what a restore does, after PostgreSQL itself went back to a point in time.

    Raises:
        RestoreClockError: The clock disagrees with the database.
    """
    with target.database.read() as connection:
        repository.load_declarations()
        seen_at = repository.read_seen_at(connection) or state_at
    _require_clock(seen_at, target, clock, confirmed=clock_confirmed)
    with target.database.unit_of_work() as uow:
        done = _settle(
            uow.connection,
            _Return(RestorationKind.POINT_IN_TIME, state_at, None),
            target,
            by=by,
            clock=clock,
        )
        uow.commit()
    confirm_clock(target.database, clock)
    return done


@dataclass(frozen=True, slots=True)
class _Return:
    """What came back."""

    kind: RestorationKind
    state_at: datetime
    report: BackupReport | None


def _require_clock(
    seen_at: datetime, target: RestoreTarget, clock: Clock, *, confirmed: bool
) -> None:
    require_clock(
        clock.now(),
        seen_at,
        backward=timedelta(seconds=target.clock_limits.backward_s),
        forward=timedelta(seconds=target.clock_limits.forward_s),
        confirmed=confirmed,
    )


def _require_empty(connection: Connection) -> None:
    """Go on only where nothing is.

    Raises:
        RestoreTargetError: A table holds rows.
    """
    filled = repository.list_filled(connection)
    if filled:
        raise RestoreTargetError(", ".join(filled))


def _load(
    connection: Connection, reader: ArchiveReader, content_key: ContentKey, report: BackupReport
) -> Opening:
    repository.take_long(connection)
    if migrate.revision_of(connection) is not None:
        migrate.downgrade_within(connection, BASE)
    migrate.upgrade_within(connection, report.contents.revision)
    lines = reader.lines(content_key)
    opening = read_opening(lines, reader)
    rings = repository.defer_rings(connection)

    def take(shape: TableShape, rows: list[dict[str, Any]]) -> None:
        try:
            repository.write_rows(connection, shape, rows)
        except DBAPIError as error:
            raise RestoreRefusedError(shape.name, type(error.orig).__name__) from error

    if walk(lines, take) != report.tables:
        what = "it changed while it was read"
        raise BackupDamagedError(what)
    try:
        repository.check_rings(connection, rings)
    except DBAPIError as error:
        name = "foreign keys"
        raise RestoreRefusedError(name, type(error.orig).__name__) from error
    _require_counts(connection, report)
    migrate.upgrade_within(connection)
    return opening


def _require_counts(connection: Connection, report: BackupReport) -> None:
    """See that the tables hold what the backup holds: no trigger added or swallowed a row.

    Raises:
        RestoreRefusedError: One has more or fewer rows.
    """
    counted = repository.count_rows(connection, list(report.tables))
    for name, wanted in report.tables.items():
        if counted[name] != wanted.rows:
            raise RestoreRefusedError(name, f"{counted[name]} rows of {wanted.rows}")


def _adopt_store(
    connection: Connection, opening: Opening, content_key: ContentKey, target: RestoreTarget
) -> OpenKeyStore:
    if opening.sealed_root is None:
        what = "it holds no key store"
        raise BackupDamagedError(what)
    return adopt_restored(
        connection,
        opening.sealed_root,
        content_key.sealer(),
        target.unlock,
        data_folder=target.data_folder,
        cost=target.cost,
    )


def _settle(
    connection: Connection, came: _Return, target: RestoreTarget, *, by: Actor, clock: Clock
) -> Restoration:
    """Raise identifiers, end sessions, withdraw consent, and say what may be missing."""
    now = clock.now()
    floors = tid_floors(now, ahead_limit_min=target.tid_ahead_limit_min)
    by_year = {int(base_date): tid for base_date, tid in floors.items()}
    meter_count = repository.raise_last_tids(connection, by_year)
    repository.raise_floors(connection, by_year)
    head = repository.read_audit_head(connection)
    position = head.get("position", 0)
    done = Restoration(
        id=new_uuid7(clock),
        kind=came.kind,
        backup_id=came.report.contents.backup_id if came.report else None,
        state_at=came.state_at,
        restored_at=max(now, came.state_at),
        tid_floor_min=target.tid_ahead_limit_min,
        audit_position=position if isinstance(position, int) else 0,
        meter_count=meter_count,
        sessions_revoked=repository.revoke_every_session(connection, now),
    )
    repository.insert_restoration(connection, done)
    details = {
        "kind": done.kind.value,
        "state_at": done.state_at.isoformat(),
        "audit_position": done.audit_position,
        "meters": done.meter_count,
        "sessions_revoked": done.sessions_revoked,
        "approvals_withdrawn": repository.withdraw_consent(connection),
    }
    event = AuditEvent(by, "backup.restored", f"restoration:{done.id}", details)
    record(connection, [event], clock)
    return done

"""Custodians, backups and restores for tests: cheap passphrases, everything else as it is."""

from dataclasses import dataclass
from pathlib import Path

from vending.backups import repository
from vending.backups.custodian_keys import CustodianKey, create_key_file, load_key_file
from vending.backups.model import BackupReport, Custodian, Restoration
from vending.backups.service.making import create_backup
from vending.backups.service.restoring import RestoreTarget, restore_backup
from vending.keystore.store import OpenKeyStore
from vending.keystore.unlocking import Argon2Cost, KeyFile, Passphrase
from vending.persistence.engine import Database, create_database
from vending.sales.rules import ClockLimits
from vending.values.actor import Actor, ActorKind
from vending.values.clock import Clock
from vending.values.identifiers import new_uuid7

CHEAP = Argon2Cost(1, 8, 1)
HOST = Actor(ActorKind.HOST, "tester")
LIMIT_MIN = 60


def make_custodians(folder: Path, *names: str) -> list[CustodianKey]:
    """Custodians with key files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = []
    for name in names:
        path, passphrase = folder / f"{name}.key", Passphrase(f"passphrase of {name}")
        create_key_file(path, name, passphrase, cost=CHEAP)
        keys.append(load_key_file(path, passphrase))
    return keys


def name_custodians(database: Database, keys: list[CustodianKey], clock: Clock) -> None:
    """Let them open the backups of a database, without asking anybody."""
    with database.unit_of_work() as uow:
        for key in keys:
            who = Custodian(key.name, key.public_key)
            repository.insert_custodian(uow.connection, new_uuid7(clock), who, clock.now())
        uow.commit()


@dataclass(frozen=True)
class Restored:
    """What came back, and where."""

    database: Database
    folder: Path
    unlock: KeyFile
    report: BackupReport
    done: Restoration


def back_up(
    database: Database, store: OpenKeyStore, path: Path, clock: Clock, *, chunk_bytes: int = 4096
) -> BackupReport:
    return create_backup(database, store, path, by=HOST, clock=clock, chunk_bytes=chunk_bytes)


def target_at(url: str, folder: Path) -> RestoreTarget:
    """An empty installation with a key file of its own."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file = folder / "keystore.key"
    return RestoreTarget(
        database=create_database(url),
        unlock=KeyFile(key_file) if key_file.exists() else KeyFile.create(key_file),
        data_folder=folder,
        tid_ahead_limit_min=LIMIT_MIN,
        clock_limits=ClockLimits(backward_s=300, forward_s=86_400),
        cost=CHEAP,
    )


def restore(
    path: Path,
    holders: list[CustodianKey],
    target: RestoreTarget,
    clock: Clock,
    *,
    clock_confirmed: bool = False,
) -> Restored:
    report, done = restore_backup(
        path, holders, target, by=HOST, clock=clock, clock_confirmed=clock_confirmed
    )
    assert isinstance(target.unlock, KeyFile)
    return Restored(target.database, target.data_folder, target.unlock, report, done)

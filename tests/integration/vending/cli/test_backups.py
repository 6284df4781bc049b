from dataclasses import replace
from pathlib import Path

from tests.support.command_line import CommandLine
from vending.backups import repository
from vending.backups.model import Custodian
from vending.operators.model import OperatorState
from vending.operators.repository import accounts
from vending.operators.service.accounts import list_operators
from vending.persistence import migrate
from vending.persistence.audit import AuditEvent, record
from vending.values.actor import Actor, ActorKind
from vending.values.clock import SystemClock
from vending.values.identifiers import new_uuid7

HOST = Actor(ActorKind.HOST, "tester")


def make_key(shell: CommandLine, name: str) -> dict[str, str]:
    passphrase = shell.write(f"{name}.pass", f"passphrase of {name}\n")
    key_file = str(shell.folder.parent / f"{name}.key")
    told = shell.json(
        "backup", "custodian", "new", name, "--out", key_file, "--passphrase-file", passphrase,
        data=False,
    )  # fmt: skip
    document: dict[str, str] = told.document
    return document


def test_a_custodians_key_is_made_without_an_installation(shell: CommandLine) -> None:
    made = make_key(shell, "anna")
    assert len(made["public_key"]) == 64
    assert Path(made["key_file"]).stat().st_mode & 0o077 == 0


def test_a_backup_without_custodians_is_refused(shell: CommandLine) -> None:
    told = shell.json("backup", "create", str(shell.folder.parent / "one.vbackup"))
    assert told.error == "custodian_count"
    assert not (shell.folder.parent / "one.vbackup").exists()
    assert shell.json("backup", "create").error == "argument_invalid"


def test_only_custodians_of_here_see_another_administrator_made(shell: CommandLine) -> None:
    """Whoever has the machine and one account is still one person."""
    database, clock = shell.database(), SystemClock()
    with database.read() as connection:
        present = [one for one in list_operators(connection) if one.is_active]
    alone, *left = present
    note = AuditEvent(HOST, "operator.activated", alone.subject)
    events = [replace(note, subject=one.subject) for one in present]
    events += [
        AuditEvent(HOST, "operator.roles-changed", one.subject, {"granted": "administrator"})
        for one in present
    ]
    with database.unit_of_work() as uow:
        record(uow.connection, events, clock)
        for one in left:
            accounts.update_state(uow.connection, one.id, OperatorState.LOCKED)
        uow.commit()
    keys = [make_key(shell, name) for name in ("anna", "bela", "stranger")]
    options = [
        ("--custodian", key["key_file"], "--passphrase-file",
         str(shell.folder.parent / f"{key['name']}.pass"))
        for key in keys
    ]  # fmt: skip
    with database.unit_of_work() as uow:
        for key in keys[:2]:
            who = Custodian(key["name"], bytes.fromhex(key["public_key"]))
            repository.insert_custodian(uow.connection, new_uuid7(clock), who, clock.now())
        uow.commit()
    database.close()

    more = ("init", "--administrator", "carol=Carol Njeri")
    assert shell.json(*more).error == "custodians_wanted"
    assert shell.json(*more, *options[0]).error == "custodian_count"
    assert shell.json(*more, *options[0], *options[0]).error == "custodian_count"
    assert shell.json(*more, *options[0], *options[2]).error == "custodian_not_found"
    made = shell.json(*more, *options[0], *options[1]).document["administrators"]
    assert [one["operator"] for one in made] == ["carol"]

    back = ("migrate", "0006", "--down")  # from here on, nobody would have been here
    assert shell.json(*back).error == "custodians_wanted"
    assert shell.json(*back, *options[0]).error == "custodian_count"
    assert shell.json("migrate").document == {"schema": migrate.head_revision()}
    assert shell.json(*back, *options[0], *options[1]).document == {"schema": "0006"}
    assert shell.json("migrate", "base", "--down").error == "custodians_wanted"


def test_what_is_no_backup_restores_nothing(shell: CommandLine) -> None:
    keys = [make_key(shell, name) for name in ("anna", "bela")]
    file = shell.write("one.vbackup", "this is no backup")
    options = []
    for key in keys:
        options += ["--custodian", key["key_file"]]
        options += ["--passphrase-file", str(shell.folder.parent / f"{key['name']}.pass")]
    assert shell.json("backup", "verify", file, *options, data=False).error == "backup_damaged"
    empty = CommandLine(shell.folder.parent / "empty", shell.capture)
    assert empty.json("restore", file, *options).error == "backup_damaged"


def test_an_installation_that_was_never_restored_has_no_gap(shell: CommandLine) -> None:
    assert shell.json("restore", "gap").error in {"restoration_not_found", "permission_denied"}

"""backup, restore: files that two custodians open, and what a restore may have lost."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from typer._click.core import Context
from typer.core import TyperGroup

from vending.audit.service.keys import load_keys
from vending.backups.custodian_keys import (
    CustodianKey,
    create_key_file,
    load_key_file,
    name_in_key_file,
    parse_public_key,
)
from vending.backups.model import BackupReport, Custodian, Gap, Restoration
from vending.backups.service import custodians, gap, making, reading, restoring
from vending.backups.service.restoring import RestoreTarget
from vending.bootstrap import open_database, unlock_of
from vending.cli.access import acting, acting_operator, host, needs
from vending.cli.arguments import ArgumentInvalidError
from vending.cli.context import DataOption, opened_container, opened_database, read_settings
from vending.cli.output import JsonOption, Row, print_document, print_note
from vending.keystore.sealing import Purpose
from vending.keystore.unlocking import KeyFile, Passphrase, Unlock
from vending.operators.permissions import Permission
from vending.partners.service import load_partner_by_name
from vending.persistence import migrate
from vending.persistence.engine import Database, create_database
from vending.sales.rules import ClockLimits
from vending.settings import SECRET_FILE_LENGTH_MAX, Settings
from vending.values.clock import SystemClock
from vending.values.identifiers import ApprovalId

KEEP_DEFAULT: Final = 14

backup_app: Final = typer.Typer(
    help="Encrypted backups, made while sales go on.", no_args_is_help=True
)
custodian_app: Final = typer.Typer(
    help="Who opens backups: any two together, nobody alone.", no_args_is_help=True
)
backup_app.add_typer(custodian_app, name="custodian")


class RestoreGroup(TyperGroup):
    """Takes `vending restore FILE` for `vending restore from FILE`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Return the arguments with the command they leave out."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["from", *args]
        return super().parse_args(ctx, args)


restore_app: Final = typer.Typer(
    help="Bring an installation back: vending restore FILE --custodian A.key --custodian B.key.",
    no_args_is_help=True,
    cls=RestoreGroup,
)

CustodianOption = Annotated[
    list[Path], typer.Option("--custodian", help="Key file of a custodian; give two.")
]
PassphraseOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--passphrase-file",
        help="File with the passphrase of a --custodian, in the same order; else it is asked for.",
    ),
]
ConfirmClockOption = Annotated[
    bool,
    typer.Option("--confirm-clock", help="The clock of this machine was seen to be right."),
]
ApprovalOption = Annotated[
    uuid.UUID | None,
    typer.Option("--approval", help="Approval of another person; without: ask for it."),
]


def register(parent: typer.Typer) -> None:
    """Add the groups to the command line."""
    parent.add_typer(backup_app, name="backup")
    parent.add_typer(restore_app, name="restore")


# --- backup --------------------------------------------------------------------------------------
@backup_app.command("create")
@host("a timer makes backups; without two custodians the file is useless to whoever takes it")
def create(
    file: Annotated[Path | None, typer.Argument(help="A new file.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Make a file named after the moment in here.")
    ] = None,
    keep: Annotated[
        int, typer.Option("--keep", min=1, help="With --dir: how many of them stay.")
    ] = KEEP_DEFAULT,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Back the whole installation up, and read the file back before it counts.

    Raises:
        ArgumentInvalidError: Both a file and a folder are named, or neither.
    """
    if (file is None) == (folder is None):
        option, wanted = "FILE", "name either a file or --dir"
        raise ArgumentInvalidError(option, str(file or ""), wanted=wanted)
    clock = SystemClock()
    with opened_container(data) as container:
        arguments = (container.database, container.store)
        if file is not None:
            path = file
            report = making.create_backup(*arguments, file, by=acting(), clock=clock)
        else:
            assert folder is not None, "one of the two was named"
            path, report = making.create_backup_in(
                *arguments, folder, keep=keep, by=acting(), clock=clock
            )
    print_document({"file": str(path), **_report_row(report)}, as_json=as_json)


@backup_app.command("verify")
@host("takes the keys of two custodians, and no installation")
def verify(
    file: Annotated[Path, typer.Argument(help="The backup.")],
    custodian: CustodianOption,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a backup from end to end with the keys of two custodians."""
    report = reading.verify_backup(file, load_custodian_keys(custodian, passphrase_file or []))
    print_document({"file": str(file), **_report_row(report)}, as_json=as_json)


@backup_app.command("list")
@needs(Permission.BACKUPS_WRITE)
def list_made(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the newest backups that were made here."""
    with opened_database(data) as (_, database):
        rows = making.list_backups(database)
    print_document(rows, as_json=as_json, title="backups")


@custodian_app.command("new")
@host("makes a key file for a custodian, who may have no account")
def new_custodian(
    name: Annotated[str, typer.Argument(help="Letters, digits, dots, hyphens, underscores.")],
    out: Annotated[Path | None, typer.Option("--out", help="Default: NAME.key.")] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option("--passphrase-file", help="Else it is asked for, twice.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a custodian's key file, sealed by a passphrase, and print the public key."""
    path = out or Path(f"{name}.key")
    passphrase = _passphrase(passphrase_file, f"Passphrase for {path}", confirm=True)
    public_key = create_key_file(path, name, passphrase)
    print_document(
        {"name": name, "key_file": str(path), "public_key": public_key.hex()}, as_json=as_json
    )
    print_note(
        "Keep the file apart from the backups and from other custodians' files, and the "
        "passphrase apart from the file.",
        as_json=as_json,
    )


@custodian_app.command("add")
@needs(Permission.KEYS_WRITE)
def add_custodian(
    name: Annotated[str, typer.Argument(help="The custodian's name.")],
    public_key: Annotated[str, typer.Argument(help="64 hexadecimal digits.")],
    approval: ApprovalOption = None,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "custodian of backups",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a person, with any other custodian, open backups made from now on."""
    who, clock = Custodian(name, parse_public_key(public_key)), SystemClock()
    with opened_database(data) as (_, database):
        by = acting_operator()
        if approval is None:
            asked = custodians.propose_custodian(database, by, who, reason=reason, clock=clock)
            print_document({"approval": str(asked.id)}, as_json=as_json)
            return
        custodians.add_custodian(database, by, who, approval_id=ApprovalId(approval), clock=clock)
    print_document({"custodian": name, "public_key": who.fingerprint}, as_json=as_json)


@custodian_app.command("remove")
@needs(Permission.KEYS_WRITE)
def remove_custodian(
    name: Annotated[str, typer.Argument(help="The custodian's name.")],
    approval: ApprovalOption = None,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "no longer a custodian",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a person open no backup made from now on; older files open as before."""
    clock = SystemClock()
    with opened_database(data) as (_, database):
        by = acting_operator()
        if approval is None:
            asked = custodians.propose_removal(database, by, name, reason=reason, clock=clock)
            print_document({"approval": str(asked.id)}, as_json=as_json)
            return
        custodians.remove_custodian(
            database, by, name, approval_id=ApprovalId(approval), clock=clock
        )
    print_document({"removed": name}, as_json=as_json)


@custodian_app.command("list")
@needs(Permission.KEYS_READ)
def list_custodians(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List those who open backups."""
    with opened_database(data) as (_, database):
        found = custodians.list_custodians(database)
    rows = [{"name": each.name, "public_key": each.fingerprint} for each in found]
    print_document(rows, as_json=as_json, title="custodians")


# --- restore -------------------------------------------------------------------------------------
@restore_app.command("from")
@host("after a total loss nobody can sign in; it takes the keys of two custodians")
def restore(
    file: Annotated[Path, typer.Argument(help="The backup.")],
    custodian: CustodianOption,
    passphrase_file: PassphraseOption = None,
    confirm_clock: ConfirmClockOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into an empty database, of either engine, and an empty data folder.

    The key store opens from now on with VENDING_KEY_STORE_PASSPHRASE_FILE or
    VENDING_KEY_STORE_KEY_FILE; with neither, a key file is made in the data folder.
    """
    settings = read_settings(data)
    keys = load_custodian_keys(custodian, passphrase_file or [])
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = create_database(settings.effective_database_url, create_folder=True)
    try:
        unlock = _unlock_for_restore(settings)
        target = _target(settings, unlock, database)
        report, done = restoring.restore_backup(
            file, keys, target, by=acting(), clock=SystemClock(), clock_confirmed=confirm_clock
        )
    finally:
        database.close()
    key_file = str(unlock.path) if isinstance(unlock, KeyFile) else None
    print_document(
        {**_restoration_row(done), "rows": report.rows, "key_file": key_file}, as_json=as_json
    )
    print_note(
        "Everything after the instant of the backup is missing. Run `vending restore gap`, hold "
        "the partners' statements against it, and sign in again: every session has ended. "
        "A meter's first token may have to wait two minutes.",
        as_json=as_json,
    )


@restore_app.command("after-pitr")
@host("follows a recovery of PostgreSQL on its machine, before the service starts")
def after_point_in_time(
    state_at: Annotated[str, typer.Argument(help="The recovery target, UTC: 2026-11-25T08:00:00.")],
    confirm_clock: ConfirmClockOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do what a restore does, after PostgreSQL was recovered to a point in time.

    Raises:
        ArgumentInvalidError: The instant is none.
    """
    try:
        instant = datetime.fromisoformat(state_at)
    except ValueError as error:
        option, wanted = "STATE_AT", "write it as 2026-11-25T08:00:00"
        raise ArgumentInvalidError(option, state_at, wanted=wanted) from error
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    settings = read_settings(data)
    database = open_database(settings)
    try:
        migrate.require_head(database)
        done = restoring.settle_point_in_time(
            _target(settings, unlock_of(settings), database),
            state_at=instant,
            by=acting(),
            clock=SystemClock(),
            clock_confirmed=confirm_clock,
        )
    finally:
        database.close()
    print_document(_restoration_row(done), as_json=as_json)


@restore_app.command("gap")
@needs(Permission.BACKUPS_WRITE)
def show_gap(
    statement: Annotated[
        Path | None, typer.Option("--statement", help="CSV of a partner's receipts.")
    ] = None,
    partner: Annotated[str | None, typer.Option("--partner", help="Whose statement it is.")] = None,
    heads: Annotated[
        Path | None,
        typer.Option("--heads", help="Exported audit heads of what was lost: a file or a folder."),
    ] = None,
    settled: Annotated[
        str | None,
        typer.Option("--settled", help="meter:NUMBER or partner:ID that was reconciled."),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the last restore may have lost, and hold a partner's statement against it.

    Raises:
        ArgumentInvalidError: A statement without its partner, or a mark of another form.
    """
    clock = SystemClock()
    if (statement is None) != (partner is None):
        option, wanted = "--statement", "--statement and --partner go together"
        raise ArgumentInvalidError(option, str(statement or ""), wanted=wanted)
    with opened_database(data) as (_, database):
        exported = None if heads is None else _exported_heads(heads, data)
        if statement is not None and partner is not None:
            with database.read() as connection:
                partner_id = load_partner_by_name(connection, partner).id
            stated = gap.read_statement(statement)
            gap.take_statement(database, partner_id, stated, by=acting(), clock=clock)
        if settled is not None:
            kind, _, subject = settled.partition(":")
            if not gap.settle(database, kind, subject, by=acting(), clock=clock):
                option, wanted = "--settled", "no such mark waits; the report lists them"
                raise ArgumentInvalidError(option, settled, wanted=wanted)
        found = gap.describe_gap(database, exported=exported)
        marks = gap.list_marks(database)
    unknown = [each.receipt_number for each in found.unknown]
    print_document(
        {
            **_restoration_row(found.restoration),
            **_lost_audit_row(found, as_json=as_json),
            "unknown_receipts": unknown if as_json else ", ".join(unknown),
            "to_reconcile": [f"{kind}:{subject}" for kind, subject in marks]
            if as_json
            else ", ".join(f"{kind}:{subject}" for kind, subject in marks),
        },
        as_json=as_json,
    )


def _exported_heads(path: Path, data: Path | None) -> gap.ExportedHeads:
    """Return the exported heads with the key that signed them, which the backup has as well."""
    with opened_container(data) as container, container.database.read() as connection:
        keys = load_keys(connection, container.store.sealer(Purpose.AUDIT_KEYS))
        return gap.ExportedHeads(path, keys.public_key)


def _lost_audit_row(found: Gap, *, as_json: bool) -> Row:
    row: dict[str, object] = {
        "audit_positions_missing_from": found.audit_from,
        "audit_positions_missing_to": found.audit_to,
    }
    lost = found.lost_audit
    if lost is None:
        return row
    newest, restored = lost.newest_head, lost.restored_head
    missing = 0 if newest is None else newest.position - found.audit_from + 1
    return row | {
        "audit_entries_missing": missing,
        "audit_restored_until": restored.sealed_at.isoformat() if restored else None,
        "audit_lost_until": newest.sealed_at.isoformat() if newest else None,
        "heads_with_our_signature": lost.checked_count,
        "heads_refused": lost.refused_count,
        "heads_refused_at": list(lost.refused) if as_json else "; ".join(lost.refused),
        "heads_differing_at": list(lost.differing)
        if as_json
        else ", ".join(str(position) for position in lost.differing),
    }


def _target(settings: Settings, unlock: Unlock, database: Database) -> RestoreTarget:
    return RestoreTarget(
        database=database,
        unlock=unlock,
        data_folder=settings.data_dir,
        tid_ahead_limit_min=settings.tid_ahead_limit_min,
        clock_limits=ClockLimits(settings.clock_backward_limit_s, settings.clock_forward_limit_s),
    )


def _unlock_for_restore(settings: Settings) -> Unlock:
    """Return what the key store will open with; without a setting, a fresh key file."""
    if settings.key_store_passphrase is not None and settings.key_store_key_file is None:
        return Passphrase(settings.key_store_passphrase.get_secret_value())
    path = settings.key_store_key_file or settings.own_key_file
    return KeyFile(path) if path.exists() else KeyFile.create(path)


def load_custodian_keys(
    paths: Sequence[Path], passphrase_files: Sequence[Path]
) -> list[CustodianKey]:
    """Return the keys in the files of custodians, each opened with its passphrase."""
    keys = []
    for place, path in enumerate(paths):
        name = name_in_key_file(path)
        file = passphrase_files[place] if place < len(passphrase_files) else None
        keys.append(load_key_file(path, _passphrase(file, f"Passphrase of {name}")))
    return keys


def _passphrase(file: Path | None, prompt: str, *, confirm: bool = False) -> Passphrase:
    """Return what was typed, or the text of a file without its trailing newline.

    Raises:
        ArgumentInvalidError: The file cannot be read.
    """
    if file is None:
        return Passphrase(typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm))
    try:
        with file.open(encoding="utf-8") as opened:
            return Passphrase(opened.read(SECRET_FILE_LENGTH_MAX).rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        option, wanted = "--passphrase-file", "name a text file that holds the passphrase"
        raise ArgumentInvalidError(option, str(file), wanted=wanted) from error


def _report_row(report: BackupReport) -> dict[str, object]:
    contents = report.contents
    return {
        "at": contents.at.isoformat(),
        "schema": contents.revision,
        "engine": contents.engine,
        "rows": report.rows,
        "tables": len(report.tables),
        "bytes": report.file_bytes,
        "sha256": report.digest,
        "key_store_generation": contents.store_generation,
        "audit_position": contents.audit_head.get("position", 0),
        "custodians": ", ".join(report.custodians),
        "verified": True,
    }


def _restoration_row(done: Restoration) -> dict[str, object]:
    return {
        "restoration": str(done.id),
        "kind": done.kind.value,
        "lost_from": done.state_at.isoformat(),
        "lost_to": done.restored_at.isoformat(),
        "meters": done.meter_count,
        "identifiers_raised_min": done.tid_floor_min,
        "sessions_ended": done.sessions_revoked,
        "last_audit_position": done.audit_position,
    }

"""audit: look at what was done, verify that nobody changed it, hand the proof to an auditor."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from vending.audit.errors import AuditUnreadableError, HeadInvalidError
from vending.audit.model import AuditReport, EventFilter, RecordedEvent
from vending.audit.rules import PublicKey
from vending.audit.service.check import check_lines
from vending.audit.service.gaps import declare_gap
from vending.audit.service.heads import last_exported, list_files, read_lines, write_heads
from vending.audit.service.keys import load_keys
from vending.audit.service.listing import PAGE_SIZE_MAX, list_events
from vending.audit.service.schema import find_schema_changes, readable
from vending.audit.service.verify import maybe_coded_elsewhere, verify
from vending.bootstrap import Container
from vending.cli.access import acting, needs
from vending.cli.arguments import ArgumentInvalidError
from vending.cli.context import DataOption, opened_container, opened_database
from vending.cli.marks import host
from vending.cli.output import (
    FindingsError,
    JsonOption,
    Row,
    print_document,
    print_line,
    print_note,
    progress_bar,
)
from vending.errors import ErrorKind, canonical_json
from vending.keystore.sealing import Purpose
from vending.operators.permissions import Permission

app: Final = typer.Typer(help="The audit log and its chain.", no_args_is_help=True)
HeadsArgument = Annotated[Path, typer.Argument(help="File of exported heads.")]

_NOTHING_READ: Final = AuditReport(
    events=0,
    links=0,
    heads=0,
    exported_heads=0,
    waiting=0,
    gaps=(),
    findings=(),
    finding_count=0,
)


class AuditDifferenceError(FindingsError):
    """The audit log is not as it was sealed."""

    kind = ErrorKind.CONFLICT
    code = "audit_differs"
    remedy = (
        "Keep a copy of the database and of the exported heads as evidence, find out who had "
        "rights on the database, and compare the rows named with the last backup that verifies."
    )

    def __init__(self, report: Row, count: int) -> None:
        super().__init__(f"{count} difference(s) found", report=report, count=count)


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="audit")


@app.command("list")
@needs(Permission.AUDIT_READ)
def list_all(
    subject: Annotated[str | None, typer.Option("--subject", help="As `meter:…`.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Name of who did it.")] = None,
    action: Annotated[
        str | None, typer.Option("--action", help="As `sale.issued`; `sale.` for all of sales.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="ISO 8601; UTC unless told.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="ISO 8601; UTC unless told.")] = None,
    before: Annotated[uuid.UUID | None, typer.Option("--before", help="Go on below it.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=PAGE_SIZE_MAX)] = 50,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was done, the newest first."""
    wanted = EventFilter(
        subject=subject,
        actor=actor,
        action=action,
        since=_parse_instant(since, "--since"),
        until=_parse_instant(until, "--until"),
    )
    with opened_database(data) as (_, database), database.read() as connection:
        page = list_events(connection, wanted, before=before, limit=limit)
    rows = [_event_row(event, as_json=as_json) for event in page.events]
    print_document(rows, as_json=as_json, title="audit log")
    if page.next_before is not None:
        print_note(f"more: --before {page.next_before}", as_json=as_json)


@app.command("verify")
@needs(Permission.AUDIT_READ)
def verify_chain(
    heads: Annotated[
        list[Path] | None,
        typer.Option("--heads", help="Exported heads; default: those of this machine."),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name every event that was changed, removed, put in, moved or cut off; exit 1 if any was.

    Raises:
        AuditDifferenceError: One was.
        AuditUnreadableError: The database does not answer.
    """
    with opened_container(data) as container, progress_bar(as_json=as_json) as bar:
        task = bar.add_task("links", total=None)
        files = heads or list_files(container.settings.effective_audit_heads_dir)
        sealer = container.store.sealer(Purpose.AUDIT_KEYS)
        with (
            maybe_coded_elsewhere(container.database, sealer) as coded,
            container.database.read() as connection,
        ):
            changes = find_schema_changes(connection)
            try:
                with readable(connection):
                    report = verify(
                        connection,
                        load_keys(connection, sealer),
                        now=container.clock.now(),
                        exported=read_lines(files),
                        progress=lambda count: bar.update(task, completed=count),
                        coded=coded,
                    )
            except AuditUnreadableError:
                if not changes:
                    raise
                report = _NOTHING_READ
    whole = replace(
        report,
        findings=(*changes, *report.findings),
        finding_count=len(changes) + report.finding_count,
    )
    _print_report(whole, as_json=as_json)


@app.command("heads")
@needs(Permission.AUDIT_READ)
def export_all(
    export: Annotated[Path, typer.Option("--export", help="New file to write them to.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write every signed head to a file, for an auditor."""
    with opened_container(data) as container, container.database.read() as connection:
        count = write_heads(connection, export, public_key=_public_key(container))
    print_document({"file": str(export), "heads": count}, as_json=as_json)


@app.command("public-key")
@needs(Permission.AUDIT_READ)
def show_public_key(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Print the key that checks heads; it is no secret, and belongs in the auditor's hands."""
    with opened_container(data) as container:
        public_key = _public_key(container)
    document = {"public_key": public_key.raw.hex(), "name": public_key.name}
    print_document(document, as_json=as_json)


@app.command("check-heads")
@host("reads a file and a public key, and no installation")
def check_heads(
    file: HeadsArgument,
    public_key: Annotated[str, typer.Option("--public-key", help="64 hexadecimal digits.")],
    as_json: JsonOption = False,
) -> None:
    """Check the signatures of exported heads, without a secret and without a database.

    Raises:
        HeadInvalidError: A line is no head, or bears another signature.
    """
    checked = check_lines(read_lines([file]), public_key=PublicKey.parse(public_key))
    print_document(
        {
            "heads": checked.count,
            "first_position": checked.first_position,
            "last_position": checked.last_position,
            "last_sealed_at": checked.last_sealed_at,
            "breaks": checked.breaks if as_json else "; ".join(checked.breaks) or "none",
        },
        as_json=as_json,
    )


@app.command("declare-gap")
@needs(Permission.BACKUPS_WRITE)
def declare(
    reason: Annotated[str, typer.Option("--reason", help="Why events are lost; it is kept.")],
    heads: Annotated[
        Path | None,
        typer.Option("--heads", help="Exported heads; default: those of this machine."),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a restored backup has lost the end of the chain.

    Raises:
        HeadInvalidError: No head was exported, or it is not ours.
    """
    with opened_container(data) as container, container.database.unit_of_work() as uow:
        keys = load_keys(uow.connection, container.store.sealer(Purpose.AUDIT_KEYS))
        folder = container.settings.effective_audit_heads_dir
        newest = last_exported(folder, public_key=keys.public_key, file=heads)
        if newest is None:
            raise HeadInvalidError(str(heads or folder), why="no head was exported")
        gap = declare_gap(
            uow.connection, keys, newest, reason=reason, by=acting(), clock=container.clock
        )
        uow.commit()
    print_document(
        {"position": gap.position, "lost_after": gap.after, "lost_through": gap.through},
        as_json=as_json,
    )


def _public_key(container: Container) -> PublicKey:
    with container.database.read() as connection:
        return load_keys(connection, container.store.sealer(Purpose.AUDIT_KEYS)).public_key


def _parse_instant(given: str | None, option: str) -> datetime | None:
    if given is None:
        return None
    try:
        instant = datetime.fromisoformat(given)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        wanted = "write an instant such as 2026-11-25T08:00"
        raise ArgumentInvalidError(option, given, wanted=wanted) from error


def _event_row(event: RecordedEvent, *, as_json: bool) -> dict[str, object]:
    details = event.details if as_json else canonical_json(dict(event.details)).decode()
    return {
        "id": str(event.id),
        "at": event.at.isoformat(timespec="milliseconds"),
        "actor": f"{event.actor_kind}:{event.actor_name}",
        "action": event.action,
        "subject": event.subject,
        "details": details,
    }


def _print_report(report: AuditReport, *, as_json: bool) -> None:
    """Print what was seen.

    Raises:
        AuditDifferenceError: The log is not as it was sealed.
    """
    gaps: Sequence[Row] = [
        {
            "position": gap.position,
            "lost_after": gap.after,
            "lost_through": gap.through,
            "reason": gap.reason,
            "by": gap.actor,
            "at": gap.declared_at.isoformat(timespec="seconds"),
        }
        for gap in report.gaps
    ]
    findings: Sequence[Row] = [
        {
            "kind": one.kind.value,
            "position": one.position,
            "event": None if one.event_id is None else str(one.event_id),
            "message": one.message,
        }
        for one in report.findings
    ]
    document: dict[str, object] = {
        "events": report.events,
        "links": report.links,
        "heads": report.heads,
        "exported_heads": report.exported_heads,
        "waiting": report.waiting,
        "declared_gaps": gaps if as_json else len(gaps),
        "finding_count": report.finding_count,
    }
    if gaps and not as_json:
        print_document(gaps, as_json=False, title="declared gaps")
    if not report.finding_count:
        print_document({"audit": "verified", **document}, as_json=as_json)
        return
    for one in report.findings:
        # A line each, unwrapped: positions and ids are looked up in the database.
        place = f"position {one.position}" if one.position is not None else "no position"
        print_line(
            f"{one.kind}: {place}, event {one.event_id or 'unknown'}: {one.message}",
            as_json=as_json,
        )
    raise AuditDifferenceError({**document, "findings": findings}, report.finding_count)

"""keys ceremony: bring a key in, each component by another custodian, and print the record."""

import getpass
import sys
import uuid
from pathlib import Path
from typing import Annotated, Final

import typer

from vending.approvals.service import find_approval
from vending.bootstrap import Container
from vending.cli.access import acting_operator, needs
from vending.cli.arguments import ArgumentInvalidError
from vending.cli.context import DataOption, opened_container
from vending.cli.output import JsonOption, Row, print_document, print_note
from vending.custody.ceremony_record import RecordedApproval, RecordLanguage, render_record
from vending.custody.model import Ceremony
from vending.custody.service.ceremonies import (
    CeremonyDesk,
    CeremonyPlan,
    abort,
    begin,
    enter,
    finish,
    list_ceremonies,
    load_ceremony,
    propose_finish,
)
from vending.errors import ErrorKind, VendingError
from vending.keystore.components import KeyComponent, parse_check_value
from vending.keystore.redaction import ShieldedFrames
from vending.operators.permissions import Permission
from vending.operators.service.accounts import load_operator
from vending.sts import SGC, BaseDate, KeyAttributes, KeyDerivation, KeyType
from vending.values.identifiers import ApprovalId, CeremonyId

app: Final = typer.Typer(
    help="Key ceremonies: components by several custodians.", no_args_is_help=True
)
IdArgument = Annotated[uuid.UUID, typer.Argument(help="Id of the ceremony.")]
_PDF_OPTION: Final = "--pdf"
_CHARACTERS_MAX: Final = 200
"""Of a file with a component: 40 digits, blanks, a check value."""


class ComponentsMissingError(VendingError):
    """A component can be typed at a terminal or come from a file, and came from neither."""

    kind = ErrorKind.INVALID
    code = "key_components_missing"
    remedy = (
        "Run the command at a terminal and type the component, or pass a file with the component "
        "and its check value."
    )

    def __init__(self) -> None:
        super().__init__("no key component was given")


@app.command("begin")
@needs(Permission.KEYS_WRITE)
def begin_ceremony(
    sgc: Annotated[str, typer.Option("--sgc", help="Supply group code, 6 digits.")],
    krn: Annotated[int, typer.Option("--krn", help="Key revision number, 1 to 9.")],
    check_value: Annotated[str, typer.Option("--check-value", help="Of the whole key.")],
    components: Annotated[int, typer.Option("--components", help="How many, 2 to 9.")] = 2,
    ken: Annotated[int, typer.Option("--ken", help="Key expiry number, 0 to 255.")] = 255,
    kt: Annotated[int, typer.Option("--kt", help="1 default, 2 unique, 3 common.")] = 2,
    base_date: Annotated[int, typer.Option("--base-date", help="1993, 2014 or 2035.")] = 2014,
    dkga: Annotated[int, typer.Option("--dkga", help="Key derivation: 2 or 4.")] = 4,
    demo: Annotated[bool, typer.Option("--demo", help="Mark as a demonstration key.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin a ceremony: say which key it will be; components follow within a day."""
    attributes = KeyAttributes(
        sgc=SGC(sgc),
        kt=KeyType(kt),
        krn=krn,
        ken=ken,
        base_date=BaseDate(base_date),
        dkga=KeyDerivation(dkga),
    )
    plan = CeremonyPlan(
        attributes=attributes,
        component_count=components,
        check_value=check_value,
        is_demo=demo,
    )
    with opened_container(data) as container:
        begun = begin(acting_operator(), plan, _desk(container))
    print_document(_row(begun), as_json=as_json)


@app.command("enter")
@needs(Permission.KEYS_WRITE)
def enter_component(
    ceremony_id: IdArgument,
    number: Annotated[int, typer.Option("--component", help="Which component, from 1.")],
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            help="Holds the component and its check value on one line; without it, both are "
            "asked for, the component without echo.",
        ),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enter your component; each person enters one."""
    component = _read_component(file)
    with opened_container(data) as container:
        held = enter(
            acting_operator(), CeremonyId(ceremony_id), number, component, _desk(container)
        )
    print_document(_row(held), as_json=as_json)
    if held.is_complete:
        print_note("Complete; ask for the approval with `finish`.", as_json=as_json)


@app.command("list")
@needs(Permission.KEYS_READ)
def list_all(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List ceremonies, the newest first."""
    with opened_container(data) as container:
        rows = [_row(one) for one in list_ceremonies(container.database)]
    print_document(rows, as_json=as_json, title="ceremonies")


@app.command("show")
@needs(Permission.KEYS_READ)
def show(ceremony_id: IdArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show who entered what, with check values; nothing of the key."""
    with opened_container(data) as container:
        held = load_ceremony(container.database, CeremonyId(ceremony_id))
    print_document(_row(held), as_json=as_json)


@app.command("finish")
@needs(Permission.KEYS_WRITE)
def finish_ceremony(
    ceremony_id: IdArgument,
    approval: Annotated[
        uuid.UUID | None, typer.Option("--approval", help="Id of the approval that allows it.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="For who approves.")] = "key ceremony",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the key in under an approval; without --approval, ask for one."""
    by = acting_operator()
    with opened_container(data) as container:
        desk = _desk(container)
        if approval is None:
            asked = propose_finish(by, CeremonyId(ceremony_id), desk, reason=reason)
            print_document({"approval": str(asked.id)}, as_json=as_json)
            return
        _, shown = finish(by, CeremonyId(ceremony_id), ApprovalId(approval), desk)
    row: Row = {"imported": str(shown.register), "check_value": shown.check_value}
    print_document(row, as_json=as_json)


@app.command("abort")
@needs(Permission.KEYS_WRITE)
def abort_ceremony(
    ceremony_id: IdArgument, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """End a ceremony without its key; the components are wiped."""
    with opened_container(data) as container:
        ended = abort(acting_operator(), CeremonyId(ceremony_id), _desk(container))
    print_document(_row(ended), as_json=as_json)


@app.command("record")
@needs(Permission.KEYS_READ)
def record(
    ceremony_id: IdArgument,
    pdf: Annotated[Path, typer.Option(_PDF_OPTION, help="File to write.")],
    language: Annotated[
        RecordLanguage, typer.Option("--language", help="Of the record.")
    ] = RecordLanguage.EN,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the record of a ceremony as a PDF, to be signed; it never holds key material.

    Raises:
        ArgumentInvalidError: The file cannot be written.
    """
    with opened_container(data) as container:
        held = load_ceremony(container.database, CeremonyId(ceremony_id))
        approval = _load_approval(container, held)
        settings = container.settings
        content = render_record(
            held,
            approval,
            language=language,
            utility=settings.utility_name,
            timezone=settings.timezone,
            printed_at=container.clock.now(),
        )
    try:
        pdf.write_bytes(content)
    except OSError as error:
        wanted = f"it cannot be written: {error.strerror or type(error).__name__}"
        raise ArgumentInvalidError(_PDF_OPTION, str(pdf), wanted=wanted) from error
    print_document({"record": str(pdf)}, as_json=as_json)


def _load_approval(container: Container, held: Ceremony) -> RecordedApproval | None:
    if held.approval_id is None:
        return None
    with container.database.read() as connection:
        approval = find_approval(connection, acting_operator(), held.approval_id)
        assert approval.decided_by is not None, "what was used up was decided"
        assert approval.decided_at is not None, "what was used up was decided"
        return RecordedApproval(
            id=approval.id,
            digest=approval.digest,
            requested_by=load_operator(connection, approval.requested_by).name,
            requested_at=approval.requested_at,
            decided_by=load_operator(connection, approval.decided_by).name,
            decided_at=approval.decided_at,
        )


def _desk(container: Container) -> CeremonyDesk:
    return CeremonyDesk(container.database, container.store, container.clock)


def _row(held: Ceremony) -> dict[str, object]:
    attributes = held.attributes
    return {
        "id": str(held.id),
        "key": str(held.register),
        "ken": attributes.ken,
        "base_date": int(attributes.base_date),
        "dkga": int(attributes.dkga),
        "check_value": held.check_value,
        "demo": held.is_demo,
        "state": held.state.value,
        "begun_by": held.begun_by,
        "expires": held.expires_at.isoformat(timespec="seconds"),
        "components": held.component_count,
        "entered": ", ".join(
            f"{one.number}: {one.custodian} ({one.check_value})" for one in held.components
        ),
        "approval": "" if held.approval_id is None else str(held.approval_id),
    }


def _read_component(path: Path | None) -> KeyComponent:
    """Return the component from a file, or as typed without echo.

    Raises:
        ComponentsMissingError: There is no file and no terminal, or the file cannot be read.
        InvalidComponentError: The component or its check value is not hexadecimal.
    """
    # No digits stay in a name of ours, and an error takes none along.
    with ShieldedFrames():
        if path is not None:
            return _read_file(path)
        if not sys.stdin.isatty():
            raise ComponentsMissingError
        component = KeyComponent.parse(getpass.getpass("component: "))
        shown = typer.prompt("its check value", err=True)
        return KeyComponent(component.secret, check_value=parse_check_value(shown.strip()))


def _read_file(path: Path) -> KeyComponent:
    """Return the component of a file: its digits, then its check value as the last word.

    Raises:
        ComponentsMissingError: The file cannot be read, or holds no component.
        InvalidComponentError: The component or its check value is not hexadecimal.
    """
    try:
        # What is no text becomes a character that is no hexadecimal digit; the error of a strict
        # decoder would carry the file.
        with path.open(encoding="ascii", errors="replace") as file:
            return _parse_words(*file.read(_CHARACTERS_MAX).split(maxsplit=1))
    except (OSError, TypeError) as error:
        raise ComponentsMissingError from error


def _parse_words(digits: str, check_value: str | None = None) -> KeyComponent:
    return KeyComponent.parse(digits, check_value=check_value and check_value.strip())

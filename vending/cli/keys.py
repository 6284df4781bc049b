"""keys: make the key store, bring keys in, list them without their secrets."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Annotated, Final

import typer

from vending.bootstrap import Container, forecast_limits, open_database, unlock_of
from vending.cli import ceremonies
from vending.cli.access import acting, acting_operator, host, needs
from vending.cli.arguments import ArgumentInvalidError
from vending.cli.ceremonies import ComponentsMissingError
from vending.cli.context import DataOption, opened_container, opened_database, read_settings
from vending.cli.output import FindingsError, JsonOption, Row, print_document, print_note
from vending.custody.service.forecast import forecast_keys
from vending.custody.service.key_changes import (
    KeyDesk,
    change_unlock,
    finish_rotation,
    prepare_rotation,
    propose_retirement,
    propose_rotation,
    propose_unlock,
    retire,
)
from vending.custody.service.resealing import RootUse, list_root_uses, reseal_secrets
from vending.errors import ErrorKind, VendingError
from vending.keystore.components import KeyComponent, KeyImport
from vending.keystore.following import FOLLOW_INTERVAL_S
from vending.keystore.model import KeyDescription, KeyReference
from vending.keystore.redaction import ShieldedFrames
from vending.keystore.service import (
    adopt_generation,
    check,
    create_store,
    import_components,
    list_keys,
)
from vending.keystore.unlocking import KeyFile, Passphrase, Unlock
from vending.operators.permissions import Permission
from vending.sts import SGC, BaseDate, KeyAttributes, KeyDerivation, KeyType, compute_expiry
from vending.values.clock import SystemClock
from vending.values.identifiers import ApprovalId

app: Final = typer.Typer(
    help="Vending keys: ceremonies, list, forecast, rotate, check.", no_args_is_help=True
)
app.add_typer(ceremonies.app, name="ceremony")

SgcOption = Annotated[str, typer.Option("--sgc", help="Supply group code, 6 digits.")]
KrnOption = Annotated[int, typer.Option("--krn", help="Key revision number, 1 to 9.")]
ApprovalOption = Annotated[
    uuid.UUID | None, typer.Option("--approval", help="Id of the approval that allows it.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="For who approves.")]
_UNLOCK_OPTION: Final = "--passphrase-file"
KtOption = Annotated[int, typer.Option("--kt", help="Key type: 1 default, 2 unique, 3 common.")]


class ImportRefusedError(VendingError):
    """Real keys come in by a ceremony; one person imports demonstration keys alone."""

    kind = ErrorKind.FORBIDDEN
    code = "key_import_alone"
    remedy = "Begin a ceremony with `vending keys ceremony begin`."

    def __init__(self) -> None:
        super().__init__("one person imports no key but a demonstration key, for a demonstration")


class KeyStoreDamagedError(FindingsError):
    """`keys check` found damage."""

    kind = ErrorKind.UNAVAILABLE
    code = "key_store_damaged"
    remedy = "Stop vending and restore the newest backup of database and data folder together."

    def __init__(self, rows: Sequence[Row]) -> None:
        message = f"{len(rows)} part(s) of the key store fail their check"
        super().__init__(message, report={"damage": rows}, count=len(rows))


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="keys")


@app.command("create")
@host("the store must be there before anybody can sign in")
def create(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Make an empty key store; `vending init` does it for a new installation."""
    with opened_database(data) as (settings, database):
        create_store(
            database, unlock_of(settings), data_folder=settings.data_dir, clock=SystemClock()
        )
    print_document({"key_store": "created"}, as_json=as_json)


@app.command("import")
@needs(Permission.KEYS_WRITE)
def import_key(
    sgc: SgcOption,
    krn: KrnOption,
    ken: Annotated[int, typer.Option("--ken", help="Key expiry number, 0 to 255.")] = 255,
    kt: KtOption = 2,
    base_date: Annotated[int, typer.Option("--base-date", help="1993, 2014 or 2035.")] = 2014,
    dkga: Annotated[int, typer.Option("--dkga", help="Key derivation: 2 or 4.")] = 4,
    components: Annotated[
        Path | None,
        typer.Option(
            "--components",
            help="File with one component a line, optionally its check value after it.",
        ),
    ] = None,
    check_value: Annotated[
        str | None, typer.Option("--check-value", help="Check value of the whole key.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Mark as a demonstration key.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in a demonstration key; real keys come in by `vending keys ceremony`.

    Raises:
        ImportRefusedError: It is not marked as one, or this is no demonstration.
    """
    if not (demo and read_settings(data).demo):
        raise ImportRefusedError
    attributes = KeyAttributes(
        sgc=SGC(sgc),
        kt=KeyType(kt),
        krn=krn,
        ken=ken,
        base_date=BaseDate(base_date),
        dkga=KeyDerivation(dkga),
    )
    brought = KeyImport(
        attributes=attributes,
        components=_read_components(components),
        check_value=check_value,
        is_demo=demo,
    )
    with opened_container(data) as container:
        _, shown = import_components(
            container.database, container.store, brought, by=acting(), clock=container.clock
        )
    print_document(_row(shown), as_json=as_json)
    print_note("Compare the check value with the ceremony's form.", as_json=as_json)


@app.command("list")
@needs(Permission.KEYS_READ)
def list_all(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the keys: attributes, check value, expiry; never the key."""
    with opened_container(data) as container:
        rows = [_row(shown) for shown in list_keys(container.store)]
    print_document(rows, as_json=as_json, title="keys")


@app.command("retire")
@needs(Permission.KEYS_WRITE)
def retire_one(
    sgc: SgcOption,
    krn: KrnOption,
    kt: KtOption = 2,
    approval: ApprovalOption = None,
    reason: ReasonOption = "retirement",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a key issue nothing from now on; without --approval, ask for one."""
    register = KeyReference(SGC(sgc), krn, KeyType(kt))
    by = acting_operator()
    with opened_container(data) as container:
        desk = _desk(container)
        if approval is None:
            asked = propose_retirement(by, register, desk, reason=reason)
            print_document({"approval": str(asked.id)}, as_json=as_json)
            return
        retire(by, register, ApprovalId(approval), desk)
    print_document({"retired": str(register)}, as_json=as_json)


@app.command("forecast")
@needs(Permission.KEYS_READ)
def forecast(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Tell what expires when, how many meters hold it, and what to do, the most pressing first."""
    with opened_container(data) as container, container.database.read() as connection:
        told = forecast_keys(
            connection,
            list_keys(container.store),
            forecast_limits(container.settings),
            now=container.clock.now(),
        )
    rows = [
        {
            "key": str(one.register),
            "expires": "" if one.expires_at is None else one.expires_at.date().isoformat(),
            "days_left": one.days_left,
            "meters": one.meter_count,
            "severity": one.severity.value,
            "do": one.suggestion.value,
            "target": "" if one.target is None else str(one.target),
        }
        for one in told
    ]
    print_document(rows, as_json=as_json, title="forecast")


@app.command("change-unlock")
@needs(Permission.KEYS_WRITE)
def change_what_opens(
    passphrase_file: Annotated[
        Path | None, typer.Option(_UNLOCK_OPTION, help="File with the new passphrase.")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file", help="New key file; made, when there is none, as it is asked for."
        ),
    ] = None,
    approval: ApprovalOption = None,
    reason: ReasonOption = "another passphrase or key file",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open the store with another passphrase or key file; without --approval, ask for it.

    The approval holds for the passphrase or key file it was asked for with, and for no other.

    Raises:
        ArgumentInvalidError: Not exactly one of the two is given, or it cannot be read.
    """
    by = acting_operator()
    with opened_container(data) as container:
        desk = _desk(container)
        if approval is None:
            unlock = _new_unlock(passphrase_file, key_file, may_create=True)
            asked = propose_unlock(by, unlock, desk, reason=reason)
            print_document({"approval": str(asked.id)}, as_json=as_json)
            return
        unlock = _new_unlock(passphrase_file, key_file, may_create=False)
        change_unlock(by, unlock, ApprovalId(approval), desk)
    print_document({"key_store": "opens with what was named"}, as_json=as_json)
    print_note(
        "Put it into the settings of every process; those that run go on until they restart.",
        as_json=as_json,
    )


@app.command("rotate")
@needs(Permission.KEYS_WRITE)
def rotate(
    approval: ApprovalOption = None,
    reason: ReasonOption = "rotation",
    wait_s: Annotated[
        int,
        typer.Option(
            "--wait-s", min=0, max=3600, help="Time for every process to learn the new root key."
        ),
    ] = FOLLOW_INTERVAL_S * 5,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Seal the store under a fresh root key while selling goes on; without --approval, ask."""
    by = acting_operator()
    with opened_container(data) as container:
        desk = _desk(container)
        if approval is None:
            asked = propose_rotation(by, desk, reason=reason)
            print_document({"approval": str(asked.id)}, as_json=as_json)
            return
        prepared = prepare_rotation(by, ApprovalId(approval), desk)
        print_note(f"waits {wait_s} s for every process to learn it", as_json=as_json)
        Event().wait(wait_s)
        rotated = finish_rotation(by, KeyDesk(desk.database, prepared, desk.clock))
        reseal_secrets(desk.database, rotated, by=by.actor, clock=desk.clock)
    print_document({"root": rotated.active_root}, as_json=as_json)


@app.command("roots")
@needs(Permission.KEYS_READ)
def show_roots(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Tell what still needs which root key of the store; it reads all that is sealed."""
    with opened_container(data) as container, container.database.read() as connection:
        active, count = container.store.active_root, container.store.root_count
        uses = list_root_uses(connection, container.store)
    rows: list[Row] = [
        {"root": root, "seals": root == active, "needed_by": use.what, "rows": use.count}
        for root in range(1, count + 1)
        for use in [each for each in uses if each.root == root]
        or [RootUse(root, "nothing here; older backups", 0)]
    ]
    print_document(rows, as_json=as_json, title="root keys")


@app.command("check")
@host("reads seals alone; a timer of the machine may run it")
def check_store(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Verify every seal of the store; exit 1 when any part fails.

    Raises:
        KeyStoreDamagedError: Some part fails.
    """
    with opened_database(data) as (settings, database):
        findings = check(database, unlock_of(settings), data_folder=settings.data_dir)
    if not findings:
        print_document({"key_store": "whole"}, as_json=as_json)
        return
    rows = [{"damage": str(one.damage), "key": one.register or "store"} for one in findings]
    if not as_json:
        print_document(rows, as_json=False, title="damage")
    raise KeyStoreDamagedError(rows)


@app.command("adopt")
@host("after a restore nobody can sign in before the store is accepted")
def adopt(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Accept the store as it is, on a new machine or after restoring a backup on purpose."""
    settings = read_settings(data)
    database = open_database(settings)
    try:
        adopt_generation(database, unlock_of(settings), data_folder=settings.data_dir)
    finally:
        database.close()
    print_document({"key_store": "adopted"}, as_json=as_json)


def _row(shown: KeyDescription) -> dict[str, object]:
    attributes = shown.attributes
    return {
        "sgc": attributes.sgc.digits,
        "krn": attributes.krn,
        "kt": attributes.kt.name,
        "ken": attributes.ken,
        "base_date": int(attributes.base_date),
        "dkga": int(attributes.dkga),
        "check_value": shown.check_value,
        "expires": compute_expiry(attributes.base_date, attributes.ken).date().isoformat(),
        "demo": shown.is_demo,
        "retired": shown.retired_at is not None,
    }


def _desk(container: Container) -> KeyDesk:
    return KeyDesk(container.database, container.store, container.clock)


def _new_unlock(passphrase_file: Path | None, key_file: Path | None, *, may_create: bool) -> Unlock:
    if (passphrase_file is None) == (key_file is None):
        wanted = "name a passphrase file or a key file, one of the two"
        raise ArgumentInvalidError(_UNLOCK_OPTION, str(passphrase_file or ""), wanted=wanted)
    if key_file is not None:
        is_there = key_file.exists() or not may_create
        return KeyFile(key_file) if is_there else KeyFile.create(key_file)
    assert passphrase_file is not None, "one of the two is given"
    try:
        return Passphrase(passphrase_file.read_text("utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        wanted = "it cannot be read as text"
        raise ArgumentInvalidError(_UNLOCK_OPTION, str(passphrase_file), wanted=wanted) from error


def _read_components(path: Path | None) -> list[KeyComponent]:
    """Return the components from a file.

    Raises:
        ComponentsMissingError: There is no file, or it cannot be read.
        InvalidComponentError: A component or its check value is not hexadecimal.
    """
    # No digits stay in a name of ours, and an error takes none along.
    with ShieldedFrames():
        if path is None:
            raise ComponentsMissingError
        return _read_file(path)


def _read_file(path: Path) -> list[KeyComponent]:
    try:
        # What is no text becomes a character that is no hexadecimal digit; the error of a strict
        # decoder would carry the file.
        with path.open(encoding="ascii", errors="replace") as file:
            return [_parse_words(*line.split(maxsplit=1)) for line in file if line.strip()]
    except OSError as error:
        raise ComponentsMissingError from error


def _parse_words(digits: str, check_value: str | None = None) -> KeyComponent:
    return KeyComponent.parse(digits, check_value=check_value and check_value.strip())

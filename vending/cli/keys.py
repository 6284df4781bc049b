"""keys: make the key store, bring keys in, list them without their secrets."""

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from vending.bootstrap import open_database, unlock_of
from vending.cli.access import acting, host, needs
from vending.cli.context import DataOption, opened_container, opened_database, read_settings
from vending.cli.output import FindingsError, JsonOption, Row, print_document, print_note
from vending.errors import ErrorKind, VendingError
from vending.keystore.components import KeyComponent, KeyImport, parse_check_value
from vending.keystore.model import KeyDescription, KeyReference
from vending.keystore.redaction import ShieldedFrames
from vending.keystore.service import (
    adopt_generation,
    check,
    create_store,
    import_components,
    list_keys,
    retire_key,
)
from vending.operators.permissions import Permission
from vending.sts import SGC, BaseDate, KeyAttributes, KeyDerivation, KeyType, compute_expiry
from vending.values.clock import SystemClock

app: Final = typer.Typer(help="Vending keys: import, list, check.", no_args_is_help=True)

SgcOption = Annotated[str, typer.Option("--sgc", help="Supply group code, 6 digits.")]
KrnOption = Annotated[int, typer.Option("--krn", help="Key revision number, 1 to 9.")]
KtOption = Annotated[int, typer.Option("--kt", help="Key type: 1 default, 2 unique, 3 common.")]


class ComponentsMissingError(VendingError):
    """Components can be typed at a terminal or come from a file, and came from neither."""

    kind = ErrorKind.INVALID
    code = "key_components_missing"
    remedy = (
        "Run the command at a terminal and type the components, or pass --components FILE with "
        "one component a line, each optionally followed by its check value."
    )

    def __init__(self) -> None:
        super().__init__("no key components were given")


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
            help="File with one component a line, optionally its check value after it; "
            "without it, each is asked for without echo.",
        ),
    ] = None,
    check_value: Annotated[
        str | None, typer.Option("--check-value", help="Check value of the whole key.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Mark as a demonstration key.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in a vending key in two or more components, each held by another person."""
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
def retire(
    sgc: SgcOption,
    krn: KrnOption,
    kt: KtOption = 2,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a key issue nothing from now on."""
    register = KeyReference(SGC(sgc), krn, KeyType(kt))
    with opened_container(data) as container:
        retire_key(
            container.database,
            container.store,
            register,
            by=acting(),
            clock=container.clock,
        )
    print_document({"retired": str(register)}, as_json=as_json)


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


def _read_components(path: Path | None) -> list[KeyComponent]:
    """Return the components from a file, or typed without echo until an empty line.

    Raises:
        ComponentsMissingError: There is no file and no terminal, or the file cannot be read.
        InvalidComponentError: A component or its check value is not hexadecimal.
    """
    # No digits stay in a name of ours, and an error takes none along.
    with ShieldedFrames():
        if path is not None:
            return _read_file(path)
        if not sys.stdin.isatty():
            raise ComponentsMissingError
        return _read_typed()


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


def _read_typed() -> list[KeyComponent]:
    typed: list[KeyComponent] = []
    while True:
        number = len(typed) + 1
        component = KeyComponent.parse(getpass.getpass(f"component {number} (empty: done): "))
        if len(component.secret) == 0:
            return typed
        shown = typer.prompt(
            "its check value (empty: none)", default="", show_default=False, err=True
        )
        check_value = parse_check_value(shown.strip() or None)
        typed.append(KeyComponent(component.secret, check_value=check_value))

"""sign-in, sign-out, whoami, confirm, activate: how a person becomes known to the command line."""

import getpass
import io
import sys
from pathlib import Path
from typing import Annotated, Final

import segno
import typer

from vending.bootstrap import Container
from vending.cli.access import authenticate_session_file, host
from vending.cli.arguments import ArgumentInvalidError
from vending.cli.context import DataOption, opened_container, opened_database
from vending.cli.output import JsonOption, print_document, print_line, print_note
from vending.cli.session_file import forget_session, read_session, write_session
from vending.errors import ErrorKind, VendingError
from vending.operators.model import SignedIn
from vending.operators.service.activation import Activated, begin_activation, finish_activation
from vending.operators.service.desk import Caller
from vending.operators.service.sessions import authenticate_session, sign_out
from vending.operators.service.sign_in import SignInDone, begin_sign_in, confirm, finish_sign_in
from vending.settings import Settings
from vending.values.clock import SystemClock

SOURCE: Final = "command line"
SECRET_LENGTH_MAX: Final = 1024
"""Characters of a file with a password or a code."""
_OWN: Final = "whoever it is proves it in the command itself"
CodeOption = Annotated[
    str | None, typer.Option("--code", help="One-time code; asked for without it.")
]
PasswordFileOption = Annotated[
    Path | None, typer.Option("--password-file", help="File with the password; else it is asked.")
]


class SecretMissingError(VendingError):
    """A password or code is typed at a terminal or comes from a file, and came from neither."""

    kind = ErrorKind.INVALID
    code = "sign_in_secret_missing"
    remedy = "Run the command at a terminal, or pass the option named."

    def __init__(self, option: str) -> None:
        super().__init__(f"{option} was not given, and there is no terminal", option=option)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("sign-in")(sign_in)
    app.command("sign-out")(leave)
    app.command("whoami")(whoami)
    app.command("confirm")(confirm_again)
    app.command("activate")(activate)


@host(_OWN)
def sign_in(
    operator: Annotated[str, typer.Option("--operator", help="Login name.")],
    password_file: PasswordFileOption = None,
    code: CodeOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign in with password and one-time code; the session is kept in a file of yours."""
    with opened_container(data) as container:
        caller = _caller(container.settings)
        password = _ask_secret(password_file, "--password-file", "password: ")
        ticket = begin_sign_in(container.sign_in_desk, operator, password, caller)
        typed = _ask_code(code, "code of the app, or a recovery code: ")
        done = finish_sign_in(container.sign_in_desk, ticket, typed, caller)
        _keep(container.settings, done)
        row = _row(_signed_in(container, done))
    print_document(row, as_json=as_json)


@host(_OWN)
def leave(data: DataOption = None, as_json: JsonOption = False) -> None:
    """End the session of this command line."""
    with opened_database(data) as (settings, database):
        try:
            by = authenticate_session_file(settings, database)
            sign_out(database, by, clock=SystemClock())
        finally:
            forget_session(settings.effective_session_file)
    print_document({"signed_out": by.name}, as_json=as_json)


@host(_OWN)
def whoami(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show who is signed in here, and what they may do."""
    with opened_database(data) as (settings, database):
        by = authenticate_session_file(settings, database)
    permissions = sorted(permission.value for permission in by.permissions)
    print_document({**_row(by), "permissions": ", ".join(permissions)}, as_json=as_json)


@host(_OWN)
def confirm_again(
    code: CodeOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Give a fresh one-time code, as acts that weigh more ask for."""
    with opened_container(data) as container:
        by = authenticate_session_file(container.settings, container.database)
        confirm(container.sign_in_desk, by, _ask_code(code, "code of the app: "))
        row = _row(authenticate_session_file(container.settings, container.database))
    print_document(row, as_json=as_json)


@host(_OWN)
def activate(
    activation_code_file: Annotated[
        Path | None,
        typer.Option("--activation-code-file", help="File with the code; else it is asked."),
    ] = None,
    password_file: PasswordFileOption = None,
    ticket: Annotated[
        str | None,
        typer.Option("--ticket", help="Go on where a program began: what the first step printed."),
    ] = None,
    code: CodeOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Activate an account: choose a password, set up an authenticator app, note recovery codes.

    A program activates in two steps: the first, with the two files, prints the secret of the app
    and a ticket; the second takes `--ticket` and `--code`.
    """
    with opened_container(data) as container:
        caller = _caller(container.settings)
        if ticket is None:
            activation_code = _ask_secret(
                activation_code_file, "--activation-code-file", "activation code: "
            )
            password = _choose_password(password_file)
            begun = begin_activation(container.sign_in_desk, activation_code, password, caller)
            document = {
                "operator": begun.operator.name,
                "secret": begun.enrolment.secret,
                "uri": begun.enrolment.uri,
            }
            if as_json or not sys.stdin.isatty():
                print_document({**document, "ticket": begun.ticket}, as_json=as_json)
                return
            print_document(document, as_json=False)
            print_line(_draw_qr(begun.enrolment.uri), as_json=False)
            ticket = begun.ticket
        typed = _ask_code(code, "first code of the app: ")
        activated = finish_activation(container.sign_in_desk, ticket, typed, caller)
        _keep(container.settings, activated.signed_in)
        row = _row(_signed_in(container, activated.signed_in))
    _print_activated(row, activated, as_json=as_json)


def _print_activated(row: dict[str, object], activated: Activated, *, as_json: bool) -> None:
    codes = activated.recovery_codes
    if as_json:
        print_document({**row, "recovery_codes": codes}, as_json=True)
        return
    print_document(row, as_json=False)
    print_note("recovery codes, each good once, shown this once:", as_json=False)
    for one in codes:
        print_line(one, as_json=False)


def _draw_qr(uri: str) -> str:
    drawn = io.StringIO()
    segno.make(uri, micro=False).terminal(out=drawn, compact=True)
    return drawn.getvalue()


def _caller(settings: Settings) -> Caller:
    """Return who asks: this account of the machine, known by a token of its own."""
    return Caller(SOURCE, read_session(settings.effective_device_file))


def _keep(settings: Settings, done: SignInDone) -> None:
    write_session(settings.effective_session_file, done.opened.token)
    if done.device_token is not None:
        write_session(settings.effective_device_file, done.device_token)


def _signed_in(container: Container, done: SignInDone) -> SignedIn:
    with container.database.read() as connection:
        return authenticate_session(connection, done.opened.token, now=container.clock.now())


def _row(by: SignedIn) -> dict[str, object]:
    return {
        "operator": by.name,
        "person": by.person,
        "roles": ", ".join(sorted(role.value for role in by.roles)),
        "session": str(by.session_id),
        "fresh_until": by.fresh_until.isoformat(timespec="seconds"),
    }


def _choose_password(path: Path | None) -> str:
    """Return a new password, typed twice alike.

    Raises:
        ArgumentInvalidError: The two differ.
    """
    password = _ask_secret(path, "--password-file", "new password: ")
    if path is None and getpass.getpass("the same again: ") != password:
        option = "password"
        raise ArgumentInvalidError(option, "", wanted="type the same twice")
    return password


def _ask_code(given: str | None, question: str) -> str:
    return given if given is not None else _ask_secret(None, "--code", question)


def _ask_secret(path: Path | None, option: str, question: str) -> str:
    """Return a secret from its file, or typed without echo.

    Raises:
        SecretMissingError: There is neither, or the file cannot be read.
    """
    if path is not None:
        return _read_secret(path, option)
    if not sys.stdin.isatty():
        raise SecretMissingError(option)
    return getpass.getpass(question)


def _read_secret(path: Path, option: str) -> str:
    """Return the text of the file without the end of its line.

    Raises:
        SecretMissingError: It cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(SECRET_LENGTH_MAX).rstrip("\r\n")
    except (OSError, ValueError):
        raise SecretMissingError(option) from None  # the decoder's error would carry the secret

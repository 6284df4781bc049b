"""init, migrate: what makes an installation and brings it up to date."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from alembic.util import CommandError

from vending.backups.service.custodians import require_witnesses
from vending.bootstrap import open_database
from vending.cli.access import acting, host
from vending.cli.arguments import parse_currency
from vending.cli.backups import PassphraseOption, load_custodian_keys
from vending.cli.context import DataOption, read_settings
from vending.cli.output import JsonOption, print_document, print_note
from vending.cli.people import invitation_row
from vending.errors import ErrorKind, VendingError
from vending.keystore.choosing import token_of
from vending.keystore.errors import KeyStoreExistsError
from vending.keystore.service import create_store
from vending.keystore.unlocking import KeyFile, Passphrase, TokenUnlock, Unlock
from vending.operators.errors import CustodiansWantedError
from vending.operators.model import Invitation, NewOperator
from vending.operators.service.accounts import (
    FIRST_ADMINISTRATORS,
    create_first_administrators,
    list_operators,
    were_two_administrators,
)
from vending.persistence import migrate
from vending.persistence.engine import Database, create_database
from vending.settings import Settings
from vending.values.clock import Clock, SystemClock

AUDIT_LOG_REVISION: Final = "0006"
"""Brought the audit log, which says who was administrator."""


class DataFolderError(VendingError):
    """The data folder cannot be made."""

    kind = ErrorKind.UNAVAILABLE
    code = "data_folder_unusable"
    remedy = "Choose a folder that you may write with --data or VENDING_DATA_DIR."

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(f"{folder}: {reason}", folder=folder)


class AdministratorsMissingError(VendingError):
    """An installation begins with two administrators: one alone could approve nothing."""

    kind = ErrorKind.INVALID
    code = "administrators_missing"
    remedy = "Name two people: `vending init --administrator NAME --administrator NAME`."

    def __init__(self) -> None:
        super().__init__("two administrators are wanted")


class RevisionUnknownError(VendingError):
    """This release has no such revision, or it does not lie in that direction."""

    kind = ErrorKind.INVALID
    code = "revision_unknown"
    remedy = "Write head, base, or a revision that lies above or, with --down, below the present."

    def __init__(self, revision: str) -> None:
        super().__init__(f"there is no way to revision {revision}", revision=revision)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("init")(init)
    app.command("migrate")(migrate_tables)


@host("there is nobody yet who could sign in")
def init(
    administrator: Annotated[
        list[str] | None,
        typer.Option(
            "--administrator",
            help="Login name of one of the first two administrators, or NAME=PERSON; twice.",
        ),
    ] = None,
    custodian: Annotated[
        list[Path] | None,
        typer.Option(
            "--custodian",
            help="Key file of a custodian of backups, twice, where two were administrators before.",
        ),
    ] = None,
    passphrase_file: PassphraseOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new installation: data folder, tables, key store, and two administrators.

    Each administrator gets an activation code, printed once, for `vending activate`; as long as
    two are not active, init with the names of those who are not makes new codes. Once two were
    active, that takes the keys of two custodians of backups.

    The key store opens with VENDING_KEY_STORE_PASSPHRASE_FILE or VENDING_KEY_STORE_KEY_FILE; with
    neither, the PKCS#11 token where one is chosen does, else a key file made in the data folder.

    Raises:
        AdministratorsMissingError: The installation has nobody yet, and not two were named.
    """
    settings = read_settings(data)
    parse_currency(settings.currency, "VENDING_CURRENCY")
    people = _parse_people(administrator or ())
    own_database = settings.own_database_file
    is_new = own_database is not None and not own_database.is_file()
    if is_new and len(people) != FIRST_ADMINISTRATORS:
        raise AdministratorsMissingError
    _make_folder(settings.data_dir)
    clock = SystemClock()
    database = create_database(settings.effective_database_url, create_folder=True)
    try:
        migrate.upgrade(database)
        _require_people(database, people)
        is_witnessed = _see_custodians(database, custodian or [], passphrase_file or [])
        unlock, made_file = _unlock_for_new_store(settings)
        try:
            create_store(database, unlock, data_folder=settings.data_dir, clock=clock)
        except KeyStoreExistsError:
            print_note("The key store was made before and stays as it is.", as_json=as_json)
        invited = _invite(database, people, clock, is_witnessed=is_witnessed)
    finally:
        database.close()
    made: dict[str, object] = {
        "data_folder": str(settings.data_dir.absolute()),
        "database": database.dialect.value,
        "schema": migrate.head_revision(),
        "key_file": str(made_file.absolute()) if made_file else None,
    }
    _print_made(made, invited, as_json=as_json)
    if made_file is not None:
        print_note(
            "Move the key file away from the database, and keep a copy elsewhere: without it "
            "no key and no token can be read again.",
            as_json=as_json,
        )


def _invite(
    database: Database, people: Sequence[NewOperator], clock: Clock, *, is_witnessed: bool
) -> list[Invitation]:
    if not people:
        return []
    return create_first_administrators(
        database, people, by=acting(), clock=clock, witnessed=is_witnessed
    )


def _see_custodians(
    database: Database, paths: Sequence[Path], passphrase_files: Sequence[Path]
) -> bool:
    """Return whether two custodians have shown their keys; False: none was named."""
    if not paths:
        return False
    keys = load_custodian_keys(paths, passphrase_files)
    with database.read() as connection:
        require_witnesses(connection, keys)
    return True


def _print_made(
    made: Mapping[str, object], invited: Sequence[Invitation], *, as_json: bool
) -> None:
    rows = [invitation_row(one) for one in invited]
    if as_json:
        print_document({**made, "administrators": rows}, as_json=True)
        return
    print_document(made, as_json=False)
    if rows:
        print_document(rows, as_json=False, title="administrators")
        note = "Hand each code to its holder alone, who runs `vending activate`."
        print_note(note, as_json=False)


def _parse_people(given: Sequence[str]) -> list[NewOperator]:
    """Return who is named; without a person, the login name stands for it.

    Raises:
        AdministratorsMissingError: There are more than two.
    """
    if len(given) > FIRST_ADMINISTRATORS:
        raise AdministratorsMissingError
    parts = [one.partition("=") for one in given]
    return [NewOperator(name, person or name) for name, _, person in parts]


def _require_people(database: Database, people: Sequence[NewOperator]) -> None:
    """Go on only if somebody is there, or two are named.

    Raises:
        AdministratorsMissingError: Nobody is there, and not two are named.
    """
    with database.read() as connection:
        is_empty = not list_operators(connection, limit=1)
        if is_empty and len(people) != FIRST_ADMINISTRATORS:
            raise AdministratorsMissingError


@host("the tables must fit before anybody can sign in")
def migrate_tables(
    revision: Annotated[str, typer.Argument(help="head, base, or a revision.")] = "head",
    down: Annotated[
        bool, typer.Option("--down", help="Go back to the revision; rows of later tables are lost.")
    ] = False,
    custodian: Annotated[
        list[Path] | None,
        typer.Option(
            "--custodian",
            help="To go back where two administrators were: key file of a custodian, twice.",
        ),
    ] = None,
    passphrase_file: PassphraseOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the tables of the database to the revision of this release.

    Going back takes rows away, such as operators, approvals and policies: once two administrators
    were active, it takes the keys of two custodians of backups.

    Raises:
        CustodiansWantedError: Two were at work here, and no custodians are there to see it.
        RevisionUnknownError: This release has no such revision.
    """
    database = open_database(read_settings(data))
    try:
        try:
            if down:
                is_witnessed = _see_custodians(database, custodian or [], passphrase_file or [])
                if not is_witnessed and _were_two_at_work(database):
                    raise CustodiansWantedError
                migrate.downgrade(database, revision)
            else:
                migrate.upgrade(database, revision)
        except CommandError as error:
            raise RevisionUnknownError(revision) from error
        print_document({"schema": migrate.current_revision(database)}, as_json=as_json)
    finally:
        database.close()


def _were_two_at_work(database: Database) -> bool:
    """Return whether two administrators were active; before the audit log was, nobody was."""
    if (migrate.current_revision(database) or "") < AUDIT_LOG_REVISION:
        return False
    with database.read() as connection:
        return were_two_administrators(connection)


def _make_folder(folder: Path) -> None:
    """Make the data folder, for its owner alone.

    Raises:
        DataFolderError: It cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataFolderError(str(folder), error.strerror or "cannot be made") from error


def _unlock_for_new_store(settings: Settings) -> tuple[Unlock, Path | None]:
    """Return what will open the store, and the key file if one was made for it."""
    if settings.key_store_key_file is not None:
        path = settings.key_store_key_file
    elif settings.key_store_passphrase is not None:
        return Passphrase(settings.key_store_passphrase.get_secret_value()), None
    elif settings.security_module == "pkcs11" and not settings.own_key_file.exists():
        return TokenUnlock(token_of(settings)), None
    else:
        path = settings.own_key_file
    if path.exists():
        return KeyFile(path), None
    return KeyFile.create(path), path

"""init, migrate: what makes an installation and brings it up to date."""

from pathlib import Path
from typing import Annotated

import typer
from alembic.util import CommandError

from vending.bootstrap import open_database
from vending.cli.access import acting, host
from vending.cli.arguments import parse_currency
from vending.cli.context import DataOption, read_settings
from vending.cli.output import JsonOption, print_document, print_note
from vending.errors import ErrorKind, VendingError
from vending.keystore.choosing import token_of
from vending.keystore.errors import KeyStoreExistsError
from vending.keystore.service import create_store
from vending.keystore.unlocking import KeyFile, Passphrase, TokenUnlock, Unlock
from vending.partners.service import add_partner, issue_api_key
from vending.persistence import migrate
from vending.persistence.engine import create_database
from vending.settings import Settings
from vending.values.clock import SystemClock


class DataFolderError(VendingError):
    """The data folder cannot be made."""

    kind = ErrorKind.UNAVAILABLE
    code = "data_folder_unusable"
    remedy = "Choose a folder that you may write with --data or VENDING_DATA_DIR."

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(f"{folder}: {reason}", folder=folder)


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
    partner: Annotated[
        str | None, typer.Option("--partner", help="Add a first partner and print its API key.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new installation: data folder, tables, key store; and a first partner if named.

    The key store opens with VENDING_KEY_STORE_PASSPHRASE_FILE or VENDING_KEY_STORE_KEY_FILE; with
    neither, a key file is made in the data folder.
    """
    settings = read_settings(data)
    currency = parse_currency(settings.currency, "VENDING_CURRENCY")
    _make_folder(settings.data_dir)
    clock = SystemClock()
    database = create_database(settings.effective_database_url, create_folder=True)
    try:
        migrate.upgrade(database)
        unlock, made_file = _unlock_for_new_store(settings)
        try:
            create_store(database, unlock, data_folder=settings.data_dir, clock=clock)
        except KeyStoreExistsError:
            print_note("The key store was made before and stays as it is.", as_json=as_json)
        made: dict[str, object] = {
            "data_folder": str(settings.data_dir.absolute()),
            "database": database.dialect.value,
            "schema": migrate.head_revision(),
            "key_file": str(made_file.absolute()) if made_file else None,
        }
        if partner is not None:
            added = add_partner(database, partner, currency, by=acting(), clock=clock)
            made["partner"] = added.name
            issued = issue_api_key(database, added.id, by=acting(), clock=clock)
            made["api_key"] = issued.secret_text
    finally:
        database.close()
    print_document(made, as_json=as_json)
    if made_file is not None:
        print_note(
            "Move the key file away from the database, and keep a copy elsewhere: without it "
            "no key and no token can be read again.",
            as_json=as_json,
        )


@host("the tables must fit before anybody can sign in")
def migrate_tables(
    revision: Annotated[str, typer.Argument(help="head, base, or a revision.")] = "head",
    down: Annotated[
        bool, typer.Option("--down", help="Go back to the revision; rows of later tables are lost.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the tables of the database to the revision of this release.

    Raises:
        RevisionUnknownError: This release has no such revision.
    """
    database = open_database(read_settings(data))
    try:
        try:
            if down:
                migrate.downgrade(database, revision)
            else:
                migrate.upgrade(database, revision)
        except CommandError as error:
            raise RevisionUnknownError(revision) from error
        print_document({"schema": migrate.current_revision(database)}, as_json=as_json)
    finally:
        database.close()


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

"""init, migrate, serve, worker: what makes an installation and runs it."""

import resource
import socket
from pathlib import Path
from typing import Annotated, Final

import typer
import uvicorn

from vending.app import create_app
from vending.bootstrap import Container, open_database
from vending.cli.context import DataOption, opened_container, read_settings
from vending.cli.output import JsonOption, print_document, print_note
from vending.errors import ErrorKind, VendingError
from vending.keystore.errors import KeyStoreExistsError
from vending.keystore.service import create_store
from vending.keystore.unlocking import KeyFile, Passphrase, Unlock
from vending.partners.service import add_partner, issue_api_key
from vending.persistence import migrate
from vending.persistence.engine import create_database
from vending.settings import Settings
from vending.values.clock import SystemClock
from vending.values.money import Currency
from vending.worker.loop import run_worker, stopped_by_signals

BACKLOG: Final = 2048
GRACE_S: Final = 20
"""A running sale ends in milliseconds; a stop waits no longer than this for slow clients."""
KEEP_ALIVE_S: Final = 15


class PortInUseError(VendingError):
    """Another program listens there."""

    kind = ErrorKind.UNAVAILABLE
    code = "port_in_use"
    remedy = "Stop the other program, or choose another port with VENDING_PORT or --port."

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}", host=host, port=port)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("init")(init)
    app.command("migrate")(migrate_tables)
    app.command("serve")(serve)
    app.command("worker")(work)


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
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
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
            "key_file": str(made_file) if made_file else None,
        }
        if partner is not None:
            added = add_partner(database, partner, Currency(settings.currency), clock=clock)
            made["partner"] = added.name
            made["api_key"] = issue_api_key(database, added.id, clock=clock).secret_text
    finally:
        database.close()
    print_document(made, as_json=as_json)
    if made_file is not None:
        print_note(
            "Move the key file away from the database, and keep a copy elsewhere: without it "
            "no key and no token can be read again.",
            as_json=as_json,
        )


def migrate_tables(
    revision: Annotated[str, typer.Argument(help="head, base, or a revision.")] = "head",
    down: Annotated[
        bool, typer.Option("--down", help="Go back to the revision; rows of later tables are lost.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the tables of the database to the revision of this release."""
    database = open_database(read_settings(data))
    try:
        if down:
            migrate.downgrade(database, revision)
        else:
            migrate.upgrade(database, revision)
        print_document({"schema": migrate.current_revision(database)}, as_json=as_json)
    finally:
        database.close()


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port; 0 picks a free one.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the API until it is stopped."""
    forbid_core_dumps()
    with (
        opened_container(data, host=host, port=port) as container,
        container.key_store.following(),
        _listener(container.settings) as listener,
    ):
        address, bound_port = listener.getsockname()[:2]
        url = f"http://{address}:{bound_port}"
        print_document({"url": url, "health": f"{url}/healthz"}, as_json=as_json)
        _serve(container, listener)


def work(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Run the worker until it is stopped: it delivers tokens, and finishes what was left open."""
    forbid_core_dumps()
    with (
        stopped_by_signals() as stop,
        opened_container(data) as container,
        container.key_store.following(),
    ):
        print_document({"worker": "running"}, as_json=as_json)
        run_worker(container, stop)


def forbid_core_dumps() -> None:
    """Keep this process from ever leaving its memory, and the keys in it, in a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve(container: Container, listener: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(container),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _listener(settings: Settings) -> socket.socket:
    """Return a socket that holds the address; closing it is the caller's.

    Raises:
        PortInUseError: The address cannot be had.
    """
    host, port = settings.host, settings.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Listening starts here, so that a second service is refused here and not by uvicorn.
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PortInUseError(host, port, error.strerror or str(error)) from error


def _unlock_for_new_store(settings: Settings) -> tuple[Unlock, Path | None]:
    """Return what will open the store, and the key file if one was made for it."""
    if settings.key_store_key_file is not None:
        path = settings.key_store_key_file
    elif settings.key_store_passphrase is not None:
        return Passphrase(settings.key_store_passphrase.get_secret_value()), None
    else:
        path = settings.own_key_file
    if path.exists():
        return KeyFile(path), None
    return KeyFile.create(path), path

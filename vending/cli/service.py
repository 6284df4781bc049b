"""serve, worker: what runs an installation."""

import resource
import socket
from typing import Annotated, Final

import typer
import uvicorn

from vending.app import create_app
from vending.bootstrap import Container
from vending.cli.context import DataOption, opened_container
from vending.cli.output import JsonOption, print_document
from vending.errors import ErrorKind, VendingError
from vending.settings import Settings
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
    app.command("serve")(serve)
    app.command("worker")(work)


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port; 0 picks a free one.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the API until it is stopped."""
    forbid_core_dumps()
    with (
        # uvicorn raises the signal that stopped it once more; here it ends nothing.
        stopped_by_signals() as stop,
        opened_container(data, host=host, port=port) as container,
        container.key_store.following(),
        _listener(container.settings) as listener,
    ):
        url = f"http://{_address_of(listener)}"
        print_document({"url": url, "health": f"{url}/healthz"}, as_json=as_json)
        if not stop.is_set():
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


def _address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if listener.family is socket.AF_INET6 else f"{host}:{port}"


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

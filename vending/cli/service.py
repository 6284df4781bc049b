"""serve, worker: what runs an installation."""

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
import uvicorn
from prometheus_client import start_http_server
from starlette.types import ASGIApp

from vending.app import create_app
from vending.bootstrap import Container
from vending.cli.access import host
from vending.cli.context import DataOption, opened_container
from vending.cli.listening import BACKLOG, PortInUseError, address_of, open_listener
from vending.cli.output import JsonOption, print_document
from vending.observability.tracing import configure_traces
from vending.settings import Settings
from vending.worker.loop import run_worker, stopped_by_signals

GRACE_S: Final = 20
"""A running sale ends in milliseconds; a stop waits no longer than this for slow clients."""
KEEP_ALIVE_S: Final = 15


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("serve")(serve)
    app.command("worker")(work)


@host("the service runs as an account of the machine")
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
        traced(container.settings, "vending"),
        open_listener(container.settings) as listener,
    ):
        url = f"http://{address_of(listener)}"
        print_document({"url": url, "health": f"{url}/healthz"}, as_json=as_json)
        if not stop.is_set():
            _serve(container, listener)


@host("the worker runs as an account of the machine")
def work(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Run the worker until it is stopped: it delivers tokens, and finishes what was left open."""
    forbid_core_dumps()
    with (
        stopped_by_signals() as stop,
        opened_container(data) as container,
        container.key_store.following(),
        traced(container.settings, "vending-worker"),
    ):
        _serve_metrics(container)
        print_document({"worker": "running"}, as_json=as_json)
        run_worker(container, stop)


def _serve_metrics(container: Container) -> None:
    """Serve the worker's metrics where the settings say so; the thread ends with the process.

    Raises:
        PortInUseError: The address cannot be had.
    """
    host, port = container.settings.host, container.settings.worker_metrics_port
    if port is None:
        return
    try:
        start_http_server(port, host, container.metrics.registry)
    except OSError as error:
        raise PortInUseError(host, port, error.strerror or str(error)) from error


@contextmanager
def traced(settings: Settings, service: str) -> Iterator[None]:
    """Send traces while the body runs, if the settings name a collector.

    Raises:
        TracingUnavailableError: They do, and the extra that sends them is not installed.
    """
    if settings.otlp_endpoint is None:
        yield
        return
    provider = configure_traces(settings.otlp_endpoint, service=service)
    try:
        yield
    finally:
        provider.shutdown()


def forbid_core_dumps() -> None:
    """Keep this process from ever leaving its memory, and the keys in it, in a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return how the service listens; every bound and every trust is named, none is inherited."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
    )


def _serve(container: Container, listener: socket.socket) -> None:
    config = server_config(create_app(container), container.settings)
    uvicorn.Server(config).run(sockets=[listener])

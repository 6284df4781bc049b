"""The ASGI application: routes, error documents, and what happens around every request."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from vending import __version__
from vending.api.access import list_access
from vending.api.errors import install_error_handlers
from vending.api.in_flight import InFlightKeys
from vending.api.middleware import RequestScope
from vending.api.problems import PROBLEM_SCHEMA
from vending.api.recent_proofs import RecentProofs
from vending.api.routes import list_routers
from vending.bootstrap import Container

_NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
"""The framework's spans carry path and query, and so meters and keys; ours do not."""


def create_app(container: Container) -> FastAPI:
    """Return the application over a container; closing the container is the caller's.

    Raises:
        UnprotectedRouteError: A route lets everybody in and is not listed as public.
    """
    app = FastAPI(
        title="Prepaid vending",
        version=__version__,
        summary="Sell prepaid electricity as STS tokens, exactly once.",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        telemetry=_NO_TELEMETRY,
        redirect_slashes=False,  # a redirect would be made of the caller's Host header
    )
    app.state.container = container
    app.state.in_flight = InFlightKeys()
    app.state.recent_proofs = RecentProofs(container.clock)
    for router in list_routers():
        app.include_router(router)
    install_error_handlers(app)
    app.add_middleware(RequestScope, metrics=container.metrics, clock=container.clock)
    _describe_problems(app)
    list_access(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """Add the problem document to the OpenAPI schemas, and take out the framework's own 422."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        own = dict(PROBLEM_SCHEMA)
        schemas.update(own.pop("$defs", {}))
        schemas["ProblemOut"] = own
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI documents this way of extending

"""Who is let in at each route, read from its dependencies; those that let everybody in are listed.

`create_app` refuses to start with a route that asks for nobody and is not in `PUBLIC_ROUTES`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from vending.api.deps import OfficeAccess, get_partner
from vending.operators.permissions import Permission


class UnprotectedRouteError(RuntimeError):
    """A route asks for nobody, and is not listed as public: a fault in our code, found at start."""

    def __init__(self, routes: Iterable[str]) -> None:
        super().__init__(f"routes that let everybody in: {', '.join(routes)}")


class Gate(StrEnum):
    """Who a route asks for."""

    PARTNER = "partner"
    """A seller, by its API key."""
    SIGNED_IN = "signed in"
    """Any operator, to act on their own account."""
    PERMISSION = "permission"
    """An operator whose roles carry the permission."""
    PUBLIC = "public"


PUBLIC_ROUTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "GET /healthz": "asked by the machine whether the process lives; tells nothing else",
        "GET /readyz": "asked by the proxy whether to send requests; names no secret",
        "GET /metrics": "counts alone; the proxy does not pass it on",
        "GET /openapi.json": "the contract with partners is no secret",
        "POST /v1/office/sign-in": "who signs in has no session yet",
        "POST /v1/office/sign-in/code": "asks for the ticket of a right password",
        "POST /v1/office/sign-in/passkey": "gives what a passkey signs; names nobody",
        "POST /v1/office/sign-in/passkey/answer": "asks for the answer of a passkey",
        "POST /v1/office/sign-in/openid": "gives the address of the provider; names nobody",
        "POST /v1/office/sign-in/openid/answer": "asks for the provider's word",
        "POST /v1/office/activation": "asks for an activation code",
        "POST /v1/office/activation/code": "asks for the ticket of a right activation code",
    }
)
"""Method and path of each route that asks for nobody, and why."""


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """A route as it is typed, and who it asks for."""

    route: str
    """Method and path."""
    gate: Gate
    permission: Permission | None = None
    """Exactly with `PERMISSION`."""


def list_access(app: FastAPI) -> list[RouteAccess]:
    """Return who each route asks for, in the order of the routes.

    Raises:
        UnprotectedRouteError: Some ask for nobody and are not listed as public.
    """
    found = [
        _access_of(name, route)
        for route in iter_route_contexts(app.routes)
        for name in _names_of(route)
    ]
    open_routes = [
        one.route for one in found if one.gate is Gate.PUBLIC and one.route not in PUBLIC_ROUTES
    ]
    if open_routes:
        raise UnprotectedRouteError(open_routes)
    return found


def _access_of(name: str, route: RouteContext) -> RouteAccess:
    # Of an included router, the context knows what the router and whoever includes it ask for.
    is_ours = isinstance(route.original_route, APIRoute)
    calls = list(_calls_of(route.dependant)) if is_ours else []
    offices = [call for call in calls if isinstance(call, OfficeAccess)]
    permissions = [office.permission for office in offices if office.permission is not None]
    assert len(permissions) <= 1, f"{name} takes one permission"
    if permissions:
        return RouteAccess(name, Gate.PERMISSION, permissions[0])
    if offices:
        return RouteAccess(name, Gate.SIGNED_IN)
    if get_partner in calls:
        return RouteAccess(name, Gate.PARTNER)
    return RouteAccess(name, Gate.PUBLIC)


def _calls_of(dependant: Dependant) -> Iterator[object]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls_of(inner)


def _names_of(route: RouteContext) -> list[str]:
    # What has no methods is mounted or a socket: none is listed, so each is refused.
    # A HEAD is answered by the GET of the same path.
    methods = sorted((route.methods or {"*"}) - {"HEAD"})
    return [f"{method} {route.path}" for method in methods]

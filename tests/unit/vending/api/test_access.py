"""The guard over the routes: it reads who each asks for, and refuses one that asks for nobody."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

from vending.api.access import (
    PUBLIC_ROUTES,
    Gate,
    RouteAccess,
    UnprotectedRouteError,
    list_access,
)
from vending.api.deps import PartnerDep, SignedInDep, requires
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission


@pytest.fixture
def app() -> FastAPI:
    return FastAPI(openapi_url=None, docs_url=None, redoc_url=None)


def test_the_gate_is_read_from_the_dependencies(app: FastAPI) -> None:
    @app.get("/partner")
    def sell(partner: PartnerDep) -> None:
        """Takes a partner."""

    @app.post("/own")
    def act(by: SignedInDep) -> None:
        """Takes an operator."""

    @app.post("/office")
    def write(by: Annotated[SignedIn, Depends(requires(Permission.KEYS_WRITE))]) -> None:
        """Takes a permission."""

    assert list_access(app) == [
        RouteAccess("GET /partner", Gate.PARTNER),
        RouteAccess("POST /own", Gate.SIGNED_IN),
        RouteAccess("POST /office", Gate.PERMISSION, Permission.KEYS_WRITE),
    ]


def test_a_dependency_of_a_dependency_and_of_a_router_counts(app: FastAPI) -> None:
    def inner(by: Annotated[SignedIn, Depends(requires(Permission.AUDIT_READ))]) -> SignedIn:
        return by

    router = APIRouter(dependencies=[Depends(requires(Permission.LEDGER_READ))])

    @router.get("/router")
    def books() -> None:
        """Takes what its router takes."""

    @app.get("/nested")
    def log(by: Annotated[SignedIn, Depends(inner)]) -> None:
        """Takes what its dependency takes."""

    app.include_router(router)
    assert [one.permission for one in list_access(app)] == [
        Permission.AUDIT_READ,
        Permission.LEDGER_READ,
    ]


def test_a_route_that_asks_for_nobody_is_refused(app: FastAPI) -> None:
    @app.api_route("/open", methods=["GET", "POST"])
    def answer() -> None:
        """Lets everybody in."""

    with pytest.raises(UnprotectedRouteError, match="GET /open, POST /open"):
        list_access(app)


def test_a_listed_path_is_not_public_for_other_methods(app: FastAPI) -> None:
    @app.post("/healthz")
    def answer() -> None:
        """Lets everybody write."""

    with pytest.raises(UnprotectedRouteError, match="POST /healthz"):
        list_access(app)


@pytest.mark.parametrize(
    "route",
    [
        Route("/plain", PlainTextResponse("x")),
        Mount("/mounted", routes=[Route("/inside", PlainTextResponse("x"))]),
        Mount("/files", app=PlainTextResponse("x")),
        WebSocketRoute("/socket", PlainTextResponse("x")),
    ],
)
def test_a_route_without_the_framework_s_dependencies_is_refused(
    app: FastAPI, route: Route
) -> None:
    app.router.routes.append(route)

    with pytest.raises(UnprotectedRouteError):
        list_access(app)


def test_each_public_route_has_its_reason() -> None:
    assert all(len(reason) > 10 for reason in PUBLIC_ROUTES.values())

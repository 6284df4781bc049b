import json

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException

from vending.api.errors import (
    InternalError,
    MethodNotAllowedError,
    RequestInvalidError,
    RequestTooSlowError,
    RouteNotFoundError,
    install_error_handlers,
    problem_response,
)
from vending.partners.errors import UnauthenticatedError


@pytest.mark.parametrize(
    ("status", "answered", "code"),
    [
        (400, 400, "request_malformed"),
        (404, 404, "route_not_found"),
        (405, 405, "method_not_allowed"),
        (418, 500, "internal_error"),
    ],
)
def test_error_of_the_framework_becomes_one_of_ours(status: int, answered: int, code: str) -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    def fail() -> None:
        raise HTTPException(status, detail="a text of the framework")

    answer = TestClient(app).get("/")
    assert (answer.status_code, answer.json()["code"]) == (answered, code)
    assert "framework" not in answer.text


def test_statuses_that_http_prescribes_are_given() -> None:
    statuses = [
        each.http_status
        for each in (RouteNotFoundError(), MethodNotAllowedError(), RequestTooSlowError(1),
                     InternalError())
    ]  # fmt: skip
    assert statuses == [404, 405, 408, 500]


def test_answer_says_when_to_come_back_and_how_to_log_in() -> None:
    assert problem_response(InternalError()).headers["retry-after"] == "1"
    assert problem_response(UnauthenticatedError()).headers["www-authenticate"] == "Bearer"
    assert "retry-after" not in problem_response(RouteNotFoundError()).headers
    assert problem_response(RouteNotFoundError(), {"Allow": "GET"}).headers["allow"] == "GET"


def test_fault_without_a_field_is_a_fault_of_the_body() -> None:
    document = json.loads(bytes(problem_response(RequestInvalidError([])).body))
    assert (document["detail"], document["errors"]) == ("body: unreadable", [])

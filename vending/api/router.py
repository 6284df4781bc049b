"""How routes of `/v1` are made: under one prefix, their bodies read strictly.

JSON as Python reads it is wider than RFC 8259, and vague where it matters: of two members with
one name the last would win, while a proxy or a log may have shown the first.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any, Final, Never

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from vending.api.errors import RequestMalformedError

V1: Final = "/v1"
"""The contract with partners: what is under it changes by addition alone."""

_CHARSETS: Final = frozenset({"", "charset=utf-8"})


def new_router(tag: str) -> APIRouter:
    """Return a router of the contract with partners."""
    return APIRouter(prefix=V1, tags=[tag], route_class=StrictRoute)


class StrictRoute(APIRoute):
    """A route whose body is one JSON document in UTF-8, said to be one, without doubles."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the framework over a request that reads strictly."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            if takes_body and not _is_json(request.headers.get("content-type", "")):
                raise RequestMalformedError
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


class _StrictRequest(Request):
    async def json(self) -> Any:  # noqa: ANN401 # as the framework declares it
        """Return the document; the framework makes a 400 of any error."""
        return parse_json(await self.body())


def parse_json(body: bytes) -> object:
    """Return the JSON document in the body.

    Raises:
        ValueError: It is no JSON in UTF-8, has a member twice, or a number that is none.
    """
    document: object = json.loads(
        body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse
    )
    return document


def _is_json(content_type: str) -> bool:
    media_type, _, parameters = content_type.lower().partition(";")
    charset = parameters.replace('"', "").strip()
    return media_type.strip() == "application/json" and charset in _CHARSETS


def _unique(members: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(members)
    if len(document) != len(members):
        message = "a member is there twice"
        raise ValueError(message)
    return document


def _refuse(constant: str) -> Never:
    message = f"{constant} is no number of JSON"
    raise ValueError(message)

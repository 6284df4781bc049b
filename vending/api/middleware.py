"""What happens around every request: an id, a size limit, a log line, a count, a last resort."""

import asyncio
import re
import secrets
from typing import Final

import structlog
from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vending.api.errors import (
    InternalError,
    RequestTooLargeError,
    RequestTooSlowError,
    problem_response,
)
from vending.observability.logs import get_logger
from vending.observability.metrics import Metrics
from vending.observability.tracing import parent_of, span
from vending.values.clock import Clock

BODY_BYTES_MAX: Final = 65_536
"""The largest request of this API is below 2 kB."""

BODY_TIMEOUT_S: Final = 10
"""The whole body, not a part of it: a caller who drips bytes is cut off as well."""

SAFETY_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
)
"""On every answer: a browser may neither keep, render, frame nor guess what it is."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TRACE_HEADERS: Final = frozenset({b"traceparent", b"tracestate"})
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_logger = get_logger(__name__)


class RequestScope:
    """Gives each request its id, bounds its body, logs its end and answers if all else fails."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        clock: Clock,
        body_timeout_s: int = BODY_TIMEOUT_S,
    ) -> None:
        self._app = app
        self._body_timeout_s = body_timeout_s
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event stream."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._body_timeout_s)
        await exchange.run(self._app, self._metrics, self._clock)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, body_timeout_s: int) -> None:
        self._body_timeout_s = body_timeout_s
        self._scope = scope
        self._receive = receive
        self._send = send
        self._status = 0
        self._request_id = _request_id(scope)

    async def run(self, app: ASGIApp, metrics: Metrics, clock: Clock) -> None:
        started_s = clock.monotonic_s()
        structlog.contextvars.bind_contextvars(request_id=self._request_id)
        method = str(self._scope["method"])
        # A method that a caller made up would be a time series of its own.
        counted = method if method in _METHODS else "other"
        headers = {name.decode("latin-1"): text.decode("latin-1") for name, text in self._traced()}
        try:
            with span(counted, kind=SpanKind.SERVER, parent=parent_of(headers)) as request:
                await self._answer(app)
                route = self._route()
                request.update_name(f"{counted} {route}")
                request.set_attribute("http.request.method", counted)
                request.set_attribute("http.route", route)
                request.set_attribute("http.response.status_code", self._status)
        finally:
            route = self._route()
            metrics.requests.labels(counted, route, str(self._status)).inc()
            _logger.info(
                "request",
                method=method,
                route=route,
                status=self._status,
                duration_ms=round((clock.monotonic_s() - started_s) * 1000),
            )
            structlog.contextvars.clear_contextvars()

    def _route(self) -> str:
        return str(getattr(self._scope.get("route"), "path", "none"))

    def _traced(self) -> list[tuple[bytes, bytes]]:
        return [one for one in self._scope["headers"] if one[0] in _TRACE_HEADERS]

    async def _answer(self, app: ASGIApp) -> None:
        try:
            body = await self._read_body()
        except (RequestTooLargeError, RequestTooSlowError) as refusal:
            await self._refuse(problem_response(refusal, {"Connection": "close"}))
            return
        if body is None:
            return
        try:
            await app(self._scope, self._replaying(body), self._counting_send)
        except Exception:  # the last resort: a trace in the log, a document to the caller
            _logger.exception("request_failed")
            await self._refuse(problem_response(InternalError()))

    async def _refuse(self, response: ASGIApp) -> None:
        if self._status == 0:
            await response(self._scope, self._receive, self._counting_send)

    async def _read_body(self) -> bytes | None:
        """Return the whole body; None: the caller went away before its end.

        Raises:
            RequestTooLargeError: It is above the limit; the rest is not read.
            RequestTooSlowError: It did not come in time.
        """
        if _declared_bytes(self._scope) > BODY_BYTES_MAX:
            raise RequestTooLargeError(BODY_BYTES_MAX)
        body = bytearray()
        is_whole = False
        try:
            async with asyncio.timeout(self._body_timeout_s):
                while not is_whole:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > BODY_BYTES_MAX:
                        raise RequestTooLargeError(BODY_BYTES_MAX)
                    is_whole = not message.get("more_body", False)
        except TimeoutError as error:
            raise RequestTooSlowError(self._body_timeout_s) from error
        return bytes(body)

    def _replaying(self, body: bytes) -> Receive:
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return pending.pop() if pending else await self._receive()

        return receive

    async def _counting_send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message["headers"] = [
                *message.get("headers", []),
                (b"x-request-id", self._request_id.encode()),
                *SAFETY_HEADERS,
            ]
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """Return the caller's id when it is harmless, else a fresh one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return secrets.token_hex(8)


def _declared_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:12])
    return 0

"""What happens around every request: an id, a size limit, a log line, a count, a last resort."""

import re
import secrets
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vending.api.errors import InternalError, RequestTooLargeError, problem_response
from vending.observability.logs import get_logger
from vending.observability.metrics import Metrics
from vending.values.clock import Clock

BODY_BYTES_MAX: Final = 65_536
"""The largest request of this API is below 2 kB."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_logger = get_logger(__name__)


class RequestScope:
    """Gives each request its id, bounds its body, logs its end and answers if all else fails."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, clock: Clock) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event stream."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(scope, receive, send).run(self._app, self._metrics, self._clock)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._status = 0
        self._request_id = _request_id(scope)

    async def run(self, app: ASGIApp, metrics: Metrics, clock: Clock) -> None:
        started_s = clock.monotonic_s()
        structlog.contextvars.bind_contextvars(request_id=self._request_id)
        try:
            await self._answer(app)
        finally:
            route = getattr(self._scope.get("route"), "path", "none")
            method = str(self._scope["method"])
            metrics.requests.labels(method, route, str(self._status)).inc()
            _logger.info(
                "request",
                method=method,
                route=route,
                status=self._status,
                duration_ms=round((clock.monotonic_s() - started_s) * 1000),
            )
            structlog.contextvars.clear_contextvars()

    async def _answer(self, app: ASGIApp) -> None:
        body = None if _declared_bytes(self._scope) > BODY_BYTES_MAX else await self._read_body()
        if body is None:
            await self._refuse(problem_response(RequestTooLargeError(BODY_BYTES_MAX)))
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
        """Return the whole body; None: it is above the limit, and the rest is not read."""
        body = b""
        while True:
            message = await self._receive()
            part: bytes = message.get("body", b"")
            body += part
            if len(body) > BODY_BYTES_MAX:
                return None
            if message["type"] != "http.request" or not message.get("more_body", False):
                return body

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
                (b"cache-control", b"no-store"),
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

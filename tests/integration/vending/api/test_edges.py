"""What happens around every request, whatever it asks for."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.support.api import SALES, Counter, problem
from vending.api.middleware import SAFETY_HEADERS, RequestScope
from vending.observability.metrics import Metrics
from vending.values.clock import FixedClock, SystemClock


def test_every_answer_has_a_request_id_and_is_not_kept(sqlite_counter: Counter) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/nowhere", SALES):
        answer = sqlite_counter.client.get(path)
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])
        for name, value in SAFETY_HEADERS:
            assert answer.headers[name.decode()] == value.decode()


def test_no_answer_opens_itself_to_other_origins(sqlite_counter: Counter) -> None:
    origin = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS"):
        answer = sqlite_counter.client.request(method, SALES, headers=origin)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_request_id_of_the_caller_is_kept_when_harmless(sqlite_counter: Counter) -> None:
    told = sqlite_counter.client.get("/healthz", headers={"X-Request-Id": "abc-1.2_3"})
    assert told.headers["x-request-id"] == "abc-1.2_3"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", "<script>", "\u00e9"])
def test_request_id_that_could_do_harm_is_replaced(sqlite_counter: Counter, given: str) -> None:
    headers = {b"X-Request-Id": given.encode("latin-1")}
    told = sqlite_counter.client.get("/healthz", headers=headers)
    assert re.fullmatch(r"[0-9a-f]{16}", told.headers["x-request-id"])


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_other_methods_are_refused_and_the_allowed_named(
    sqlite_counter: Counter, method: str
) -> None:
    answer = sqlite_counter.client.request(method, f"{SALES}/x", headers=sqlite_counter.headers())
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    if method != "HEAD":
        assert problem(answer)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/sales/", "/v1/Sales", "/docs", "/redoc", "//"])
def test_unknown_path_is_a_problem_and_never_a_redirect(sqlite_counter: Counter, path: str) -> None:
    answer = sqlite_counter.client.get(path, follow_redirects=False)
    assert (answer.status_code, problem(answer)["code"]) == (404, "route_not_found")


def test_failure_of_ours_tells_nothing_and_leaves_the_outcome_open(
    sqlite_counter: Counter,
) -> None:
    def fail() -> int:
        message = "secret-detail of ours"
        raise RuntimeError(message)

    object.__setattr__(sqlite_counter.container.desk, "draw_rnd", fail)
    answer = sqlite_counter.sell("k-1", headers={"X-Request-Id": "trace-me"})
    document = problem(answer)
    assert (answer.status_code, document["code"]) == (500, "internal_error")
    assert (document["outcome"], document["retryable"]) == ("unknown", True)
    assert answer.headers["x-request-id"] == "trace-me"
    assert b"secret-detail" not in answer.content
    assert b"Traceback" not in answer.content


def test_failure_of_ours_left_nothing_behind(sqlite_counter: Counter) -> None:
    draw = sqlite_counter.shop.desk.draw_rnd

    def fail() -> int:
        raise RuntimeError

    object.__setattr__(sqlite_counter.container.desk, "draw_rnd", fail)
    assert sqlite_counter.sell("k-1").status_code == 500
    object.__setattr__(sqlite_counter.container.desk, "draw_rnd", draw)
    again = sqlite_counter.sell("k-1")
    assert again.status_code == 201
    assert "idempotency-replayed" not in again.headers


# --- the middleware alone ------------------------------------------------------------------------
class Echo:
    """An application that answers with the body it was given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.bodies[-1]})
        del scope


def exchange(
    messages: list[Message],
    *,
    app: ASGIApp | None = None,
    method: str = "POST",
    body_timeout_s: int = 100,
) -> tuple[list[bytes], Metrics, list[Message]]:
    """Run one request through the middleware; after the messages, nothing more comes."""
    echo, metrics = Echo(), Metrics()
    sent: list[Message] = []
    waiting = iter(messages)

    async def receive() -> Message:
        for message in waiting:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": method, "headers": [], "path": "/"}
    guarded = RequestScope(
        app or echo, metrics=metrics, clock=SystemClock(), body_timeout_s=body_timeout_s
    )
    asyncio.run(guarded(scope, receive, send))
    return echo.bodies, metrics, sent


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_body_in_parts_is_put_together() -> None:
    bodies, _, sent = exchange([part(b"ab", more=True), part(b"", more=True), part(b"cd")])
    assert bodies == [b"abcd"]
    assert sent[1]["body"] == b"abcd"


def test_caller_who_goes_away_inside_the_body_asks_for_nothing() -> None:
    bodies, metrics, sent = exchange([part(b'{"a": 1}', more=True), {"type": "http.disconnect"}])
    assert bodies == []
    assert sent == []
    assert b'status="0"' in metrics.render()


def test_body_that_drips_is_cut_off() -> None:
    bodies, _, sent = exchange([part(b"a", more=True)], body_timeout_s=1)
    assert bodies == []
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["code"] == "request_too_slow"


def test_made_up_method_makes_no_time_series_of_its_own() -> None:
    _, metrics, _ = exchange([part(b"")], method="BREW")
    assert b'method="other"' in metrics.render()
    assert b"BREW" not in metrics.render()


def test_failure_after_the_answer_began_sends_no_second_answer() -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        del scope, receive
        raise RuntimeError

    _, _, sent = exchange([part(b"")], app=half)
    assert [message["type"] for message in sent] == ["http.response.start"]


def test_what_is_not_http_passes_untouched() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])
        del receive, send

    guarded = RequestScope(app, metrics=Metrics(), clock=SystemClock())
    asyncio.run(guarded({"type": "lifespan"}, None, None))  # type: ignore[arg-type] # never called
    assert seen == ["lifespan"]


# --- over a real socket --------------------------------------------------------------------------
@pytest.fixture
def address(sqlite_counter: Counter, fixed_clock: FixedClock) -> Iterator[tuple[str, int]]:
    del fixed_clock
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(sqlite_counter.app, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[:2]
    server.should_exit = True
    thread.join(30)
    listener.close()


def speak(address: tuple[str, int], sent: bytes) -> bytes:
    """Send bytes and return all that comes until the other side closes."""
    with socket.create_connection(address, timeout=100) as line:
        line.sendall(sent)
        heard = b""
        while part := line.recv(65_536):
            heard += part
    return heard


def test_giant_body_is_refused_by_its_header_and_the_line_closed(
    address: tuple[str, int],
) -> None:
    told = b"POST /v1/sales HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{"
    heard = speak(address, told)
    assert heard.startswith(b"HTTP/1.1 413 ")
    assert b"request_too_large" in heard


def test_chunks_without_end_are_refused_at_the_limit(address: tuple[str, int]) -> None:
    head = b"POST /v1/sales HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    heard = speak(address, head + chunk * 5)
    assert heard.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 5x\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
    ],
)
def test_ambiguous_framing_is_never_read_as_two_requests(
    address: tuple[str, int], framing: bytes
) -> None:
    smuggled = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    told = b"POST /v1/sales HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n" + smuggled
    heard = speak(address, told)
    assert b'"status":"ok"' not in heard

"""What a collector of traces is told of a sale: where time went, never what or to whom."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan

from tests.support.api import Counter
from tests.support.spans import recorded_spans
from vending.cli.service import traced
from vending.observability.tracing import ATTRIBUTES, span
from vending.settings import Settings


def find(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    return next(one for one in spans if one.name == name)


def test_sale_is_traced_through_lane_module_and_commit(counter: Counter) -> None:
    with recorded_spans() as recorded:
        assert counter.sell("k-1").status_code == 201
    spans = list(recorded())
    request = find(spans, "POST /v1/sales")
    batch = find(spans, "sales batch")
    assert [link.context for link in batch.links] == [request.context]
    inside = {one.name for one in spans if one.parent and one.parent == batch.context}
    assert {"security module", "commit"} <= inside
    assert (request.attributes or {})["http.response.status_code"] == 201


def test_trace_holds_no_meter_token_key_or_person(counter: Counter) -> None:
    secret_key = "k-canary-4711"
    with recorded_spans() as recorded:
        sold = counter.sell(secret_key).json()
        drn = sold["meter"]["drn"]
        counter.get(f"/v1/meters/{drn}")
        counter.get("/v1/sales", {"idempotency_key": secret_key})
        counter.get(f"/v1/meters/{'9' * 40}?{secret_key}")
    told = "".join(one.to_json() for one in recorded())
    for canary in (secret_key, drn, sold["tokens"][0]["digits"], sold["id"], counter.shop.api_key):
        assert canary not in told
    assert {name for one in recorded() for name in one.attributes or {}} <= ATTRIBUTES


def test_caller_that_names_its_trace_finds_the_request_in_it(counter: Counter) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with recorded_spans() as recorded:
        counter.sell("k-1", headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    request = find(list(recorded()), "POST /v1/sales")
    assert request.context is not None
    assert format(request.context.trace_id, "032x") == trace_id


@contextmanager
def collector() -> Iterator[tuple[str, "Queue[ExportTraceServiceRequest]"]]:
    """Yield the address of a collector that speaks OTLP over HTTP, and what it received."""
    received: Queue[ExportTraceServiceRequest] = Queue()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            received.put(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_reach_the_collector_of_the_settings() -> None:
    with recorded_spans(), collector() as (url, received):
        with traced(Settings(otlp_endpoint=url), "vending-test"), span("commit"):
            pass
        told = received.get(timeout=100).resource_spans[0]
    assert [one.name for one in told.scope_spans[0].spans] == ["commit"]
    resource = {one.key: one.value.string_value for one in told.resource.attributes}
    assert resource == {"service.name": "vending-test"}

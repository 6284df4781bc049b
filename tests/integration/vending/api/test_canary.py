"""No secret that went through the service comes out of it where it does not belong."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.support.api import SALES, Counter
from tests.support.vending_keys import DKGA04_HEX
from vending.observability import logs


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged, by us and by every library, down to debug."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    before, level = root.handlers, root.level
    logs.configure_logs(level="debug", log_format="json")
    yield stream
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def test_no_secret_leaves_the_service(sqlite_counter: Counter, written: io.StringIO) -> None:
    counter = sqlite_counter
    sold = [counter.sell(f"k-{number}") for number in range(3)]
    token = sold[0].json()["tokens"][0]
    api_key = counter.shop.api_key
    digits = token["digits"]

    def fail() -> int:
        message = f"token {digits}, {token['grouped']}, key {api_key}, {DKGA04_HEX}"
        raise RuntimeError(message)

    refusals = [
        counter.sell("k-0", counter.body(minor=1)),
        counter.sell("k-9", counter.body(terminal=api_key)),
        counter.sell("k-9", {"meter": digits, "tender": {"minor": 1, "currency": "KES"}}),
        counter.sell("k-9", counter.body(stranger=digits)),
        counter.send(SALES, f'{{"token": "{digits}'.encode()),
        counter.client.get(SALES, headers={"Authorization": f"Bearer {api_key}x"}),
        counter.client.get(f"/v1/tokens/{digits}"),
    ]
    object.__setattr__(counter.container.desk, "draw_rnd", fail)
    failed = counter.sell("k-fail")
    assert failed.status_code == 500
    metrics = counter.client.get("/metrics")
    document = counter.client.get("/openapi.json")
    counter.client.get("/readyz")

    log = written.getvalue()
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["event"] for line in lines} >= {"request", "request_failed"}
    places = {
        "the log": log,
        "metrics": metrics.text,
        "OpenAPI": document.text,
        "the answer of a failure": failed.text,
        **{f"problem {n}": answer.text for n, answer in enumerate(refusals) if n != 2},
    }
    for place, text in places.items():
        for secret in (digits, token["grouped"], api_key, api_key.split("_")[2], DKGA04_HEX):
            assert secret.lower() not in text.lower(), place


def test_log_line_of_a_request_tells_who_what_and_how_long(
    sqlite_counter: Counter, written: io.StringIO
) -> None:
    sqlite_counter.sell("k-1", headers={"X-Request-Id": "req-1"})
    (line,) = [json.loads(one) for one in written.getvalue().splitlines() if '"request"' in one]
    assert line["request_id"] == "req-1"
    assert line["route"] == SALES
    assert (line["method"], line["status"], line["level"]) == ("POST", 201, "info")
    assert line["duration_ms"] >= 0
    assert line["timestamp"].endswith("Z")


def test_request_id_does_not_stay_for_the_next_request(
    sqlite_counter: Counter, written: io.StringIO
) -> None:
    sqlite_counter.client.get("/healthz", headers={"X-Request-Id": "req-1"})
    sqlite_counter.client.get("/healthz")
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    ids = [line["request_id"] for line in lines if line["event"] == "request"]
    assert ids[0] == "req-1"
    assert ids[1] != "req-1"

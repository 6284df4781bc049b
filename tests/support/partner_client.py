"""A partner's terminal: sells over HTTP, and repeats a request until its answer is final."""

import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PASSING = frozenset({409, 429, 500, 502, 503, 504})
"""Statuses after which the same request is sent again with the same key."""

TRIES_MAX = 1500
PAUSE_S = 0.02
TIMEOUT_S = 60


@dataclass(frozen=True)
class Purchase:
    """What a customer wants, under the key of its sale."""

    key: str
    meter: str
    minor: int

    def body(self) -> bytes:
        document = {"meter": self.meter, "tender": {"minor": self.minor, "currency": "KES"}}
        return json.dumps(document).encode()


@dataclass(frozen=True)
class Reply:
    """A final answer, how long its last try took, and how many there were."""

    status: int
    body: bytes
    duration_s: float
    tries: int


class PartnerClient:
    """One connection, kept open; one thread uses it."""

    def __init__(self, port: int, api_key: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None
        self._pause = threading.Event()

    def sell(self, purchase: Purchase) -> Reply:
        """The final answer to a purchase.

        Raises:
            TimeoutError: None came within the tries.
        """
        body = purchase.body()
        status, answer = 0, b""
        for tries in range(1, TRIES_MAX + 1):
            started_s = time.perf_counter()
            status, answer = self._post(body, {"Idempotency-Key": purchase.key})
            if status and status not in PASSING:
                return Reply(status, answer, time.perf_counter() - started_s, tries)
            self._pause.wait(PAUSE_S)
        raise TimeoutError(f"no final answer for {purchase.key}: {status} {answer!r}")

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body; 0: there was no answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=TIMEOUT_S
            )
        try:
            self._connection.request("POST", "/v1/sales", body, {**self._headers, **headers})
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return 0, repr(error).encode()


def say(line: str) -> None:
    """Print a line at once, whoever reads it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def percentile(durations_s: list[float], percent: int) -> float:
    """A percentile in milliseconds."""
    ordered = sorted(durations_s)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000


class Shared:
    """Hands out the items of a list to many threads, each item once."""

    def __init__(self, items: list[tuple[str, Purchase]]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[tuple[str, Purchase]]:
        return self

    def __next__(self) -> tuple[str, Purchase]:
        with self._lock:
            return next(self._items)

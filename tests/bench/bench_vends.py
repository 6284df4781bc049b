"""Durable vends a second over HTTP on both databases, beside a no-op of the same framework.

    python tests/bench/bench_vends.py --size 2000 --seed 1

The seed draws the order in which meters buy. The no-op is measured before and after, as the
machine may have other work; it checks the same headers and validates the same body in the same
server, and writes nothing: the ratio holds on any machine, the figures on this one. One line; a
benchmark, no test.
"""

import argparse
import os
import random  # noqa: TID251 # a seeded order that can be repeated
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.postgres_server import PostgresServer
from tests.support.installation import REPOSITORY, ProductProcess, install
from tests.support.partner_client import PartnerClient, Purchase, Shared, percentile, say

CLIENTS = 32
WARM_UP = 200
SALES_PER_METER = 30
CREATED = 201
NO_OP = """
import socket, uvicorn
from fastapi import FastAPI, Response
from vending.api.deps import IdempotencyKeyDep
from vending.api.schemas import SaleIn
app = FastAPI()
@app.post("/v1/sales", status_code=201)
def create_sale(body: SaleIn, key: IdempotencyKeyDep) -> Response:
    return Response(b"{}", 201, media_type="application/json")
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])
"""


def measure(port: int, api_key: str, meters: list[str], size: int) -> tuple[float, float]:
    """Vends a second, and the 99th percentile in milliseconds."""
    _sell(port, api_key, [Purchase(f"w{n}", meters[n % len(meters)], 5000) for n in range(WARM_UP)])
    purchases = [Purchase(f"k{n}", meters[n % len(meters)], 5000) for n in range(size)]
    started_s = time.perf_counter()
    durations_s = _sell(port, api_key, purchases)
    return size / (time.perf_counter() - started_s), percentile(durations_s, 99)


def _sell(port: int, api_key: str, purchases: list[Purchase]) -> list[float]:
    shared = Shared([("new", purchase) for purchase in purchases])
    durations_s: list[float] = []

    def run_client() -> None:
        client = PartnerClient(port, api_key)
        for _, purchase in shared:
            reply = client.sell(purchase)
            assert reply.status == CREATED, reply
            durations_s.append(reply.duration_s)
        client.close()

    with ThreadPoolExecutor(CLIENTS) as threads:
        for done in [threads.submit(run_client) for _ in range(CLIENTS)]:
            done.result()
    return durations_s


def measure_no_op(meters: list[str], size: int) -> tuple[float, float]:
    """The same load on a route that does nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", NO_OP],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(REPOSITORY)},
    )
    try:
        assert process.stdout is not None
        return measure(int(process.stdout.readline()), "none", meters, size)
    finally:
        process.terminate()
        process.communicate()


def main() -> int:
    """Measure all three in one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311 # a repeatable order
    meter_count = (options.size + WARM_UP) // SALES_PER_METER + CLIENTS
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as server:
        rates = {}
        before, _ = measure_no_op(["0"], options.size)
        for name, url in (("sqlite", None), ("postgresql", server.create_database("bench"))):
            place = install(Path(folder) / name, url, meter_count=meter_count)
            with ProductProcess(place, "serve", "--port", "0") as service:
                meters = rng.sample(place.meters, len(place.meters))
                rates[name] = measure(service.port, place.api_key, meters, options.size)
        after, no_op_p99_ms = measure_no_op(["0"], options.size)
        no_op = (before + after) / 2
        parts = [
            f"{name} {rate:.0f} vends/s p99 {p99_ms:.0f} ms {rate / no_op:.2f} of no-op"
            for name, (rate, p99_ms) in rates.items()
        ]
    say(
        f"bench vends: {'; '.join(parts)}; no-op {no_op:.0f}/s p99 {no_op_p99_ms:.0f} ms; "
        f"{CLIENTS} clients, {options.size} vends, fsync on, load {os.getloadavg()[0]:.1f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

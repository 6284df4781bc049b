"""Sells to a real service over HTTP, a third of it repeats, then reads the books.

    python tests/proofs/proof_vends.py --size 10000 --seed 1

Sixteen clients; repeats come with the same key: at the same time, late, or with another body.
Then, by SQL: one sale a key, stored answers as the clients got them, rising identifiers, one
balanced entry and one message a sale. Runs on SQLite, then on PostgreSQL. Exits 1 on a failure;
the last line holds the figures.
"""

import argparse
import json
import os
import random  # noqa: TID251 # a seeded plan that can be repeated
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.postgres_server import PostgresServer
from tests.support.books import count_rows, find_broken
from tests.support.installation import Installation, ProductProcess, install
from tests.support.partner_client import PartnerClient, Purchase, Reply, Shared, percentile, say
from vending.persistence.idempotency import Replay, find_answer
from vending.sales.service.claims import open_answer
from vending.values.identifiers import IdempotencyKey

CLIENTS = 16
SALES_PER_METER = 40
"""Below the hour that identifiers may run ahead of the clock."""
MINOR_MIN, MINOR_MAX = 500, 20_000
CREATED, UNPROCESSABLE = 201, 422
WAIT_S = 120


@dataclass
class Record:
    """What the clients were told."""

    answers: dict[str, bytes] = field(default_factory=dict)
    durations_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, purchase: Purchase, reply: Reply) -> None:
        with self.lock:
            self.durations_s.append(reply.duration_s)
            self.statuses[reply.status] += 1
            fault = self._fault(kind, purchase, reply)
            if fault:
                self.faults.append(f"{kind} {purchase.key}: {fault}")

    def _fault(self, kind: str, purchase: Purchase, reply: Reply) -> str:
        if kind == "other body":
            code = json.loads(reply.body).get("code")
            is_right = (reply.status, code) == (UNPROCESSABLE, "idempotency_key_reused")
            return "" if is_right else f"got {reply.status} {code}"
        if reply.status != CREATED:
            return f"got {reply.status} {reply.body!r}"
        first = self.answers.setdefault(purchase.key, reply.body)
        return "" if first == reply.body else "got another answer than before"


def plan(size: int, meters: Sequence[str], rng: random.Random) -> list[tuple[str, Purchase]]:
    """The requests in their order: two thirds new, a third repeats of earlier ones."""
    repeat_count = size // 3
    new = [
        Purchase(f"sale-{n:06}", meters[n % len(meters)], rng.randint(MINOR_MIN, MINOR_MAX))
        for n in range(size - repeat_count)
    ]
    kinds = rng.choices(["at once", "late", "other body"], k=repeat_count)
    repeated = dict(zip(rng.sample(range(len(new)), repeat_count), kinds, strict=True))
    requests: list[tuple[str, Purchase]] = []
    later: list[tuple[str, Purchase]] = []
    for number, purchase in enumerate(new):
        requests.append(("new", purchase))
        match repeated.get(number):
            case "at once":
                requests.append(("at once", purchase))
            case "late":
                later.append(("late", purchase))
            case "other body":
                later.append(("other body", replace(purchase, minor=purchase.minor + 1)))
            case _:
                pass
    for repeat in later:
        requests.insert(rng.randint(requests.index(_first(repeat, new)) + 1, len(requests)), repeat)
    return requests


def _first(repeat: tuple[str, Purchase], new: Sequence[Purchase]) -> tuple[str, Purchase]:
    number = int(repeat[1].key.removeprefix("sale-"))
    return ("new", new[number])


def sell(requests: list[tuple[str, Purchase]], port: int, api_key: str) -> tuple[Record, float]:
    """Send everything from many clients; what they were told, and the seconds it took."""
    record = Record()
    answered = {purchase.key: threading.Event() for _, purchase in requests}
    shared = Shared(requests)

    def serve_one_client() -> None:
        client = PartnerClient(port, api_key)
        for kind, purchase in shared:
            if kind in {"late", "other body"}:
                assert answered[purchase.key].wait(WAIT_S), "its first request has no answer"
            record.note(kind, purchase, client.sell(purchase))
            answered[purchase.key].set()
        client.close()

    started_s = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as threads:
        for done in [threads.submit(serve_one_client) for _ in range(CLIENTS)]:
            done.result()
    return record, time.perf_counter() - started_s


def check(installation: Installation, record: Record, sale_count: int) -> list[str]:
    """What is wrong in the books, or differs from what the clients were told."""
    database = installation.open()
    try:
        faults = find_broken(database)
        rows = count_rows(database)
        if rows["sales"] != sale_count or rows["outbox"] != sale_count:
            faults.append(f"{sale_count} sales were asked for, the database has {rows}")
        sealer = installation.answer_sealer(database)
        with database.read() as connection:
            for key, body in record.answers.items():
                owner, name = installation.partner_id, IdempotencyKey(key)
                found = find_answer(connection, owner, name)
                if not isinstance(found, Replay):
                    faults.append(f"{key} has no stored answer")
                elif open_answer(found, owner, name, sealer).body != body:
                    faults.append(f"{key} is stored otherwise than it was answered")
        return faults
    finally:
        database.close()


def run(name: str, folder: Path, url: str | None, size: int, seed: int) -> tuple[str, list[str]]:
    """Prove one database; its figures and its faults."""
    meter_count = max(CLIENTS, size // SALES_PER_METER)
    installation = install(folder, url, meter_count=meter_count)
    rng = random.Random(seed)  # noqa: S311 # a repeatable plan
    requests = plan(size, installation.meters, rng)
    with ProductProcess(installation, "serve", "--port", "0") as service:
        record, seconds = sell(requests, service.port, installation.api_key)
    faults = record.faults + check(installation, record, size - size // 3)
    figures = (
        f"{name} {len(requests)} vends {seconds:.1f} s {len(requests) / seconds:.0f}/s "
        f"p50 {percentile(record.durations_s, 50):.0f} ms "
        f"p99 {percentile(record.durations_s, 99):.0f} ms"
    )
    return figures, faults


def main() -> int:
    """Run the proof; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the databases are made; default: /tmp")
    options = parser.parse_args()
    results = []
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        PostgresServer(parent=options.folder) as server,
    ):
        for name, url in (("sqlite", None), ("postgresql", server.create_database("proof"))):
            results.append(run(name, Path(folder) / name, url, options.size, options.seed))
            say(results[-1][0])
    faults = [fault for _, found in results for fault in found]
    for fault in faults[:50]:
        say(f"FAULT {fault}")
    load = os.getloadavg()[0]
    figures = "; ".join(line for line, _ in results)
    say(f"vends: seed {options.seed}; {figures}; faults {len(faults)}; load {load:.1f}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

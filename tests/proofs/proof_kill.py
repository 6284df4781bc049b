"""Kills the service, its worker and the database under load, and sees that no sale is lost.

    python tests/proofs/proof_kill.py --size 20 --seed 1

Each of SIZE rounds on each database: clients sell, something dies by SIGKILL at a random moment,
it is started again, and the clients repeat what has no answer, with the same keys. At the end
every acknowledged sale is asked for again and must come back byte for byte; the books are read as
in `proof_vends`. Exits 1 on a failure; the last line holds the figures.
"""

import argparse
import os
import random  # noqa: TID251 # a seeded plan that can be repeated
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import psycopg

from tests.postgres_server import PostgresServer
from tests.proofs.proof_vends import CREATED, SALES_PER_METER, Record, check
from tests.support.installation import Installation, ProductProcess, install
from tests.support.partner_client import PartnerClient, Purchase, say

CLIENTS_MIN, CLIENTS_MAX = 8, 16
SALES_PER_CLIENT = 6
KILL_AFTER_S_MAX = 0.9
RECOVERY_S_MAX = 60
FIND_BACKENDS = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE application_name = 'prepaid-vending' AND datname = current_database()"
)


@dataclass
class Site:
    """The processes of one installation, which die and come back on the same port."""

    installation: Installation
    port: int
    service: ProductProcess
    worker: ProductProcess
    server: PostgresServer | None
    rng: random.Random
    back_s: float = 0.0
    """When what died last could answer again."""

    def victims(self) -> dict[str, Callable[[], None]]:
        """What may die, and how it comes back."""
        local = {"service": self.kill_service, "service and worker": self.kill_both}
        if self.server is None:
            return local
        return {**local, "backend": self.kill_backend, "database": self.crash_database}

    def kill_service(self) -> None:
        self.service.kill()
        self._start_service()

    def kill_both(self) -> None:
        self.service.kill()
        self.worker.kill()
        self._start_service()
        self.worker = ProductProcess(self.installation, "worker")

    def kill_backend(self) -> None:
        """One backend dies; PostgreSQL ends all of them and recovers."""
        with psycopg.connect(self.installation.url) as connection:
            pids = [pid for (pid,) in connection.execute(FIND_BACKENDS)]
        if pids:
            os.kill(self.rng.choice(pids), signal.SIGKILL)
        self.back_s = time.perf_counter()

    def crash_database(self) -> None:
        assert self.server is not None, "only PostgreSQL is a server"
        self.server.crash()
        self.server.resume()
        self.back_s = time.perf_counter()

    def _start_service(self) -> None:
        self.service = start_service(self.installation, self.port)
        self.back_s = time.perf_counter()


def start_service(installation: Installation, port: int) -> ProductProcess:
    """The service on its port."""
    return ProductProcess(installation, "serve", "--port", str(port))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Tally:
    """What the rounds have shown so far."""

    record: Record = field(default_factory=Record)
    purchases: dict[str, Purchase] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    recoveries_s: list[float] = field(default_factory=list)


def run_round(site: Site, number: int, tally: Tally) -> None:
    """Sell, kill, start again, and wait until every client has its answers."""
    clients = site.rng.randint(CLIENTS_MIN, CLIENTS_MAX)
    meters = site.installation.meters
    orders = [
        [
            Purchase(
                f"r{number}-c{client}-{n}", site.rng.choice(meters), site.rng.randint(500, 9000)
            )
            for n in range(SALES_PER_CLIENT)
        ]
        for client in range(clients)
    ]
    tally.purchases |= {purchase.key: purchase for order in orders for purchase in order}
    name, kill = _choose_victim(site, number)
    delay_s = site.rng.uniform(0.05, KILL_AFTER_S_MAX)
    replied_s: list[float] = []

    def sell_all(order: Sequence[Purchase]) -> None:
        client = PartnerClient(site.port, site.installation.api_key)
        for purchase in order:
            tally.record.note("new", purchase, client.sell(purchase))
            replied_s.append(time.perf_counter())
        client.close()

    with ThreadPoolExecutor(clients) as threads:
        running = [threads.submit(sell_all, order) for order in orders]
        threading.Event().wait(delay_s)
        killed_s = time.perf_counter()
        kill()
        for done in running:
            done.result()
    tally.deaths[name] += 1
    later_s = [moment for moment in replied_s if moment > site.back_s]
    if later_s:
        tally.recoveries_s.append(min(later_s) - killed_s)


def _choose_victim(site: Site, number: int) -> tuple[str, Callable[[], None]]:
    """Each kind of death in its turn, so that a few rounds show all of them."""
    victims = sorted(site.victims().items())
    return victims[number % len(victims)]


def repeat_all(site: Site, tally: Tally) -> None:
    """Ask once more for everything that was acknowledged."""
    client = PartnerClient(site.port, site.installation.api_key)
    for key, body in tally.record.answers.items():
        reply = client.sell(tally.purchases[key])
        if (reply.status, reply.body) != (CREATED, body):
            tally.record.faults.append(f"{key} was acknowledged, now it is {reply.body!r}")
    client.close()


def run(
    folder: Path, url: str | None, server: PostgresServer | None, *, rounds: int, seed: int
) -> tuple[str, list[str]]:
    """Prove one database; its figures and its faults."""
    expected = rounds * CLIENTS_MAX * SALES_PER_CLIENT
    meter_count = max(CLIENTS_MAX * 4, 2 * expected // SALES_PER_METER)
    installation = install(folder, url, meter_count=meter_count)
    port = free_port()
    site = Site(
        installation,
        port,
        start_service(installation, port),
        ProductProcess(installation, "worker"),
        server,
        random.Random(seed),  # noqa: S311 # a repeatable plan
    )
    tally = Tally()
    try:
        for number in range(rounds):
            run_round(site, number, tally)
        repeat_all(site, tally)
    finally:
        site.service.stop()
        site.worker.stop()
    faults = tally.record.faults + check(installation, tally.record, len(tally.purchases))
    slowest_s = max(tally.recoveries_s, default=0.0)
    if slowest_s > RECOVERY_S_MAX:
        faults.append(f"recovery took {slowest_s:.1f} s")
    deaths = ", ".join(f"{name} {count}" for name, count in sorted(tally.deaths.items()))
    median_s = sorted(tally.recoveries_s)[len(tally.recoveries_s) // 2] if tally.recoveries_s else 0
    figures = (
        f"{'sqlite' if server is None else 'postgresql'} {rounds} rounds ({deaths}) "
        f"{len(tally.record.answers)} acknowledged, recovery median {median_s:.1f} s "
        f"max {slowest_s:.1f} s"
    )
    return figures, faults


def main() -> int:
    """Run the proof; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=20, help="rounds on each database")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the databases are made; default: /tmp")
    options = parser.parse_args()
    rounds, seed = options.size, options.seed
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        results.append(run(Path(folder) / "sqlite", None, None, rounds=rounds, seed=seed))
        say(results[-1][0])
        with PostgresServer(parent=options.folder) as server:
            url = server.create_database("proof")
            results.append(run(Path(folder) / "pg", url, server, rounds=rounds, seed=seed))
    faults = [fault for _, found in results for fault in found]
    for fault in faults[:50]:
        say(f"FAULT {fault}")
    figures = "; ".join(line for line, _ in results)
    load = os.getloadavg()[0]
    say(f"kill: seed {seed}; {figures}; faults {len(faults)}; load {load:.1f}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

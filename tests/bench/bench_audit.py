"""Verifies a long audit chain on both databases, beside plain SHA-256 over the same bytes.

    python tests/bench/bench_audit.py --size 1000000 --seed 1

The events look like those of sales. The ratio holds on any machine, the figures on this one. Also
says how many events a second are sealed. One line; a benchmark, no test.
"""

import argparse
import hashlib
import json
import os
import random  # noqa: TID251 # a seeded log that can be repeated
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.postgres_server import PostgresServer
from tests.support.audit_chain import Chain
from tests.support.partner_client import say
from vending.audit.repository import read_events, read_links
from vending.audit.rules import ChainKeys
from vending.persistence import migrate
from vending.persistence.engine import Database, EngineKind, create_database
from vending.values.clock import FixedClock

START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = "id, at, actor_kind, actor_name, actor_id, session_id, action, subject, details"
FILL_MAX = 10_000
Event = tuple[uuid.UUID, datetime, str, str, uuid.UUID, None, str, str, str]


def make_events(size: int, rng: random.Random) -> Iterator[Event]:
    """Events of sales, one a millisecond."""
    partners = [uuid.UUID(int=rng.getrandbits(128)) for _ in range(50)]
    for number in range(size):
        at = START + timedelta(milliseconds=number)
        unix_ms = int(at.timestamp() * 1000)
        event_id = uuid.UUID(int=unix_ms << 80 | 0x7 << 76 | 0b10 << 62 | rng.getrandbits(62))
        details = {
            "base_date": 2014,
            "currency": "KES",
            "meter_id": str(uuid.UUID(int=rng.getrandbits(128))),
            "net_minor": rng.randrange(10_000),
            "receipt_number": f"{rng.getrandbits(48):012X}",
            "register": "123457/1/DUTK",
            "tender_minor": rng.randrange(10_000),
            "tid": 5_000_000 + number,
            "token_id": str(uuid.UUID(int=rng.getrandbits(128))),
            "units_on_token": rng.randrange(5_000),
            "vat_minor": rng.randrange(2_000),
        }
        subject = f"sale:{uuid.UUID(int=rng.getrandbits(128))}"
        text = json.dumps(details, separators=(",", ":"))
        partner = rng.choice(partners)
        yield event_id, at, "partner", "Corner Kiosk", partner, None, "sale.issued", subject, text


def fill(database: Database, size: int, rng: random.Random) -> None:
    """Store the events and queue them."""
    events = make_events(size, rng)
    for _ in range(0, size, FILL_MAX):
        some = list(islice(events, FILL_MAX))
        with database.unit_of_work() as uow:
            driver: Any = uow.connection.connection.driver_connection
            if database.dialect is EngineKind.SQLITE:
                _fill_sqlite(driver, some)
            else:
                _fill_postgresql(driver, some)
            uow.commit()


def _fill_sqlite(driver: Any, events: list[Event]) -> None:  # noqa: ANN401 # the driver has no types
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    rows = [
        (e[0].bytes, (e[1] - epoch) // timedelta(microseconds=1), *e[2:4], e[4].bytes, *e[5:])
        for e in events
    ]
    marks = ", ".join("?" * 9)
    driver.executemany(f"INSERT INTO audit_events ({COLUMNS}) VALUES ({marks})", rows)  # noqa: S608 # our own names
    driver.executemany("INSERT INTO audit_queue VALUES (?)", [row[:1] for row in rows])


def _fill_postgresql(driver: Any, events: list[Event]) -> None:  # noqa: ANN401 # the driver has no types
    with driver.cursor() as cursor:
        with cursor.copy(f"COPY audit_events ({COLUMNS}) FROM STDIN") as copy:
            for event in events:
                copy.write_row(event)
        with cursor.copy("COPY audit_queue FROM STDIN") as copy:
            for event in events:
                copy.write_row(event[:1])


def hash_plainly(database: Database, keys: ChainKeys) -> float:
    """Seconds that SHA-256 alone takes over the bytes of events and links, in memory already."""
    del keys
    spent_s = 0.0
    with database.read() as connection:
        for rows in read_events(connection, FILL_MAX):
            spent_s += _hash_all(rows)
        for links in read_links(connection, FILL_MAX):
            spent_s += _hash_all([message for *_, message in links])
    return spent_s


def _hash_all(rows: list[bytes]) -> float:
    started_s = time.perf_counter()
    for row in rows:
        hashlib.sha256(row).digest()
    return time.perf_counter() - started_s


def measure(name: str, url: str, size: int, seed: int) -> str:
    """Fill, seal and verify one database; its figures."""
    database = create_database(url)
    try:
        migrate.upgrade(database)
        rng = random.Random(seed)  # noqa: S311 # a repeatable log
        chain = Chain(database, FixedClock(START + timedelta(milliseconds=size)))
        fill(database, size, rng)
        if database.dialect is EngineKind.POSTGRESQL:
            with database.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                    "VACUUM ANALYZE"
                )
        started_s = time.perf_counter()
        while chain.seal():
            chain.clock.advance(timedelta(seconds=1))
        sealed_s = time.perf_counter() - started_s
        durations_s = []
        for _ in range(2):
            started_s = time.perf_counter()
            report = chain.verify()
            durations_s.append(time.perf_counter() - started_s)
            assert (report.links, report.finding_count) == (size, 0), report
        plain_s = hash_plainly(database, chain.keys)
        best_s = min(durations_s)
        return (
            f"{name} {best_s:.1f} s {size / best_s:.0f}/s {best_s / plain_s:.1f} of SHA-256, "
            f"sealed {size / sealed_s:.0f}/s"
        )
    finally:
        database.close()


def main() -> int:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as server:
        places = {
            "sqlite": f"sqlite:///{folder}/bench.sqlite3",
            "postgresql": server.create_database("bench"),
        }
        parts = [measure(name, url, options.size, options.seed) for name, url in places.items()]
    load = os.getloadavg()[0]
    say(f"bench audit: verify {options.size} events: {'; '.join(parts)}; load {load:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

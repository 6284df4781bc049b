"""Tampers with the audit chain as a superuser of its database, and has every row named.

    python tests/proofs/proof_audit.py --size 10000 --seed 1

Each tampering is done to a chain that was seen whole, in a transaction that is rolled back: edits
of any column of events, links and heads; rows deleted, swapped, renumbered, put in, put in again;
links and heads made anew without the keys; ends cut off; the queue emptied. What must be named,
and that nothing else is, `tests/support/audit_tampering.py` says. Most chains are short; one in
fifty has thousands of links. Half on SQLite, half on PostgreSQL. Exits 1 on a fault; the last
line holds the figures.
"""

import argparse
import os
import random  # noqa: TID251 # a seeded plan that can be repeated
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.postgres_server import PostgresServer
from tests.support.audit_chain import Chain
from tests.support.audit_tampering import TAMPERINGS, Superuser
from tests.support.partner_client import say
from vending.audit.rules import ChainKeys
from vending.audit.service.heads import ExportedLine
from vending.audit.service.verify import verify
from vending.persistence import migrate
from vending.persistence.engine import create_database
from vending.values.clock import FixedClock

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
SHORT = (3, 7, 1, 5, 4, 2, 6, 2)
LONG = (700, 1_000, 300, 1_000)
LONG_ONE_IN = 50
WIDE = {"close_the_ranks", "rewrite_links", "rewrite_heads", "cut_end", "cut_links_and_events"}
"""Tamperings that write every row behind a place are tried on short chains."""


@dataclass(frozen=True)
class Target:
    """A chain, and what is known of it outside its database."""

    chain: Chain
    keys: ChainKeys
    exported: list[ExportedLine]


@dataclass
class Record:
    """What was tried, and what was missed."""

    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    links: int = 0
    """Walked by all verifications together."""


def tamper(target: Target, name: str, rng: random.Random, record: Record) -> None:
    """Do one tampering, look, and take it back."""
    with target.chain.database.unit_of_work() as uow:
        expected = TAMPERINGS[name](Superuser(uow.connection, rng))
        now, exported = target.chain.clock.now(), target.exported
        report = verify(uow.connection, target.keys, now=now, exported=exported)
    record.done[name] += 1
    record.links += report.links
    faults = expected.faults(report.findings)
    if not report.finding_count:
        faults.append("nothing was found")
    record.faults += [f"{name}: {fault}" for fault in faults]


def make_target(name: str, file: Path, server: PostgresServer) -> Target:
    """A chain in a database of its own, whose walls are down."""
    database = create_database(
        f"sqlite:///{file}.sqlite3" if name == "sqlite" else server.create_database(file.name)
    )
    migrate.upgrade(database)
    chain = Chain(database, FixedClock(START))
    chain.fill(LONG if file.name == "long" else SHORT)
    with chain.superuser() as connection:
        chain.disarm(connection)
    return Target(chain, chain.keys, chain.exported())


def run(name: str, folder: Path, server: PostgresServer, size: int, seed: int) -> Record:
    """Tamper so many times on one database."""
    rng = random.Random(f"{name} {seed}")  # noqa: S311 # a repeatable plan
    record = Record()
    short, long = (make_target(name, folder / which, server) for which in ("short", "long"))
    names = sorted(TAMPERINGS)
    for number in range(size):
        wanted = names[number % len(names)] if number < len(names) else rng.choice(names)
        is_long = number % LONG_ONE_IN == LONG_ONE_IN - 1 and wanted not in WIDE
        tamper(long if is_long else short, wanted, rng, record)
    for target in (short, long):
        report = target.chain.verify(target.exported)
        if report.finding_count:
            record.faults.append(f"a tampering was not taken back: {report.findings[:3]}")
        target.chain.database.close()
    return record


def main() -> int:
    """Run the proof; 0 when every tampering was named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the databases are made; default: /tmp")
    options = parser.parse_args()
    started_s = time.perf_counter()
    records = {}
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        PostgresServer(parent=options.folder) as server,
    ):
        half = options.size // 2
        for name, size in (("sqlite", half), ("postgresql", options.size - half)):
            records[name] = run(name, Path(folder), server, size, options.seed)
            say(f"{name}: {dict(sorted(records[name].done.items()))}")
    faults = [f"{name}: {one}" for name, record in records.items() for one in record.faults]
    for fault in faults[:50]:
        say(f"FAULT {fault}")
    figures = ", ".join(f"{name} {record.done.total()}" for name, record in records.items())
    links = sum(record.links for record in records.values())
    seconds = time.perf_counter() - started_s
    say(
        f"audit: seed {options.seed}; {options.size} tamperings of {len(TAMPERINGS)} kinds "
        f"({figures}), all named but {len(faults)}; {links} links walked; {seconds:.0f} s; "
        f"faults {len(faults)}; load {os.getloadavg()[0]:.1f}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

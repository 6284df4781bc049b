"""Measures the bulk path of key changes: `python tests/bench/bench_key_change.py --size 1000000`.

A register of SIZE meters is put into a database and a campaign over it is started: that chooses the
meters and binds what each holds. Then the worker's own batches make, seal and store a set for each,
under ceilings and with an audit event a batch; the meters have no link, so no command is queued.
Reported are seconds and sets a second, and the largest memory of the process. Exits 1 if a set is
missing, or if a set of the sample does not change a meter that is made to take it.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from simulators.token_acceptor import AcceptorState, KeyState, MeterKind, accept
from tests.postgres_server import PostgresServer
from tests.support.campaigns import Fleet
from tests.support.shop import TARIFF, pan_of
from tests.support.vending_keys import DUTK_2014, register_of
from vending.campaigns.model import Campaign, MeterStep
from vending.campaigns.service.deliveries import find_outstanding, open_set
from vending.campaigns.service.issuing import issue_batch
from vending.meters.model import MeterState
from vending.meters.service import find_meters_by_id
from vending.meters.tables import meters
from vending.persistence import migrate
from vending.persistence.bulk import insert_rows
from vending.persistence.engine import Database, create_database
from vending.sts import EncryptionAlgorithm, KeyType, Resource
from vending.sts.dkga import derive_decoder_key
from vending.values.clock import FixedClock
from vending.values.identifiers import MeterId, new_uuid7

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
BATCH = 1_000
"""Meters in one transaction; the worker takes 500, between which sales go on."""
CHUNK = 10_000
SAMPLE = 20


def fill_register(database: Database, clock: FixedClock, size: int) -> list[MeterId]:
    """Put the meters in, row by row as the register keeps them; return a sample."""
    attributes = DUTK_2014.attributes
    sample: list[MeterId] = []
    for start in range(0, size, CHUNK):
        rows: list[dict[str, object]] = [
            {
                "id": new_uuid7(clock),
                "pan": pan_of(number).digits,
                "sgc": attributes.sgc.digits,
                "krn": attributes.krn,
                "kt": attributes.kt.value,
                "ti": "01",
                "ea": EncryptionAlgorithm.STA.value,
                "dkga": attributes.dkga.value,
                "base_date": attributes.base_date.value,
                "tariff_code": TARIFF,
                "currency": "KES",
                "resource": Resource.ELECTRICITY.value,
                "location": f"Block {number % 997}",
                "state": MeterState.COMMISSIONED.value,
                "registered_at": clock.now(),
            }
            for number in range(start, min(start + CHUNK, size))
        ]
        with database.unit_of_work() as uow:
            insert_rows(uow.connection, meters, rows)
            uow.commit()
        sample += [MeterId(row["id"]) for row in rows[:1] if len(sample) < SAMPLE]  # type: ignore[arg-type] # our own ids
    return sample


def issue_all(fleet: Fleet, campaign: Campaign) -> int:
    """Run batches until no meter is planned; return how many sets were made."""
    made = 0
    while issued := issue_batch(fleet.office, campaign.id, limit=BATCH).issued:
        made += issued
    return made


def check(fleet: Fleet, campaign: Campaign, size: int, sample: Sequence[MeterId]) -> list[str]:
    """What is wrong: a set too few, or one that its meter would not take."""
    faults = []
    steps = fleet.steps(campaign.id)
    if steps != {MeterStep.ISSUED: size}:
        faults.append(f"of {size} meters: {steps}")
    with fleet.database.read() as connection:
        out = find_outstanding(connection, sample)
        held = find_meters_by_id(connection, sample)
        sections = {
            one: open_set(connection, found.id, fleet.office.sealer) for one, found in out.items()
        }
    key = fleet.shop.store.vending_key(register_of(DUTK_2014))
    for one in sample:
        meter = held[one]
        present = derive_decoder_key(key, pan=meter.pan, ti=meter.ti, ea=meter.ea)
        keys = KeyState(present, meter.sgc, KeyType.DUTK, krn=meter.krn, ken=255, ti=meter.ti)
        state = AcceptorState(MeterKind(), keys)
        for section in sections.get(one, ()):
            state = accept(state, section, at_ms=0, room=0).state
        if state.keys.krn != out[one].new.krn:
            faults.append(f"the set of {meter.pan.iain} does not change it")
    return faults


def run(name: str, url: str, folder: Path, size: int) -> tuple[dict[str, int | str], list[str]]:
    """Measure one database; its figures and what is wrong."""
    folder.mkdir(exist_ok=True)
    database = create_database(url)
    migrate.upgrade(database)
    clock = FixedClock(NOW)
    fleet = Fleet(database, clock, folder, 0)
    sample = fill_register(database, clock, size)
    drafted = fleet.draft()
    started_s = time.perf_counter()
    campaign = fleet.start(drafted)
    chosen_s = time.perf_counter()
    made = issue_all(fleet, campaign)
    done_s = time.perf_counter()
    faults = check(fleet, campaign, size, sample)
    database.close()
    figures: dict[str, int | str] = {
        "database": name,
        "sets": made,
        "choose_s": round(chosen_s - started_s),
        "issue_s": round(done_s - chosen_s),
        "sets_a_second": round(made / (done_s - chosen_s)),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    return figures, faults


@contextmanager
def urls(names: Sequence[str], folder: Path) -> Iterator[dict[str, str]]:
    """The databases asked for, each empty."""
    server = PostgresServer(parent=folder) if "postgresql" in names else nullcontext()
    with server as running:
        found = {}
        if "sqlite" in names:
            found["sqlite"] = f"sqlite:///{folder / 'bench.sqlite3'}"
        if running is not None:
            found["postgresql"] = running.create_database("bench")
        yield found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=20_000, help="meters")
    parser.add_argument("--seed", type=int, default=1, help="not used: the numbers are in a row")
    parser.add_argument(
        "--engine",
        dest="engines",
        choices=["sqlite", "postgresql"],
        action="append",
        help="default: both",
    )
    parser.add_argument("--folder", type=Path, help="where the databases are made; default: /tmp")
    parser.add_argument("--json", action="store_true", help="end with the figures as JSON")
    options = parser.parse_args(arguments)
    names = options.engines or ["sqlite", "postgresql"]
    results = []
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as place,
        urls(names, Path(place)) as found,
    ):
        for name, url in found.items():
            results.append(run(name, url, Path(place) / name, options.size))
    faults = [fault for _, wrong in results for fault in wrong]
    for fault in faults:
        sys.stdout.write(f"FAULT {fault}\n")
    told = "; ".join(
        f"{one['database']} {one['sets']} sets in {one['issue_s']} s, {one['sets_a_second']}/s "
        f"(chosen in {one['choose_s']} s, memory {one['memory_mb']} MB)"
        for one, _ in results
    )
    line = f"key change: {told}; faults {len(faults)}; load {os.getloadavg()[0]:.1f}"
    summary = {"figures": [one for one, _ in results], "faults": faults}
    sys.stdout.write((json.dumps(summary) if options.json else line) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Sells, backs up while selling, sells on, destroys everything, restores, sells.

    python tests/proofs/proof_restore.py --size 3000 --seed 1

Real processes: the service over HTTP, `vending backup create` beside it, kill -9, the database
and the data folder deleted, `vending restore` by two custodians, the service again. Then: what was
sold before the backup is answered as it was; what was lost is listed by its receipt, and its
retries are refused; no identifier comes twice among all tokens ever issued, the lost ones
included; the books balance. From SQLite to SQLite, PostgreSQL to PostgreSQL, and SQLite to
PostgreSQL. Exits 1 on a fault; the last line holds the figures.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.postgres_server import PostgresServer
from tests.support.backups import make_custodians, name_custodians
from tests.support.books import find_broken
from tests.support.installation import Installation, ProductProcess, install
from tests.support.partner_client import PartnerClient, Purchase, say
from tests.support.people import open_session_for, operator_named
from tests.support.vending_keys import DUTK_2014
from vending.cli.session_file import write_session
from vending.keystore.components import combine
from vending.operators.permissions import Role
from vending.partners.service import load_partner
from vending.sts import TI, EncryptionAlgorithm, TransferCredit, decode
from vending.sts.dkga import derive_decoder_key
from vending.sts.keys import VendingKey
from vending.sts.pan import MeterPAN
from vending.values.clock import SystemClock

CLIENTS = 8
SALES_PER_METER = 30
CREATED, REFUSED = 201, 422
AHEAD_AFTER_MIN = 300
"""After the restore the service may go further ahead than the floor: the drill does not wait."""


@dataclass
class Told:
    """What the partner was told, by the key of the sale."""

    answers: dict[str, bytes]
    faults: list[str]

    def documents(self) -> dict[str, dict[str, Any]]:
        return {key: json.loads(body) for key, body in self.answers.items()}


class Restored(Installation):
    """A restored installation, whose administrator signs in there."""

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), "VENDING_SESSION_FILE": str(self.folder / "session")}


class Hurried(Restored):
    """A restored installation whose first tokens do not wait for the clock."""

    def environment(self) -> Mapping[str, str]:
        more = {"VENDING_TID_AHEAD_LIMIT_MIN": str(AHEAD_AFTER_MIN)}
        return {**super().environment(), **more}


def command(installation: Installation, *arguments: str) -> dict[str, Any]:
    """Run one command of the product to its end; what it printed.

    Raises:
        RuntimeError: It was refused.
    """
    done = subprocess.run(
        [sys.executable, "-m", "vending", *arguments, "--json"],
        env=installation.environment(),
        cwd=installation.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"vending {' '.join(arguments)}: {done.stdout}{done.stderr}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def sell(port: int, api_key: str, purchases: Sequence[Purchase], told: Told) -> None:
    """Sell from many clients; what they were told goes into `told`."""
    waiting, lock = iter(purchases), threading.Lock()

    def one_client() -> None:
        client = PartnerClient(port, api_key)
        while True:
            with lock:
                purchase = next(waiting, None)
            if purchase is None:
                break
            reply = client.sell(purchase)
            with lock:
                if reply.status == CREATED:
                    told.answers[purchase.key] = reply.body
                else:
                    told.faults.append(f"{purchase.key}: {reply.status} {reply.body!r}")
        client.close()

    with ThreadPoolExecutor(CLIENTS) as threads:
        for done in [threads.submit(one_client) for _ in range(CLIENTS)]:
            done.result()


def plan(prefix: str, count: int, meters: Sequence[str]) -> list[Purchase]:
    return [
        Purchase(f"{prefix}-{n:06}", meters[n % len(meters)], 1000 + n % 977) for n in range(count)
    ]


def sell_and_back_up(
    installation: Installation, size: int, file: Path, told: Told
) -> tuple[dict[str, Any], float]:
    """Sell all the time; back up in the midst of it; the report and the seconds it took."""
    third = max(CLIENTS, size // 3)
    with ProductProcess(installation, "serve", "--port", "0") as service:
        sell(service.port, installation.api_key, plan("before", third, installation.meters), told)
        during = plan("during", third, installation.meters)
        selling = threading.Thread(
            target=sell, args=(service.port, installation.api_key, during, told)
        )
        selling.start()
        started_s = time.perf_counter()
        report = command(installation, "backup", "create", str(file))
        seconds = time.perf_counter() - started_s
        selling.join()
        sell(service.port, installation.api_key, plan("after", third, installation.meters), told)
        service.kill()
    return report, seconds


def identifiers(told: Told) -> Counter[tuple[str, int]]:
    """How often each identifier of each meter was issued, by what the meters themselves read."""
    secret, _ = combine(DUTK_2014)
    key = VendingKey(DUTK_2014.attributes, secret.reveal())
    found: Counter[tuple[str, int]] = Counter()
    for document in told.documents().values():
        pan = MeterPAN(document["meter"]["pan"])
        decoder = derive_decoder_key(key, pan=pan, ti=TI("01"), ea=EncryptionAlgorithm.STA)
        for token in document["tokens"]:
            read = decode(token["digits"], decoder)
            assert isinstance(read, TransferCredit)
            found[pan.digits, read.tid.minutes] += 1
    return found


def write_statement(path: Path, told: Told) -> None:
    lines = ["receipt_number,idempotency_key,meter,amount_minor"]
    lines += [
        f"{document['receipt_number']},{key},{document['meter']['pan']},{document['tender']['minor']}"
        for key, document in told.documents().items()
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def sign_in(restored: Installation) -> None:
    """Sign an administrator in at the restored installation: every earlier session has ended."""
    database = restored.open()
    try:
        who = operator_named(database, SystemClock(), "restorer", [Role.ADMINISTRATOR])
        opened = open_session_for(database, SystemClock(), who)
    finally:
        database.close()
    write_session(restored.folder / "session", opened.token)


def check_gap(restored: Installation, told: Told, folder: Path) -> tuple[set[str], list[str]]:
    """Hold the partner's statement against the restored books: the lost keys, and faults."""
    database = restored.open()
    try:
        with database.read() as connection:
            partner = load_partner(connection, restored.partner_id).name
            kept = set(
                connection.exec_driver_sql("SELECT idempotency_key FROM sales").scalars().all()
            )
    finally:
        database.close()
    sign_in(restored)
    lost = told.answers.keys() - kept
    receipts = {told.documents()[key]["receipt_number"] for key in lost}
    statement = folder / "statement.csv"
    write_statement(statement, told)
    listed = command(
        restored, "restore", "gap", "--statement", str(statement), "--partner", partner
    )
    faults = []
    if set(listed["unknown_receipts"]) != receipts:
        faults.append(f"{len(receipts)} sales are lost, {len(listed['unknown_receipts'])} listed")
    meters = {told.documents()[key]["meter"]["pan"] for key in lost}
    marked = {one.removeprefix("meter:") for one in listed["to_reconcile"] if "meter:" in one}
    if marked != meters:
        faults.append(f"{len(meters)} meters lost a sale, {len(marked)} are marked")
    if not lost or not kept:
        faults.append(f"the drill shows nothing: {len(lost)} lost, {len(kept)} kept")
    return lost, faults


def check_retries(port: int, restored: Installation, told: Told, lost: set[str]) -> list[str]:
    """Retry some kept and some lost sales: the same answer, or none."""
    client, faults = PartnerClient(port, restored.api_key), []
    chosen = sorted(told.answers.keys() - lost)[:20] + sorted(lost)[:20]
    for key in chosen:
        document = json.loads(told.answers[key])
        meter = next(m for m in restored.meters if document["meter"]["drn"] == m)
        reply = client.sell(Purchase(key, meter, document["tender"]["minor"]))
        if key in lost and reply.status != REFUSED:
            faults.append(f"lost sale {key} was answered {reply.status}")
        if key not in lost and reply.body != told.answers[key]:
            faults.append(f"kept sale {key} is answered otherwise")
    client.close()
    return faults


def check_books(restored: Installation, lost: set[str]) -> list[str]:
    """What is wrong in the books; the closed keys of lost sales are meant to stand alone."""
    database = restored.open()
    try:
        broken = find_broken(database)
    finally:
        database.close()
    return [each for each in broken if not any(f"'{key}'" in each for key in lost)]


def run(
    folder: Path, source: str | None, target: Callable[[], str | None], destroy: Callable[[], None],
    size: int,
) -> tuple[str, list[str]]:  # fmt: skip
    """One drill; its figures and its faults."""
    meter_count = max(CLIENTS, size // SALES_PER_METER)
    installation = install(folder / "live", source, meter_count=meter_count)
    keys = make_custodians(folder / "custodians", "anna", "bela", "chen")
    database = installation.open()
    name_custodians(database, keys, SystemClock())
    database.close()
    told, file = Told({}, []), folder / "drill.vbackup"
    report, backup_s = sell_and_back_up(installation, size, file, told)
    shutil.rmtree(installation.folder)
    destroy()

    place = folder / "restored"
    place.mkdir(mode=0o700)
    fresh = {
        "folder": place,
        "url": target() or f"sqlite:///{place / 'vending.sqlite3'}",
        "key_file": place / "fresh.key",
    }
    restored = Restored(**{**vars(installation), **fresh})
    custodians = [f"--custodian={folder / 'custodians' / name}.key" for name in ("anna", "chen")]
    passphrases = []
    for name in ("anna", "chen"):
        (folder / name).write_text(f"passphrase of {name}\n", "utf-8")
        passphrases.append(f"--passphrase-file={folder / name}")
    started_s = time.perf_counter()
    done = command(restored, "restore", str(file), *custodians, *passphrases)
    restore_s = time.perf_counter() - started_s

    lost, faults = check_gap(restored, told, folder)
    with ProductProcess(Hurried(**vars(restored)), "serve", "--port", "0") as service:
        faults += check_retries(service.port, restored, told, lost)
        again = plan("again", max(len(restored.meters), size // 3), restored.meters)
        sell(service.port, restored.api_key, again, told)
    faults += told.faults
    twice = [each for each, count in identifiers(told).items() if count > 1]
    faults += [f"meter {pan} was given TID {tid} twice" for pan, tid in twice]
    faults += check_books(restored, lost)
    figures = (
        f"{len(told.answers)} sales, {report['rows']} rows backed up in {backup_s:.1f} s "
        f"({report['bytes'] // 1024} KiB), restored in {restore_s:.1f} s, "
        f"{len(lost)} lost and listed, {done['meters']} meters raised"
    )
    return figures, faults


def drill(name: str, folder: Path, server: PostgresServer, size: int) -> tuple[str, list[str]]:
    """Run one of the three drills by its name."""
    folder.mkdir()
    unique = folder.name.replace("-", "_")
    live, fresh = f"live_{unique}", f"fresh_{unique}"
    is_postgres = name == "postgresql"
    return run(
        folder,
        server.create_database(live) if is_postgres else None,
        lambda: None if name == "sqlite" else server.create_database(fresh),
        (lambda: server.drop_database(live)) if is_postgres else (lambda: None),
        size,
    )


DRILLS = ("sqlite", "postgresql", "sqlite-to-postgresql")


def main() -> int:
    """Run the drills; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the databases are made; default: /tmp")
    options = parser.parse_args()
    lines, faults = [], []
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        PostgresServer(parent=options.folder) as server,
    ):
        for name in DRILLS:
            figures, found = drill(name, Path(folder) / name, server, options.size)
            lines.append(f"{name} {figures}")
            say(lines[-1])
            faults += [f"{name}: {one}" for one in found]
    for fault in faults[:50]:
        say(f"FAULT {fault}")
    load = os.getloadavg()[0]
    say(f"restore: seed {options.seed}; {'; '.join(lines)}; faults {len(faults)}; load {load:.1f}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

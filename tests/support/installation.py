"""An installation that real processes serve: data folder, database, keys, a tariff, meters."""

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.support.partners import add_unlimited_partner, issue_key
from tests.support.shop import KES, TARIFF, pan_of
from tests.support.tariffs import add_version
from tests.support.vending_keys import DUTK_2014
from vending.keystore.sealing import Purpose, Sealer
from vending.keystore.service import create_store, import_components, open_store
from vending.keystore.unlocking import KeyFile
from vending.meters.model import Location, MeterState, NewMeter
from vending.meters.repository import insert_meters
from vending.meters.service import make_meter
from vending.persistence import migrate
from vending.persistence.engine import Database, create_database
from vending.sts import TI, EncryptionAlgorithm
from vending.tariffs.model import TariffDraft
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock, SystemClock
from vending.values.identifiers import PartnerId

DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"]
"""A proof that is killed leaves no process behind; in util-linux, on every Debian."""
REPOSITORY = Path(__file__).parents[2]
ROWS_AT_ONCE = 500
STOP_TIMEOUT_S = 100


@dataclass(frozen=True)
class Installation:
    """Where it is, and what a partner knows of it."""

    folder: Path
    url: str
    key_file: Path
    partner_id: PartnerId
    api_key: str
    meters: list[str]

    def environment(self) -> Mapping[str, str]:
        """All that its processes are told."""
        return {
            "VENDING_DATA_DIR": str(self.folder),
            "VENDING_DATABASE_URL": self.url,
            "VENDING_KEY_STORE_KEY_FILE": str(self.key_file),
            "VENDING_UTILITY_NAME": "Proof Utility",
            "PYTHONPATH": str(REPOSITORY),
        }

    def open(self) -> Database:
        """Its database, for looking at what the processes left."""
        return create_database(self.url)

    def answer_sealer(self, database: Database) -> Sealer:
        """What opens its stored answers."""
        store = open_store(database, KeyFile(self.key_file), data_folder=self.folder)
        return store.sealer(Purpose.STORED_ANSWERS)


def install(folder: Path, url: str | None, *, meter_count: int) -> Installation:
    """Make an installation in an empty folder; without a URL its database is SQLite there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = url or f"sqlite:///{folder / 'vending.sqlite3'}"
    clock = FixedClock(SystemClock().now())  # a tariff that starts now does not start before now
    database = create_database(url)
    try:
        migrate.upgrade(database)
        unlock = KeyFile.create(folder / "keystore.key")
        store = create_store(database, unlock, data_folder=folder, clock=clock)
        import_components(database, store, DUTK_2014, by=SYSTEM, clock=clock)
        draft = TariffDraft(
            code=TARIFF,
            currency=KES,
            price_per_kwh_micro=20_000_000,
            vat_basis_points=1600,
            effective_from=clock.now(),
        )
        add_version(database, draft, clock=clock)
        partner = add_unlimited_partner(database, f"Shop {secrets.token_hex(4)}", KES, clock=clock)
        return Installation(
            folder=folder,
            url=url,
            key_file=unlock.path,
            partner_id=partner.id,
            api_key=issue_key(database, partner.id, clock=clock).secret_text,
            meters=_add_meters(database, meter_count, clock),
        )
    finally:
        database.close()


def _add_meters(database: Database, count: int, clock: FixedClock) -> list[str]:
    attributes = DUTK_2014.attributes
    meters = [
        replace(
            make_meter(
                NewMeter(
                    pan=pan_of(serial),
                    sgc=attributes.sgc,
                    krn=attributes.krn,
                    kt=attributes.kt,
                    ti=TI("01"),
                    ea=EncryptionAlgorithm.STA,
                    dkga=attributes.dkga,
                    base_date=attributes.base_date,
                    tariff_code=TARIFF,
                    currency=KES,
                    location=Location("Proof Lane"),
                ),
                clock,
            ),
            state=MeterState.COMMISSIONED,
        )
        for serial in range(count)
    ]
    with database.unit_of_work() as uow:
        for start in range(0, count, ROWS_AT_ONCE):
            chunk = meters[start : start + ROWS_AT_ONCE]
            insert_meters(uow.connection, chunk, registered_at=clock.now())
        uow.commit()
    return [meter.pan.iain for meter in meters]


class ProductProcess:
    """One process of the product, killed or stopped by its owner."""

    def __init__(self, installation: Installation, *arguments: str) -> None:
        self._log: IO[bytes] = (installation.folder / f"{arguments[0]}.log").open("ab")
        self._process = subprocess.Popen(
            [*DIES_WITH_US, sys.executable, "-m", "vending", *arguments, "--json"],
            env=installation.environment(),
            cwd=installation.folder,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.kill()
            log = Path(self._log.name).read_text("utf-8")[-2000:]
            raise RuntimeError(f"vending {arguments[0]} did not start:\n{log}")
        self.said: dict[str, str] = json.loads(line)

    @property
    def port(self) -> int:
        """Where the service listens."""
        return int(self.said["url"].rsplit(":", 1)[1])

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._wait()

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._process.terminate()
        self._wait()

    def _wait(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait(STOP_TIMEOUT_S)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.stop()

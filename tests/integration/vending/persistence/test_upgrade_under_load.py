"""Tables change under a service that sells: nothing fails but what may be sent again."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

import pytest

from tests.support.books import find_broken
from tests.support.installation import Installation, ProductProcess, install
from tests.support.partner_client import PartnerClient, Purchase
from vending.persistence import migrate
from vending.persistence.engine import create_database

CREATED = 201
CLIENTS = 4
EXPANSIONS = (
    'op.add_column("sales", sa.Column("note", sa.Text))',
    'op.create_index("ix_sales_note", "sales", ["note"])',
    (
        'op.create_table("sale_notes", sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("sale_id", UUIDColumn, sa.ForeignKey("sales.id")), sqlite_strict=True)'
    ),
)
CONTRACTIONS = (
    'op.drop_column("sales", "note")',
    'op.drop_index("ix_sales_note")',
    'op.drop_table("sale_notes")',
)
SCRIPT = """
import sqlalchemy as sa
from alembic import op
from vending.persistence.column_types import UUIDColumn
revision = "x{number}"
down_revision = "{previous}"
expands = True
def upgrade():
    {up}
def downgrade():
    {down}
"""


@pytest.fixture
def next_releases(tmp_path: Path) -> Path:
    """Three later releases, each of which adds something to the busiest table."""
    folder = tmp_path / "later"
    shutil.copytree(migrate.script_folder(), folder)
    previous = migrate.head_revision()
    for number, (up, down) in enumerate(zip(EXPANSIONS, CONTRACTIONS, strict=True), 1):
        text = SCRIPT.format(number=number, previous=previous, up=up, down=down)
        (folder / "versions" / f"2099123{number}_0000_x.py").write_text(text, "utf-8")
        previous = f"x{number}"
    return folder


class Load:
    """Clients that sell until they are told to stop."""

    def __init__(self, installation: Installation, port: int) -> None:
        self.failures: list[str] = []
        self.receipts: list[str] = []
        self._installation, self._port = installation, port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._sell, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _sell(self, client_number: int) -> None:
        client, count = PartnerClient(self._port, self._installation.api_key), 0
        meters = self._installation.meters
        while not self._stop.is_set():
            count += 1
            meter = meters[(client_number + CLIENTS * count) % len(meters)]
            reply = client.sell(Purchase(f"load-{client_number}-{count}", meter, 1500))
            if reply.status == CREATED:
                self.receipts.append(json.loads(reply.body)["receipt_number"])
            else:
                self.failures.append(f"{reply.status} {reply.body!r}")
        client.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_no_sale_fails_while_tables_go_up_and_down(
    engine: str, tmp_path: Path, next_releases: Path, request: pytest.FixtureRequest
) -> None:
    url = None if engine == "sqlite" else str(request.getfixturevalue("postgres_url"))
    installation = install(tmp_path / "live", url, meter_count=120)
    migrator = create_database(installation.url)
    head = migrate.head_revision()
    try:
        with (
            ProductProcess(installation, "serve", "--port", "0") as service,
            Load(installation, service.port) as load,
        ):
            sold = []
            for target in ("x1", "x3"):
                migrate.upgrade(migrator, target, folder=next_releases, pause_s=0.05)
                sold.append(len(load.receipts))
            for target in ("x2", "x1", head):
                migrate.downgrade(migrator, target, folder=next_releases, pause_s=0.05)
                sold.append(len(load.receipts))
            _sell_on(load, sold[-1])
        assert load.failures == []
        assert find_broken(migrator) == []
        with migrator.read() as connection:
            stored = connection.exec_driver_sql("SELECT receipt_number FROM sales").scalars().all()
        assert sorted(stored) == sorted(load.receipts)
        migrate.require_head(migrator)
    finally:
        migrator.close()


def test_the_release_before_starts_on_the_tables_of_the_next(
    tmp_path: Path, next_releases: Path
) -> None:
    installation = install(tmp_path / "live", None, meter_count=2)
    database = create_database(installation.url)
    migrate.upgrade(database, "x1", folder=next_releases)
    with ProductProcess(installation, "serve", "--port", "0") as service:
        client = PartnerClient(service.port, installation.api_key)
        sold = client.sell(Purchase("rolled-back", installation.meters[0], 1500))
        client.close()
    assert sold.status == CREATED
    migrate.upgrade(database, "x2", folder=next_releases)
    database.close()
    refused = subprocess.run(
        [sys.executable, "-m", "vending", "serve", "--port", "0", "--json"],
        env=installation.environment(),
        cwd=installation.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(refused.stdout)["error"]["code"] == "schema_mismatch"


def _sell_on(load: Load, before: int) -> None:
    """Go on until some more were sold.

    Raises:
        AssertionError: Nothing is.
    """
    pause = threading.Event()
    for _ in range(2000):
        if len(load.receipts) > before + CLIENTS:
            return
        pause.wait(0.05)
    raise AssertionError(f"nothing is sold any more: {load.failures}")

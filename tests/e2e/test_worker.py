"""A sale, its worker and a simulated meter: from the vend to the credit on the meter."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulators.fleet import RunningFleet, running_fleet
from simulators.fleet_file import load_fleet
from tests.support.shop import Shop, build_shop
from tests.support.vending_keys import DKGA04_HEX, DUTK_2014
from vending.bootstrap import Container
from vending.commands.model import CommandState
from vending.commands.service import list_for_meter
from vending.meters.service import change_link
from vending.persistence.engine import Database
from vending.sales.model import Answer
from vending.sales.service.vend import vend
from vending.settings import Settings
from vending.sts.dkga import derive_decoder_key
from vending.sts.keys import VendingKey
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.worker.loop import run_worker

FLEET = """
format = 1
[[lines]]
name = "gateway"
kind = "tcp"
port = 0
[[meters]]
drn = "{drn}"
line = "gateway"
unit = 1
decoder_key = "{key}"
sgc = "{sgc}"
mean_w = 0
"""
ROUNDS_MAX = 3000


@dataclass
class Utility:
    """A shop, its container, and the meter it sells to."""

    shop: Shop
    container: Container
    fleet: RunningFleet

    @property
    def balance_wh(self) -> int:
        return self.fleet.meter(self.shop.meters[0].pan.drn.digits).state.electric.balance_wh

    def states(self) -> list[CommandState]:
        with self.shop.database.read() as connection:
            found = list_for_meter(connection, self.shop.meters[0].id)
        return [command.state for command in found]

    def wait_for_delivery(self) -> None:
        pause = threading.Event()
        for _ in range(ROUNDS_MAX):
            if self.states() == [CommandState.DONE]:
                return
            pause.wait(0.02)


@pytest.fixture
def utility(
    sqlite_database: Database, fixed_clock: FixedClock, tmp_path: Path
) -> Iterator[Utility]:
    shop = build_shop(sqlite_database, fixed_clock, tmp_path, meter_count=1)
    meter = shop.meters[0]
    vending_key = VendingKey(DUTK_2014.attributes, bytes.fromhex(DKGA04_HEX))
    key = derive_decoder_key(vending_key, pan=meter.pan, ti=meter.ti, ea=meter.ea)
    file = tmp_path / "fleet.toml"
    drn, sgc = meter.pan.drn.digits, meter.sgc.digits
    file.write_text(FLEET.format(drn=drn, sgc=sgc, key=key.material.hex()), "utf-8")
    with running_fleet(load_fleet(file)) as fleet:
        change_link(
            sqlite_database,
            meter.pan,
            profile="reference_prepay",
            link=fleet.link(drn),
            by=SYSTEM,
            clock=fixed_clock,
        )
        settings = Settings(meter_timeout_ms=30_000, worker_poll_ms=10)
        yield Utility(shop, shop.container(settings), fleet)


def test_worker_brings_a_sale_to_the_meter(utility: Utility) -> None:
    (outcome,) = vend([utility.shop.request("k-1")], utility.shop.desk)
    assert isinstance(outcome, Answer)
    stop = threading.Event()
    worker = threading.Thread(target=run_worker, args=(utility.container, stop))
    worker.start()
    utility.wait_for_delivery()
    stop.set()
    worker.join(timeout=100)
    assert not worker.is_alive()
    assert utility.states() == [CommandState.DONE]
    assert utility.balance_wh > 0
    assert utility.container.metrics.registry.get_sample_value("vending_clock_trusted") == 1


def test_worker_ends_at_the_signal(utility: Utility) -> None:
    vend([utility.shop.request("k-1")], utility.shop.desk)

    def stop_after_the_delivery() -> None:
        utility.wait_for_delivery()
        os.kill(os.getpid(), signal.SIGTERM)

    operator = threading.Thread(target=stop_after_the_delivery)
    operator.start()
    run_worker(utility.container)
    operator.join(timeout=100)
    assert utility.states() == [CommandState.DONE]

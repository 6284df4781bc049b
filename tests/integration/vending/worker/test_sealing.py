"""The jobs that seal the audit log, as the worker runs them."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from tests.support.audit_chain import disarm
from tests.support.shop import Shop, build_shop
from vending.audit.model import AuditReport
from vending.audit.service.heads import list_files, read_lines
from vending.audit.service.keys import load_keys
from vending.audit.service.verify import verify
from vending.audit.tables import audit_heads, audit_links
from vending.bootstrap import Container
from vending.keystore.sealing import Purpose
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.sales.model import Answer
from vending.sales.service.vend import vend
from vending.values.clock import FixedClock, SystemClock
from vending.worker.loop import run_worker
from vending.worker.sealing import make_sealing_jobs


@pytest.fixture
def shop(database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Shop:
    return build_shop(database, fixed_clock, tmp_path)


@pytest.fixture
def container(shop: Shop) -> Container:
    return shop.container()


def run_all(container: Container) -> list[int]:
    return [job.run(lambda _, action: action()) for job in make_sealing_jobs(container)]


def look(container: Container) -> AuditReport:
    folder = container.settings.effective_audit_heads_dir
    with container.database.read() as connection:
        keys = load_keys(connection, container.store.sealer(Purpose.AUDIT_KEYS))
        lines = list(read_lines(list_files(folder)))
        return verify(connection, keys, now=container.clock.now(), exported=lines)


def test_a_sale_is_recorded_sealed_and_its_head_exported(
    shop: Shop, container: Container, fixed_clock: FixedClock
) -> None:
    run_all(container)
    (outcome,) = vend([shop.request("k-1")], shop.desk)
    assert isinstance(outcome, Answer)
    fixed_clock.advance(timedelta(seconds=3))
    sealed, exported, _ = run_all(container)
    assert (sealed, exported) == (1, 1)
    report = look(container)
    assert report.findings == ()
    with shop.database.read() as connection:
        query = select(audit_events).where(audit_events.c.action == "sale.issued")
        event = connection.execute(query).one()
    assert (event.actor_kind, event.actor_name) == ("partner", shop.partner.name)
    assert event.actor_id == shop.partner.id
    details = event.details
    assert details["receipt_number"].encode() in outcome.body
    assert details["tender_minor"] == 5000
    digits = "".join(each for each in outcome.body.decode() if each.isdigit() or each == '"')
    tokens = [one for one in digits.split('"') if len(one) == 20]
    assert tokens
    assert not any(token in str(event) for token in tokens)


def test_the_gauge_tells_how_long_the_oldest_act_waits(
    shop: Shop, container: Container, fixed_clock: FixedClock
) -> None:
    run_all(container)
    vend([shop.request("k-1")], shop.desk)
    fixed_clock.advance(timedelta(seconds=30))
    lag = make_sealing_jobs(container)[-1]
    lag.run(lambda _, action: action())
    assert 30 <= container.metrics.audit_seal_lag._value.get() < 31
    run_all(container)
    assert container.metrics.audit_seal_lag._value.get() == 0


def test_files_that_cannot_be_read_do_not_stop_the_sealing(
    shop: Shop, container: Container
) -> None:
    run_all(container)
    (file,) = list_files(container.settings.effective_audit_heads_dir)
    file.write_text("garbage\n")
    vend([shop.request("k-1")], shop.desk)
    assert make_sealing_jobs(container)[0].run(lambda _, action: action()) == 1


def test_the_worker_goes_on_behind_an_exported_head(shop: Shop, container: Container) -> None:
    run_all(container)
    with shop.database.unit_of_work() as uow:
        disarm(uow.connection)
        last = uow.connection.execute(
            select(audit_links.c.position).order_by(audit_links.c.position.desc()).limit(1)
        ).scalar_one()
        uow.connection.execute(delete(audit_links))
        uow.connection.execute(delete(audit_heads))
        uow.commit()
    vend([shop.request("k-1")], shop.desk)
    run_all(container)
    with shop.database.read() as connection:
        first = connection.execute(select(audit_links.c.position)).scalars().first()
    assert first == last + 1
    assert look(container).finding_count > 0


def test_a_running_worker_seals_by_itself(sqlite_database: Database, tmp_path: Path) -> None:
    clock = SystemClock()
    shop = build_shop(sqlite_database, FixedClock(clock.now()), tmp_path, meter_count=1)
    container = shop.container()
    stop = threading.Event()
    worker = threading.Thread(target=run_worker, args=(container, stop))
    worker.start()
    try:
        waited = threading.Event()
        for _ in range(1000):
            if list_files(container.settings.effective_audit_heads_dir):
                break
            waited.wait(0.1)
    finally:
        stop.set()
        worker.join()
    assert list_files(container.settings.effective_audit_heads_dir)
    assert look(container).findings == ()

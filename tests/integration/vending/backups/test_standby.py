"""Two servers: what is acknowledged is on both, and survives the loss of the first.

The wait for the standby is real: the standby is stopped, commits wait, one wait is cancelled.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg import sql

from tests.postgres_server import PostgresServer, memory_folder
from tests.support.books import find_broken
from tests.support.shop import Shop, build_desk, build_shop, code_of, document_of
from vending.persistence import migrate
from vending.persistence.engine import create_database
from vending.sales.model import VendOutcome
from vending.values.clock import FixedClock

NAME = "utility"
STANDBY = "standby_a"
TRIES_MAX, PAUSE_S = 5000, 0.02
WAIT_S = 100
WAITING = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@dataclass
class Pair:
    """A primary that answers only once one standby has what it committed."""

    primary: PostgresServer
    standby: PostgresServer
    shop: Shop

    def shop_on(self, server: PostgresServer) -> Shop:
        """The same shop, with another server behind it."""
        database = create_database(server.url(NAME))
        desk = build_desk(database, self.shop.clock, self.shop.store)
        return replace(self.shop, database=database, desk=desk)

    def standby_settings(self) -> dict[str, str]:
        source = f"host={self.primary.folder} user=postgres application_name={STANDBY}"
        return {"primary_conninfo": source, "hot_standby": "on"}


@pytest.fixture
def pair(tmp_path: Path, fixed_clock: FixedClock) -> Iterator[Pair]:
    with PostgresServer(parent=memory_folder()) as primary:
        database = create_database(primary.create_database(NAME))
        migrate.upgrade(database)
        shop = build_shop(database, fixed_clock, tmp_path)
        primary.base_backup(tmp_path / "base")
        both = Pair(primary, primary, shop)
        with PostgresServer(
            both.standby_settings(),
            parent=memory_folder(),
            base=tmp_path / "base",
            signal_file="standby.signal",
        ) as standby:
            both.standby = standby
            quorum = sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}")
            primary.execute(quorum.format(sql.Literal(f"ANY 1 ({STANDBY}, standby_b)")))
            primary.execute(sql.SQL("SELECT pg_reload_conf()"))
            wait_for(primary, "SELECT count(*) FROM pg_stat_replication WHERE sync_state='quorum'")
            yield both
            database.close()


def wait_for(server: PostgresServer, statement: str, wanted: object = 1) -> None:
    """Wait until a query gives what is wanted.

    Raises:
        AssertionError: It does not within a hundred seconds.
    """
    pause = threading.Event()
    for _ in range(TRIES_MAX):
        if server.query(statement) == wanted:
            return
        pause.wait(PAUSE_S)
    raise AssertionError(f"{statement} never gave {wanted}")


def cancelling(server: PostgresServer, sale: Future[VendOutcome]) -> VendOutcome:
    """Cancel every wait of a sale, as an impatient administrator does; what became of it.

    Raises:
        AssertionError: It never waited, or waits for ever.
    """
    pause, cancelled = threading.Event(), False
    for _ in range(TRIES_MAX):
        if sale.done():
            assert cancelled, "nothing waited for the standby"
            return sale.result()
        cancelled |= server.query(f"SELECT pg_cancel_backend(pid) {WAITING}") is True
        pause.wait(PAUSE_S)
    raise AssertionError("the sale has no end")


@contextmanager
def waiting_sales(pair: Pair) -> Iterator[ThreadPoolExecutor]:
    """Yield a thread that may wait for the standby; after a failure it waits no longer."""
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool
        except BaseException:
            pair.primary.crash()
            raise


def test_acknowledged_sales_survive_the_primary(pair: Pair) -> None:
    told = {f"sale-{n}": pair.shop.issue(f"sale-{n}", meter=n % 2) for n in range(10)}
    pair.primary.crash()
    pair.standby.query("SELECT pg_promote()")
    promoted = pair.shop_on(pair.standby)
    for key, document in told.items():
        request = promoted.request(key, meter=int(key[-1]) % 2)
        assert document_of(promoted.sell(request)) == document
    pair.shop.clock.advance(timedelta(minutes=30))
    promoted.issue("after the promotion")
    assert find_broken(promoted.database) == []
    promoted.database.close()


def test_without_its_standby_a_sale_waits_and_a_cancelled_wait_is_unknown(pair: Pair) -> None:
    shop = pair.shop
    pair.standby.crash()
    with waiting_sales(pair) as pool:
        waiting = pool.submit(shop.sell, shop.request("doubtful"))
        # The service repeats a doubtful transaction itself: that must not vouch for it either.
        assert code_of(cancelling(pair.primary, waiting)) == "outcome_unknown"
        # It is stored here and nowhere else: a repeat must not be told of it before it is safe.
        repeated = pool.submit(shop.sell, shop.request("doubtful"))
        assert code_of(cancelling(pair.primary, repeated)) == "outcome_unknown"
        patient = pool.submit(shop.sell, shop.request("doubtful"))
        wait_for(pair.primary, f"SELECT count(*) {WAITING}")
        assert not patient.done()
        pair.standby.resume()
        document = document_of(patient.result(WAIT_S))
    pair.primary.crash()
    pair.standby.query("SELECT pg_promote()")
    promoted = pair.shop_on(pair.standby)
    assert document_of(promoted.sell(promoted.request("doubtful"))) == document
    assert find_broken(promoted.database) == []
    promoted.database.close()

"""PostgreSQL goes back to a moment before a mistake; no identifier after it comes again."""

import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg import sql

from tests.postgres_server import PostgresServer, memory_folder
from tests.support.backups import HOST, target_at
from tests.support.books import find_broken
from tests.support.shop import build_desk, build_shop, document_of
from vending.backups.model import RestorationKind
from vending.backups.service.gap import describe_gap
from vending.backups.service.restoring import settle_point_in_time
from vending.persistence import migrate
from vending.persistence.engine import create_database
from vending.values.clock import FixedClock

NAME = "utility"
TRIES_MAX, PAUSE_S = 5000, 0.02


@pytest.fixture
def archive() -> Iterator[Path]:
    """A folder for the log, where the servers' own user may write."""
    with tempfile.TemporaryDirectory(prefix="vending-archive-", dir=memory_folder()) as place:
        Path(place).chmod(0o777)
        yield Path(place)


def test_a_recovered_moment_is_whole_and_reuses_no_identifier(
    tmp_path: Path, archive: Path
) -> None:
    clock = FixedClock(datetime.now(UTC).replace(microsecond=0))  # noqa: TID251 # the server's own time
    archiving = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f"}
    with PostgresServer(archiving, parent=memory_folder()) as live:
        database = create_database(live.create_database(NAME))
        migrate.upgrade(database)
        shop = build_shop(database, clock, tmp_path)
        live.base_backup(tmp_path / "base")
        kept = shop.issue("kept")
        moment = live.query("SELECT clock_timestamp()::text")
        threading.Event().wait(0.05)
        lost = shop.issue("lost")
        live.execute(sql.SQL("SELECT pg_switch_wal()"))
        _wait(live, "SELECT archived_count >= 2 FROM pg_stat_archiver", wanted=True)
        database.close()

    recovery = {"restore_command": f"cp {archive}/%f %p", "recovery_target_time": str(moment),
                "recovery_target_action": "promote"}  # fmt: skip
    with PostgresServer(
        recovery, parent=memory_folder(), base=tmp_path / "base", signal_file="recovery.signal"
    ) as recovered:
        _wait(recovered, "SELECT pg_is_in_recovery()", wanted=False)
        target = target_at(recovered.url(NAME), tmp_path / "data")
        clock.advance(timedelta(minutes=3))
        state_at = clock.now() - timedelta(minutes=3)
        done = settle_point_in_time(target, state_at=state_at, by=HOST, clock=clock)
        assert done.kind is RestorationKind.POINT_IN_TIME
        assert describe_gap(target.database).restoration == done
        shop.database, shop.desk = target.database, build_desk(target.database, clock, shop.store)
        assert document_of(shop.sell(shop.request("kept"))) == kept
        assert shop.refuse(shop.request("soon")) == "too_many_tokens"
        clock.advance(timedelta(minutes=2))
        again = shop.issue("lost")
        identifiers = {
            shop.enter_token(document["tokens"][0]["digits"]).tid
            for document in (kept, lost, again)
        }
        assert len(identifiers) == 3
        assert not [each for each in find_broken(target.database) if "remembers" not in each]
        target.database.close()


def _wait(server: PostgresServer, statement: str, *, wanted: object) -> None:
    pause = threading.Event()
    for _ in range(TRIES_MAX):
        if server.query(statement) == wanted:
            return
        pause.wait(PAUSE_S)
    raise AssertionError(f"{statement} never gave {wanted}")

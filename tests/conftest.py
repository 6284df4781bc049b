"""Fixtures every test may use: both databases, a clock that stands still, no network.

`database` runs a test on SQLite and on PostgreSQL. Each test has a database of its own, copied
from one that was migrated once a session.
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from pytest_socket import socket_allow_hosts

from tests.postgres_server import PostgresServer, memory_folder
from tests.support.softhsm import SoftHSM, set_up
from vending.persistence import migrate
from vending.persistence.engine import Database, DatabaseLimits, create_database
from vending.values.clock import FixedClock

TEMPLATE = "migrated_template"
START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
PATIENT = DatabaseLimits(pool_timeout_s=100, lock_timeout_ms=100_000, statement_timeout_ms=200_000)
"""A busy machine makes nobody refuse; the bounds of waits are tested with bounds of their own."""

settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("explore", settings.get_profile("default"), derandomize=False)
settings.load_profile("default")


def pytest_runtest_setup() -> None:
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Our logs go to pytest's capture, a line each.

    Unconfigured, structlog prints each failure's source and local variables in colour: seconds.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    yield
    structlog.reset_defaults()


@pytest.fixture
def fixed_clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer(parent=memory_folder()) as server:
        yield server


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHSM]:
    made, configuration = set_up(tmp_path_factory.mktemp("softhsm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", configuration)
        yield made


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    database = create_database(f"sqlite:///{path}")
    migrate.upgrade(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> str:
    database = create_database(postgres_server.create_database(TEMPLATE))
    migrate.upgrade(database)
    database.close()
    return TEMPLATE


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    path = tmp_path / "vending.sqlite3"
    shutil.copyfile(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, migrated_postgres: str) -> Iterator[str]:
    with postgres_server.fresh_database(migrated_postgres) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url = request.getfixturevalue(name)
    assert isinstance(url, str)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = (
        f"sqlite:///{tmp_path / 'empty.sqlite3'}"
        if request.param == "sqlite"
        else request.getfixturevalue("empty_postgres_url")
    )
    database = create_database(url, limits=PATIENT)
    yield database
    database.close()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = create_database(database_url, limits=PATIENT)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    opened = create_database(sqlite_url, limits=PATIENT)
    yield opened
    opened.close()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    opened = create_database(postgres_url, limits=PATIENT)
    yield opened
    opened.close()

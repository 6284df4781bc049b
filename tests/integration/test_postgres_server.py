"""The test server itself: it must not outlive its owner."""

import subprocess
import sys
import threading

import psutil

from tests.postgres_server import PostgresServer

OWNER = """
import sys
from tests.postgres_server import PostgresServer
server = PostgresServer()
print(server.pid, server.folder, flush=True)
sys.stdin.read()
"""


def wait_until_gone(pid: int) -> None:
    pause = threading.Event()
    for _ in range(5000):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        pause.wait(0.02)
    raise AssertionError("the server outlived its owner")


def test_a_killed_owner_takes_its_server_along() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        owner.kill()
    wait_until_gone(int(pid))
    with PostgresServer() as server:
        assert folder not in {str(path) for path in server.folder.parent.iterdir()}


def test_stopping_twice_does_no_harm() -> None:
    server = PostgresServer()
    server.stop()
    server.stop()
    assert not server.folder.exists()

"""The service and the worker as processes of their own, started and stopped as systemd does."""

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.installed import bring_in_a_key

ROOT = Path(__file__).parents[4]


@contextmanager
def started(shell: CommandLine, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "vending", *arguments, "--data", str(shell.folder), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=shell.folder.parent,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    document: dict[str, Any] = json.loads(process.stdout.readline())
    return document


def ask(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url, timeout=100) as answer:  # our own address
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def core_limit(process: subprocess.Popen[str]) -> list[str]:
    limits = Path(f"/proc/{process.pid}/limits").read_text("ascii").splitlines()
    (line,) = [line for line in limits if line.startswith("Max core file size")]
    return line.split()[4:6]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_says_that_it_runs_and_stops_cleanly(
    shell: CommandLine, number: signal.Signals
) -> None:
    with started(shell, "worker") as process:
        assert first_line(process) == {"worker": "running"}
        assert core_limit(process) == ["0", "0"]
        process.send_signal(number)
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (0, "")
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert events == ["worker_started", "worker_stopped"]


def test_service_follows_a_key_brought_in_meanwhile_and_stops_cleanly(shell: CommandLine) -> None:
    with started(shell, "serve", "--port", "0") as process:
        url = first_line(process)["url"]
        assert core_limit(process) == ["0", "0"]
        assert ask(f"{url}/healthz") == (200, {"status": "ok"})
        status, ready = ask(f"{url}/readyz")
        assert (status, ready["checks"]["key_store"]) == (503, "no_keys")
        bring_in_a_key(shell)
        pause = threading.Event()
        for _ in range(500):
            status, ready = ask(f"{url}/readyz")
            if status == 200:
                break
            pause.wait(0.2)
        assert (status, ready["status"]) == (200, "ok")
        process.terminate()
        _, err = process.communicate(timeout=100)
    assert process.returncode == 0
    assert "key_store_reloaded" in err
    assert "alembic" not in err


def test_port_in_use_is_refused_with_the_way_out(shell: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = shell.json("serve", "--port", str(port))
    assert told.error == "port_in_use"
    assert f"cannot listen on 127.0.0.1:{port}" in told.document["error"]["detail"]
    assert "--port" in told.document["error"]["remedy"]


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_address_that_is_not_ours_is_refused(shell: CommandLine, host: str) -> None:
    assert shell.json("serve", "--host", host, "--port", "0").error == "port_in_use"


def test_service_listens_on_ipv6_and_shows_its_address_so(shell: CommandLine) -> None:
    with started(shell, "serve", "--host", "::1", "--port", "0") as process:
        url = first_line(process)["url"]
        assert url.startswith("http://[::1]:")
        assert ask(f"{url}/healthz")[0] == 200


def test_module_runs_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vending", "version", "--json"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert set(json.loads(done.stdout)) == {"version"}
    refused = subprocess.run(
        [sys.executable, "-m", "vending", "nowhere"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "No such command" in refused.stderr


def test_reader_that_has_seen_enough_is_no_failure(shell: CommandLine) -> None:
    with started(shell, "doctor") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(100) == 1
    assert "Traceback" not in err
    assert "Exception ignored" not in err

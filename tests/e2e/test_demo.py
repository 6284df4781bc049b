"""The demonstration as a newcomer runs it: the real commands, in a folder of the test."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

METERSIM = [sys.executable, "-m", "simulators", "demo"]
START_LINES_MAX = 60


@pytest.mark.timeout(900)
def test_demo_once_holds_every_step_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = subprocess.run(
        [*METERSIM, "--once", "--data", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("relay closed") == 2
    assert "modbus-tcp://" in done.stdout
    assert "modbus-rtu://" in done.stdout
    assert "ledger verify" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["demo"], "nothing outside its folder"
    assert list(processes_over(tmp_path)) == []


@pytest.mark.timeout(900)
def test_demo_serves_until_interrupted_and_its_curl_command_sells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with subprocess.Popen(
        [*METERSIM, "--data", str(tmp_path / "demo"), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        try:
            assert demo.stdout is not None
            printed = ""
            for _ in range(START_LINES_MAX):
                line = demo.stdout.readline()
                printed += line
                if "Events of the meters" in line or not line:
                    break
            curl = re.search(
                r"curl -s (\S+) -H '([^']+)' -H '([^']+)' -H '([^']+)' -d '([^']+)'", printed
            )
            assert curl is not None, printed
            headers = dict(header.split(": ", 1) for header in curl.groups()[1:4])
            request = urllib.request.Request(curl[1], data=curl[5].encode(), headers=headers)
            with urllib.request.urlopen(request, timeout=100) as answer:
                sale = json.load(answer)
            assert re.fullmatch(r"\d{20}", sale["tokens"][0]["digits"])
            credited = demo.stdout.readline()
            assert sale["meter"]["drn"] in credited
        finally:
            demo.send_signal(signal.SIGINT)
            code = demo.wait(100)
    assert code == 0
    assert list(processes_over(tmp_path)) == []


def processes_over(folder: Path) -> Iterator[list[str]]:
    """Command lines of processes that still work in the folder."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if any(str(folder) in part for part in command):
            yield command

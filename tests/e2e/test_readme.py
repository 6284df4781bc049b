"""The sale of the README, command by command as printed, against a running demonstration."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.test_readme import COMMANDS, SALE
from tests.support.documents import Command

START_LINES_MAX = 60
PRINTED_PORT = "8080"
PROGRAMS = Path(sys.executable).parent.as_posix()


@pytest.fixture
def demo_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Run the demonstration in `demo-data` of the test's folder; give the service's port."""
    monkeypatch.setenv("COLUMNS", "400")
    with subprocess.Popen(
        [sys.executable, "-m", "simulators", "demo", "--data", "demo-data", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    ) as demo:
        try:
            yield _read_port(demo)
        finally:
            demo.terminate()
            demo.communicate(timeout=100)


def _read_port(demo: subprocess.Popen[str]) -> int:
    assert demo.stdout is not None
    printed = ""
    for _ in range(START_LINES_MAX):
        printed += demo.stdout.readline()
        if found := re.search(r"curl -s (\S+)", printed):
            port = urlsplit(found[1]).port
            assert port is not None
            return port
    raise AssertionError(printed)


@pytest.mark.timeout(900)
def test_the_sale_of_the_readme_runs_as_printed(demo_port: int, tmp_path: Path) -> None:
    printed = [command for text, command in COMMANDS.items() if text.startswith(SALE)]
    assert len(printed) == 5
    shown = [run(command, printed[0], demo_port, tmp_path) for command in printed[1:]]
    sold, decoded, verified, listed = shown
    sale, example = json.loads(sold), json.loads(printed[1].output)
    assert sale.keys() == example.keys()
    assert sale["lines"] == example["lines"]
    assert sale["tokens"][0]["energy_wh"] == example["tokens"][0]["energy_wh"]
    assert decoded == printed[2].output, "the demo key is the same everywhere, so is its token"
    assert verified == printed[3].output
    assert [line.rstrip() for line in listed.splitlines()] == printed[4].output.splitlines()
    assert run(printed[1], printed[0], demo_port, tmp_path) == sold, "a repeat is the same answer"


def run(command: Command, key_command: Command, port: int, folder: Path) -> str:
    text = command.text.replace(f":{PRINTED_PORT}/", f":{port}/").replace(".venv/bin", PROGRAMS)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"export COLUMNS=80\n{key_command.text}\n{text}"],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

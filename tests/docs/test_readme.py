"""Every command of the README runs as printed: here when it is cheap, else where this file says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import ROOT, Command, commands, relative

README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
COMMANDS = {command.text: command for command in commands(README)}

RUN_HERE = (
    ".venv/bin/vending sts conformance tests/vectors/sts/published.json | tail -n 3",
)  # fmt: skip
RUN_BY_E2E = {
    "make demo": "tests/e2e/test_demo.py",
    "make demo ONCE=1": "tests/e2e/test_demo.py",
    "make demo PORT=8080": "tests/e2e/test_readme.py",
}
"""Commands that start the whole product, and the test that runs what make would start."""
SALE = (
    "KEY=",
    "curl ",
    "VENDING_DEMO=true ",
    ".venv/bin/vending ledger verify ",
    "VENDING_SESSION_FILE=",
)
"""How the commands of the sale begin; tests/e2e/test_readme.py runs them in their order."""


def make_targets() -> dict[str, str]:
    return dict(re.findall(r"^([a-z-]+):.*?## (.+)$", MAKEFILE, re.MULTILINE))


def test_readme_has_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("text", COMMANDS)
def test_every_command_is_run_somewhere(text: str) -> None:
    is_of_the_sale = text.startswith(SALE)
    assert (text in RUN_HERE) + (text in RUN_BY_E2E) + is_of_the_sale == 1, text


@pytest.mark.parametrize("text", [*RUN_HERE, *RUN_BY_E2E])
def test_every_command_listed_is_printed(text: str) -> None:
    assert text in COMMANDS


@pytest.mark.parametrize("name", sorted(set(RUN_BY_E2E.values()) | {"tests/e2e/test_readme.py"}))
def test_the_test_that_runs_it_exists(name: str) -> None:
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("text", RUN_HERE)
def test_command_prints_what_the_readme_shows(text: str) -> None:
    command: Command = COMMANDS[text]
    programs = Path(sys.executable).parent.as_posix()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command.text.replace(".venv/bin", programs)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == command.output


def test_make_demo_starts_what_the_end_to_end_test_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    planned = subprocess.run(
        ["make", "--dry-run", "--always-make", "demo", "ONCE=1", "PORT=8080", "DATA=elsewhere"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert re.search(
        r"metersim demo --data \"elsewhere\" --port 8080 --once$", planned.stdout, re.MULTILINE
    )


def test_the_table_of_commands_is_the_makefile() -> None:
    printed = re.findall(r"^\| `make ([a-z-]+)`", README, re.MULTILINE)
    assert sorted(printed) == sorted(set(make_targets()) - {"help"})


def test_the_map_of_documents_is_whole() -> None:
    pages = [*(ROOT / "docs").glob("*.md")]
    for folder in ("guide", "reference", "drivers"):
        pages += (ROOT / "docs" / folder).glob("*.md")
    names = [relative(page) for page in pages if not page.stem.endswith("-states")]
    assert [name for name in names if f"({name})" not in README] == []

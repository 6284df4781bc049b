import json
import subprocess
import sys

import pytest

from vending import __version__
from vending.cli.main import COMMANDS, run


def test_version_is_printed_for_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert run(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"vending {command}" in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"│ {command} " in out for command in (*COMMANDS, "version"))


def test_nothing_typed_shows_the_help_and_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 1
    told = capsys.readouterr()
    assert "Commands" in told.out
    assert told.err == ""


@pytest.mark.parametrize(
    "arguments",
    [["nowhere"], ["version", "--nothing"], ["keys", "nowhere"], ["--nothing"], ["serve", "x"],
     ["keys", "retire"], ["serve", "--port", "x"], ["meters", "list", "--limit", "0"]],
)  # fmt: skip
def test_wrong_usage_exits_with_1_and_says_what(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(arguments) == 1
    told = capsys.readouterr()
    assert told.err.startswith("usage: ")
    assert "--help" in told.err
    assert run([*arguments, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["code"] == "usage"
    assert document["error"]["detail"]


def test_version_waits_for_no_heavy_library() -> None:
    heavy = {"sqlalchemy", "fastapi", "uvicorn", "alembic", "psycopg", "pymodbus"}
    code = "import sys; from vending.cli.main import run; run(['version']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert heavy & set(done.stdout.split()) == set()


def test_reports_wait_for_no_web_framework() -> None:
    code = (
        "import sys; from vending.cli.main import run; run(['ledger', '--help']); "
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert {"fastapi", "uvicorn"} & set(done.stdout.split()) == set()


def test_interrupted_command_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("typer.echo", lambda _: interrupt())
    assert run(["version"]) == 1

"""The command line, run as people run it."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulators.__main__ import execute
from vending.sts.module_messages import IdentificationRequest
from vending.sts.security_module import encode_request

TIMEOUT_S = 100


@pytest.fixture
def fleet_file(tmp_path: Path, fleet_text: str) -> Path:
    path = tmp_path / "fleet.toml"
    path.write_text(fleet_text)
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_prints_a_json_line_an_event_and_stops_when_asked(
    fleet_file: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "simulators", "run", str(fleet_file), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        assert started["event"] == "started"
        process.send_signal(number)
        rest, _ = process.communicate(timeout=TIMEOUT_S)
    lines = [json.loads(line) for line in rest.splitlines()]
    assert [line["event"] for line in lines[:2]] == ["started", "started"]
    assert lines[-1] == {"event": "stopped"}
    assert process.returncode == 0
    assert not (fleet_file.parent / "run" / "cabinet").is_symlink()


@pytest.fixture
def interrupt_soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[signal.Signals], None]]:
    """Give a way to send this process a signal soon after the command listens to it."""
    monkeypatch.setattr("simulators.__main__.REFRESH_S", 0.01)
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in asked}

    def interrupt(number: signal.Signals) -> None:
        def raise_when_listening(_number: int, _frame: object) -> None:
            if signal.getsignal(number) is not before[number]:
                signal.raise_signal(number)

        signal.signal(signal.SIGALRM, raise_when_listening)
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)

    yield interrupt
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, action in before.items():
        signal.signal(number, action)


def test_run_shows_a_table_to_people(
    fleet_file: Path,
    capsys: pytest.CaptureFixture[str],
    interrupt_soon: Callable[[signal.Signals], None],
) -> None:
    interrupt_soon(signal.SIGINT)
    assert execute(["run", str(fleet_file)]) == 0
    assert "2 simulated meters" in capsys.readouterr().out


def test_run_prints_events_until_the_last(
    fleet_file: Path,
    capsys: pytest.CaptureFixture[str],
    interrupt_soon: Callable[[signal.Signals], None],
) -> None:
    interrupt_soon(signal.SIGTERM)
    assert execute(["run", str(fleet_file), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1]) == {"event": "stopped"}


def test_an_error_says_what_to_do_and_the_code_is_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert execute(["run", str(tmp_path / "none.toml")]) == 1
    assert "give a fleet file" in capsys.readouterr().err


def test_an_error_is_json_where_json_is_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert execute(["run", str(tmp_path / "none.toml"), "--json"]) == 1
    line = json.loads(capsys.readouterr().out)
    assert line["event"] == "error"
    assert "give a fleet file" in line["detail"]


def test_a_wrong_command_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run"]) == 1
    assert "--help" in capsys.readouterr().err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--help"]) == 0
    assert "run" in capsys.readouterr().out


def test_module_answers_where_it_says_until_it_is_asked_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "module.toml"
    path.write_text(
        'format = 1\nport = 0\n[[registers]]\nnumber = 3\nsgc = "990001"\nkrn = 1\nkt = 2\n'
        'ken = 255\nbase_date = 2014\ndkga = 2\nkey = "abababababababab"\n'
    )
    command = [sys.executable, "-m", "simulators", "module", str(path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        assert started["registers"] == {"3": "990001"}
        host, port = started["module"].split(":")
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as line:
            line.sendall(encode_request(IdentificationRequest()))
            assert line.recv(64).startswith(b"SM!DI00")
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=TIMEOUT_S)
    assert json.loads(rest) == {"event": "stopped"}
    assert process.returncode == 0

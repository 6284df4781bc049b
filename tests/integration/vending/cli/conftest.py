import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.command_line import ANNA, BEN, INIT, CommandLine, session_file, sign_in_two
from vending.cli.main import run


@pytest.fixture(autouse=True)
def quiet_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty working folder, no variable of ours, and the logs of the tests kept."""
    for name in [name for name in os.environ if name.upper().startswith("VENDING_")]:  # noqa: TID251 # to clear it
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Nothing was initialised yet."""
    return CommandLine(tmp_path / "data", capsys)


@pytest.fixture(scope="session")
def installed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installation") / "data"
    assert run([*INIT, "--data", str(folder), "--json"]) == 0
    sign_in_two(folder)
    return folder


@pytest.fixture
def shell(bare: CommandLine, installed_once: Path) -> CommandLine:
    """A fresh installation; two people are signed in."""
    shutil.copytree(installed_once, bare.folder)
    for name in (ANNA, BEN):
        shutil.copy(session_file(installed_once, name), session_file(bare.folder, name))
    return bare

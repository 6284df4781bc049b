"""The command `vending`, run in this process over an installation of its own.

Commands run as `anna`, who has every role, unless told otherwise; `ben` is another such person.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.people import session_token_for
from vending.cli.main import run
from vending.cli.session_file import write_session
from vending.operators.permissions import Role
from vending.persistence.engine import Database, create_database
from vending.values.clock import SystemClock

ANNA, BEN = "anna", "ben"
INIT = ("init", "--administrator", "alice=Alice Abara", "--administrator", "bob=Bob Bello")
"""A new installation; alice and bob are invited."""


def session_file(folder: Path, name: str) -> Path:
    """Where the session of an operator with the installation in a folder is kept."""
    return folder.parent / f"session-{name}"


def sign_in_two(folder: Path) -> None:
    """Make two operators with every role, and a session file of each beside the data folder."""
    for name in (ANNA, BEN):
        sign_in(folder, name, *Role)


def sign_in(folder: Path, name: str, *roles: Role, device: str | None = None) -> None:
    """Make an operator, and a session file beside the data folder."""
    database = create_database(f"sqlite:///{folder / 'vending.sqlite3'}")
    try:
        token = session_token_for(database, SystemClock(), *roles, name=name, device=device)
    finally:
        database.close()
    write_session(session_file(folder, name), token)


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 # any JSON document
        """What it printed for programs: exactly one document."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The code of its refusal."""
        assert self.code == 1
        code: str = self.document["error"]["code"]
        return code


@dataclass
class CommandLine:
    """Runs commands on one data folder."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def run(self, *arguments: str, data: bool = True, by: str = ANNA) -> Outcome:
        """Run a command as a person does."""
        self.capture.readouterr()
        place = ("--data", str(self.folder)) if data else ()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VENDING_SESSION_FILE", str(session_file(self.folder, by)))
            code = run([*arguments, *place])
        told = self.capture.readouterr()
        return Outcome(code, told.out, told.err)

    def json(self, *arguments: str, data: bool = True, by: str = ANNA) -> Outcome:
        """Run a command as a program does."""
        return self.run(*arguments, "--json", data=data, by=by)

    def set_policy(self, name: str, value: str) -> None:
        """Anna asks for it, Ben approves, Anna carries it out."""
        change = ("policies", "change", name, value)
        asked = self.json(*change, "--reason", "for the test").document["approval"]
        assert self.json("approvals", "approve", asked, by=BEN).code == 0
        assert self.json(*change, "--approval", asked).code == 0

    def write(self, name: str, text: str) -> str:
        """Write a file beside the data folder and return its path."""
        path = self.folder.parent / name
        path.write_text(text, "utf-8")
        return str(path)

    def database(self) -> Database:
        """The database, for those who go behind the service's back; close it."""
        return create_database(f"sqlite:///{self.folder / 'vending.sqlite3'}")

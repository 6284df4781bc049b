"""The command `vending`, run in this process over an installation of its own."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vending.cli.main import run
from vending.persistence.engine import Database, create_database


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

    def run(self, *arguments: str, data: bool = True) -> Outcome:
        """Run a command as a person does."""
        self.capture.readouterr()
        place = ("--data", str(self.folder)) if data else ()
        code = run([*arguments, *place])
        told = self.capture.readouterr()
        return Outcome(code, told.out, told.err)

    def json(self, *arguments: str, data: bool = True) -> Outcome:
        """Run a command as a program does."""
        return self.run(*arguments, "--json", data=data)

    def write(self, name: str, text: str) -> str:
        """Write a file beside the data folder and return its path."""
        path = self.folder.parent / name
        path.write_text(text, "utf-8")
        return str(path)

    def database(self) -> Database:
        """The database, for those who go behind the service's back; close it."""
        return create_database(f"sqlite:///{self.folder / 'vending.sqlite3'}")

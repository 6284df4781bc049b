"""Every command says who may run it."""

from collections.abc import Callable
from typing import Any

import typer

from tests.support.command_tree import walk_commands
from vending.cli.marks import ACCESS_MARK
from vending.operators.permissions import Permission

FOR_THE_HOST = {
    "activate",
    "audit check-heads",
    "backup create",
    "backup custodian new",
    "backup verify",
    "confirm",
    "doctor",
    "init",
    "keys adopt",
    "keys check",
    "keys create",
    "ledger verify",
    "migrate",
    "restore after-pitr",
    "restore from",
    "serve",
    "sign-in",
    "sign-out",
    "sts conformance",
    "sts decode",
    "version",
    "whoami",
    "worker",
}
"""Kept by hand: a command that takes no operator is a decision, seen in review."""


def unmarked(app: typer.Typer | None = None) -> list[str]:
    return [words for words, command in walk_commands(app) if not hasattr(command, ACCESS_MARK)]


def mark_of(command: Callable[..., Any]) -> object:
    return getattr(command, ACCESS_MARK)


def test_every_command_says_who_may_run_it() -> None:
    assert unmarked() == []


def test_a_command_that_does_not_say_is_found() -> None:
    app, group = typer.Typer(), typer.Typer()
    app.add_typer(group, name="group")

    @group.command("forgotten")
    def forgotten() -> None:
        """Says nothing."""

    assert unmarked(app) == ["group forgotten"]


def test_few_commands_are_for_whoever_runs_the_machine() -> None:
    found = {
        words for words, command in walk_commands() if not isinstance(mark_of(command), Permission)
    }

    assert found == FOR_THE_HOST

"""Every command of `vending`, by the words that are typed, with what stands behind it."""

from collections.abc import Callable, Iterator
from typing import Any

import typer

from vending.cli.main import build


def walk_commands(
    app: typer.Typer | None = None, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Each command and its function."""
    app = app or build([])
    for command in app.registered_commands:
        assert command.name is not None, "commands are named"
        assert command.callback is not None, "a command does something"
        yield " ".join((*words, command.name)), command.callback
    for group in app.registered_groups:
        assert group.name is not None, "groups are named"
        assert group.typer_instance is not None, "a group has commands"
        yield from walk_commands(group.typer_instance, (*words, group.name))

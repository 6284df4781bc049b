"""How a command says who may run it; light, so that a look at the version stays quick."""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

ACCESS_MARK: Final = "command_access"
"""Attribute of a command: the Permission it takes, or why whoever runs the machine may run it."""


def host(reason: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let whoever may run commands on the machine run this one, for the reason given."""
    assert reason, "each is told in docs/security/roles.md"

    def mark(command: Callable[P, R]) -> Callable[P, R]:
        setattr(command, ACCESS_MARK, reason)
        return command

    return mark

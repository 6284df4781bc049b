"""Who runs a command: each command says what permission it takes, or why it takes none."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from vending.cli.arguments import name_actor
from vending.cli.marks import ACCESS_MARK, host
from vending.operators.errors import SignInRequiredError
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.values.actor import Actor, ActorKind

__all__ = ["acting", "acting_operator", "host", "needs"]

P = ParamSpec("P")
R = TypeVar("R")


def needs(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only operators with the permission run the command."""

    def mark(command: Callable[P, R]) -> Callable[P, R]:
        setattr(command, ACCESS_MARK, permission)
        return command

    return mark


def acting() -> Actor:
    """Return who runs the command, for the audit log."""
    return Actor(ActorKind.HOST, name_actor())


def acting_operator() -> SignedIn:
    """Return the operator who is signed in on the command line.

    Raises:
        SignInRequiredError: Nobody is.
    """
    raise SignInRequiredError

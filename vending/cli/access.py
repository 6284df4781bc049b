"""Who runs a command: each says what permission it takes, or why it takes none.

    @app.command("retire")
    @needs(Permission.KEYS_WRITE)
    def retire(..., data: DataOption = None, ...): ...

Before the body of a command with `needs` runs, the session of `vending sign-in` is looked up in the
database, and its operator must have the permission; a refusal for want of it is recorded. The body
asks `acting_operator()` for the operator. Commands of whoever runs the machine carry
`@host("reason")`; `docs/security/roles.md` lists both.
"""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from vending.cli.arguments import name_actor
from vending.cli.context import opened_database
from vending.cli.marks import ACCESS_MARK, host
from vending.cli.session_file import read_session
from vending.operators.errors import PermissionDeniedError, SignInRequiredError
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.operators.service.sessions import authenticate
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.settings import Settings
from vending.values.actor import Actor, ActorKind
from vending.values.clock import SystemClock

__all__ = ["acting", "acting_operator", "authenticate_session_file", "host", "needs"]

P = ParamSpec("P")
R = TypeVar("R")

_DATA: Final = "data"
"""Parameter of every such command: the data folder, as typed."""
_signed_in: Final[ContextVar[SignedIn | None]] = ContextVar("signed_in", default=None)


def needs(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only operators with the permission run the command."""

    def mark(command: Callable[P, R]) -> Callable[P, R]:
        assert _DATA in inspect.signature(command).parameters, "the session is of one installation"

        @wraps(command)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            data = kwargs[_DATA]
            assert data is None or isinstance(data, Path)
            operator = _admit(data, permission, name=_name_of(command))
            reset = _signed_in.set(operator)
            try:
                return command(*args, **kwargs)
            finally:
                _signed_in.reset(reset)

        setattr(guarded, ACCESS_MARK, permission)
        return guarded

    return mark


def acting() -> Actor:
    """Return who runs the command, for the audit log."""
    operator = _signed_in.get()
    return operator.actor if operator is not None else Actor(ActorKind.HOST, name_actor())


def acting_operator() -> SignedIn:
    """Return the operator who runs the command.

    Raises:
        SignInRequiredError: The command takes no operator, so none was looked up.
    """
    operator = _signed_in.get()
    if operator is None:
        raise SignInRequiredError
    return operator


def authenticate_session_file(settings: Settings, database: Database) -> SignedIn:
    """Return the operator of the session that the command line keeps.

    Raises:
        SignInRequiredError: Nobody signed in, or the session does not hold any more.
        SessionFileError: The file cannot be read, or others could.
    """
    token = read_session(settings.effective_session_file)
    if token is None:
        raise SignInRequiredError
    return authenticate(database, token, clock=SystemClock())


def _admit(data: Path | None, permission: Permission, *, name: str) -> SignedIn:
    """Return the operator who may run the command.

    Raises:
        SignInRequiredError: No session holds.
        PermissionDeniedError: The operator's roles do not carry the permission.
    """
    with opened_database(data) as (settings, database):
        operator = authenticate_session_file(settings, database)
        try:
            operator.require(permission)
        except PermissionDeniedError:
            _record_refusal(database, operator, permission, name)
            raise
    return operator


def _record_refusal(
    database: Database, operator: SignedIn, permission: Permission, name: str
) -> None:
    details = {"permission": permission.value}
    event = AuditEvent(operator.actor, "permission.denied", f"command:{name}", details)
    with database.unit_of_work() as uow:
        record(uow.connection, [event], SystemClock())
        uow.commit()


def _name_of(command: Callable[..., object]) -> str:
    group = command.__module__.rsplit(".", 1)[-1]
    return f"{group}.{command.__name__}"

"""Makes the database driver fail at a chosen moment, below everything of ours.

    with FaultyDriver(database).fail(at=3, when=When.AFTER, how=lost):
        ...     # the third statement is carried out, and its answer never comes

Statements and COMMITs are counted together, in their order, from 1. A `Crash` is no exception
that anybody catches: what follows is what a killed process leaves behind.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any

from sqlalchemy import Dialect

from vending.persistence.engine import Database

COMMIT = "COMMIT"
_STATEMENTS = ("do_execute", "do_executemany", "do_execute_no_params")


class Crash(BaseException):
    """The process is gone."""


class When(Enum):
    BEFORE = auto()
    AFTER = auto()


Place = Callable[[Sequence[str]], bool]
"""Looks at what was sent so far, and says whether the last of it fails."""

MakeError = Callable[[Dialect], BaseException]


def at_commit(sent: Sequence[str]) -> bool:
    """A COMMIT."""
    return sent[-1] == COMMIT


def past_commit(sent: Sequence[str]) -> bool:
    """Whatever follows the first COMMIT."""
    return COMMIT in sent[:-1]


def crash(dialect: Dialect) -> BaseException:
    """The process dies."""
    del dialect
    return Crash()


def lost(dialect: Dialect) -> BaseException:
    """The connection breaks."""
    error: BaseException = dialect.loaded_dbapi.OperationalError("the connection is lost")
    return error


class FaultyDriver:
    """Counts what is sent to a database, and fails when told to."""

    def __init__(self, database: Database) -> None:
        self._dialect: Any = database.engine.dialect
        self.sent: list[str] = []

    @contextmanager
    def watch(self) -> Iterator["FaultyDriver"]:
        """Count, and fail nowhere."""
        with self.fail(at=0, when=When.BEFORE, how=crash):
            yield self

    @contextmanager
    def fail(
        self, *, at: int | Place, when: When, how: MakeError, times: int = 1
    ) -> Iterator["FaultyDriver"]:
        """Fail at the n-th thing sent, or `times` times where `at` finds its place."""
        self.sent = []
        left = [times]

        def is_now() -> bool:
            hit = len(self.sent) == at if isinstance(at, int) else at(self.sent)
            if not hit or left[0] == 0:
                return False
            left[0] -= 1
            return True

        def wrap(real: Callable[..., None], name: Callable[..., str]) -> Callable[..., None]:
            def call(*arguments: Any) -> None:  # noqa: ANN401 # the driver's own
                self.sent.append(name(*arguments))
                fails = is_now()
                if fails and when is When.BEFORE:
                    raise how(self._dialect)
                real(*arguments)
                if fails:
                    raise how(self._dialect)

            return call

        names = {"do_commit": lambda *_: COMMIT} | dict.fromkeys(
            _STATEMENTS, lambda _cursor, statement, *_: str(statement)
        )
        before = {method: getattr(self._dialect, method) for method in names}
        for method, name in names.items():
            setattr(self._dialect, method, wrap(before[method], name))
        try:
            yield self
        finally:
            for method, real in before.items():
                setattr(self._dialect, method, real)

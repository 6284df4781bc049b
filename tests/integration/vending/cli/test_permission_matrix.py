"""Every command x every role, nobody, a revoked session, a locked operator: before any effect.

What a role may do is read from `ROLE_PERMISSIONS`, what a command takes from its mark; both are
printed in docs/security/roles.md, so that a change of either shows in review. The commands are the
real ones, called through their guard; where the guard lets somebody in, the body is stopped at its
first line.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tests.support.command_line import CommandLine, session_file, sign_in
from tests.support.command_tree import walk_commands
from vending.cli.marks import ACCESS_MARK
from vending.errors import VendingError
from vending.operators.permissions import ROLE_PERMISSIONS, Permission, Role
from vending.operators.tables import operator_sessions, operators
from vending.persistence.audit import audit_events
from vending.values.clock import SystemClock

LET_IN = "let in"
NOBODY, REVOKED, LOCKED, ROLELESS = "nobody", "revoked", "locked", "roleless"
GUARDED = {
    words: command
    for words, command in walk_commands()
    if isinstance(getattr(command, ACCESS_MARK), Permission)
}


def reached(**given: object) -> None:
    raise NotImplementedError


@contextmanager
def without_effects() -> Iterator[None]:
    """Let every guarded command do nothing but say that its guard let somebody in."""
    bodies = [inspect.unwrap(command) for command in GUARDED.values()]
    kept = [(body, body.__code__, body.__defaults__) for body in bodies]
    for body in bodies:
        body.__code__, body.__defaults__ = reached.__code__, None
    try:
        yield
    finally:
        for body, code, defaults in kept:
            body.__code__, body.__defaults__ = code, defaults


def outcome_of(command: Callable[..., Any], folder: Path) -> str:
    """`let in`, or the code of the refusal."""
    try:
        command(data=folder)
    except NotImplementedError:
        return LET_IN
    except VendingError as error:
        return error.code
    return "came back"


@pytest.fixture
def staffed(shell: CommandLine) -> CommandLine:
    """One operator for each role, and those who are out."""
    for role in Role:
        sign_in(shell.folder, role.value, role)
    sign_in(shell.folder, ROLELESS)
    for name in (REVOKED, LOCKED):
        sign_in(shell.folder, name, *Role)
    database = shell.database()
    with database.unit_of_work() as uow:
        ids = {
            row.name: row.id
            for row in uow.connection.execute(select(operators.c.name, operators.c.id))
        }
        uow.connection.execute(
            update(operator_sessions)
            .where(operator_sessions.c.operator_id == ids[REVOKED])
            .values(revoked_at=SystemClock().now())
        )
        uow.connection.execute(
            update(operators).where(operators.c.id == ids[LOCKED]).values(state="locked")
        )
        uow.commit()
    database.close()
    return shell


def play(staffed: CommandLine, monkeypatch: pytest.MonkeyPatch, name: str) -> dict[str, str]:
    """What becomes of each command when this operator types it."""
    monkeypatch.setenv("VENDING_SESSION_FILE", str(session_file(staffed.folder, name)))
    with without_effects():
        return {words: outcome_of(command, staffed.folder) for words, command in GUARDED.items()}


@pytest.mark.timeout(900)
def test_a_role_runs_exactly_the_commands_whose_permission_it_carries(
    staffed: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in Role:
        expected = {
            words: LET_IN
            if getattr(command, ACCESS_MARK) in ROLE_PERMISSIONS[role]
            else "permission_denied"
            for words, command in GUARDED.items()
        }
        assert play(staffed, monkeypatch, role.value) == expected, role


@pytest.mark.timeout(900)
def test_whoever_is_out_runs_no_command(
    staffed: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, code in {
        NOBODY: "sign_in_required",
        REVOKED: "sign_in_required",
        LOCKED: "sign_in_required",
        ROLELESS: "permission_denied",
    }.items():
        assert set(play(staffed, monkeypatch, name).values()) == {code}, name


def test_a_refusal_leaves_its_record_and_nothing_else(
    staffed: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(staffed, monkeypatch, ROLELESS)
    database = staffed.database()
    with database.read() as connection:
        query = select(audit_events.c.action, func.count()).where(
            audit_events.c.actor_name == ROLELESS
        )
        rows = connection.execute(query.group_by(audit_events.c.action)).all()
        counted = {row[0]: row[1] for row in rows}
    database.close()
    assert counted == {"permission.denied": len(GUARDED), "session.opened": 1}


def test_every_permission_opens_something_or_is_decided_with() -> None:
    """A permission that nothing asks for would be a promise without a door."""
    asked = {getattr(command, ACCESS_MARK) for command in GUARDED.values()}
    assert {permission for permission in Permission if permission.value.endswith(".read")} <= asked

"""A command asks for its operator before anything else happens."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.support.command_line import ANNA, CommandLine, session_file
from tests.support.people import session_token_for
from vending.cli.access import acting, acting_operator
from vending.cli.session_file import forget_session, read_session, write_session
from vending.operators.errors import SignInRequiredError
from vending.operators.permissions import Role
from vending.operators.tables import operator_sessions, operators
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.values.actor import ActorKind
from vending.values.clock import SystemClock

ADD = ("tariffs", "add", "RES-1", "--price", "20.00")


@pytest.fixture
def opened(shell: CommandLine) -> Database:
    return shell.database()


def test_nobody_signed_in_does_nothing(shell: CommandLine) -> None:
    session_file(shell.folder, ANNA).unlink()

    assert shell.json(*ADD).error == "sign_in_required"
    assert shell.json("tariffs", "list", by="ben").document == []


def test_a_revoked_session_does_nothing(shell: CommandLine, opened: Database) -> None:
    with opened.unit_of_work() as uow:
        uow.connection.execute(update(operator_sessions).values(revoked_at=SystemClock().now()))
        uow.commit()
    opened.close()

    assert shell.json(*ADD).error == "sign_in_required"


def test_a_locked_operator_does_nothing(shell: CommandLine, opened: Database) -> None:
    with opened.unit_of_work() as uow:
        statement = update(operators).where(operators.c.name == ANNA).values(state="locked")
        uow.connection.execute(statement)
        uow.commit()
    opened.close()

    assert shell.json(*ADD).error == "sign_in_required"
    assert shell.json("tariffs", "list", by="ben").document == []


def test_a_role_without_the_permission_is_refused_and_recorded(
    shell: CommandLine, opened: Database
) -> None:
    token = session_token_for(opened, SystemClock(), Role.CASHIER, name="carl")
    write_session(session_file(shell.folder, "carl"), token)

    assert shell.json(*ADD, by="carl").error == "permission_denied"
    assert shell.json("tariffs", "list", by="carl").document == []
    with opened.read() as connection:
        query = select(audit_events).where(audit_events.c.action == "permission.denied")
        denied = connection.execute(query).one()
    opened.close()
    assert (denied.actor_name, denied.subject) == ("carl", "command:tariffs.add")
    assert denied.details == {"permission": "tariffs.write"}


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
def test_a_session_file_that_others_may_use_is_refused(shell: CommandLine, mode: int) -> None:
    session_file(shell.folder, ANNA).chmod(mode)

    assert shell.json(*ADD).error == "session_file_unusable"


def test_a_session_file_behind_a_link_is_refused(shell: CommandLine) -> None:
    path = session_file(shell.folder, ANNA)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))

    assert shell.json(*ADD).error == "session_file_unusable"


@pytest.mark.parametrize("text", ["", "os_", "os_" + "0" * 64, "x" * 10_000, "\x00\xff"])
def test_a_token_of_nobody_is_refused(shell: CommandLine, text: str) -> None:
    path = session_file(shell.folder, ANNA)
    path.write_text(text, "latin-1")

    assert shell.json(*ADD).error == "sign_in_required"


def test_outside_a_command_nobody_is_signed_in() -> None:
    assert acting().kind is ActorKind.HOST
    with pytest.raises(SignInRequiredError):
        acting_operator()


# --- the file -----------------------------------------------------------------------------------
def test_a_session_is_kept_for_its_owner_alone_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "state" / "session"
    assert read_session(path) is None
    write_session(path, "os_1")
    write_session(path, "os_2")

    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert read_session(path) == "os_2"
    assert [each.name for each in path.parent.iterdir()] == ["session"]
    forget_session(path)
    forget_session(path)
    assert read_session(path) is None


def test_a_file_is_not_written_through_a_link_left_beside_it(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (tmp_path / "session.new").symlink_to(other)
    write_session(tmp_path / "session", "os_1")

    assert not other.exists()

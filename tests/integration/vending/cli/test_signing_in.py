"""How a person becomes known to the command line: activation, sign-in, confirmation, the end."""

import pathlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pyotp
import pytest
from sqlalchemy import select

from tests.support.command_line import INIT, CommandLine, session_file
from tests.support.terminal import Terminal
from vending.operators.tables import operator_sessions
from vending.values.clock import SystemClock

PASSWORD = "seven tall giraffes hum"
ALICE = ("--operator", "alice")


STEP_S = 30
EASE_S = 15
"""A code of the step before serves while at least so much is left of the present step."""


def codes_of(secret: str) -> Iterator[str]:
    """Codes that are right when they are taken and for a while after, each of a later step."""
    last = 0
    while True:
        step, passed_s = divmod(int(SystemClock().now().timestamp()), STEP_S)
        earliest = step - 1 if passed_s <= STEP_S - EASE_S else step
        last = max(last + 1, earliest)
        if last > step + 1:
            Event().wait((last - 1 - step) * STEP_S - passed_s)
        yield pyotp.TOTP(secret).at(last * STEP_S)


@dataclass
class Newcomer:
    """Alice, who was invited and has her activation code in a file."""

    shell: CommandLine
    activation_file: str
    password_file: str
    codes: Iterator[str] = field(default_factory=lambda: iter(()))

    def run(self, *arguments: str) -> Any:  # noqa: ANN401 # any JSON document
        outcome = self.shell.json(*arguments, by="alice")
        assert outcome.code == 0, outcome.out
        return outcome.document

    def begin(self) -> Any:  # noqa: ANN401 # any JSON document
        files = ("--activation-code-file", self.activation_file)
        begun = self.run("activate", *files, "--password-file", self.password_file)
        self.codes = codes_of(begun["secret"])
        return begun

    def activate(self) -> Any:  # noqa: ANN401 # any JSON document
        begun = self.begin()
        return self.run("activate", "--ticket", begun["ticket"], "--code", next(self.codes))

    def sign_in(self) -> Any:  # noqa: ANN401 # any JSON document
        password = ("--password-file", self.password_file)
        return self.run("sign-in", *ALICE, *password, "--code", next(self.codes))


@pytest.fixture
def alice(bare: CommandLine) -> Newcomer:
    made = bare.json(*INIT).document
    code = made["administrators"][0]["activation_code"]
    return Newcomer(bare, bare.write("code", f"{code}\n"), bare.write("password", f"{PASSWORD}\n"))


def test_an_account_is_activated_and_signed_in(alice: Newcomer) -> None:
    activated = alice.activate()

    assert (activated["operator"], activated["person"]) == ("alice", "Alice Abara")
    assert len(set(activated["recovery_codes"])) == 10
    assert alice.run("whoami")["roles"] == "administrator"
    assert session_file(alice.shell.folder, "alice").stat().st_mode & 0o777 == 0o600


def test_nothing_is_activated_before_the_app_shows_its_first_code(alice: Newcomer) -> None:
    begun = alice.begin()
    wrong = alice.shell.json("activate", "--ticket", begun["ticket"], "--code", "000000")

    assert wrong.error == "code_refused"
    assert alice.shell.json("whoami", by="alice").error == "sign_in_required"


def test_password_and_code_sign_in_and_sign_out_ends_the_session(alice: Newcomer) -> None:
    alice.activate()
    assert alice.run("sign-out") == {"signed_out": "alice"}
    assert alice.shell.json("whoami", by="alice").error == "sign_in_required"

    signed_in = alice.sign_in()
    assert signed_in["operator"] == "alice"
    kept = session_file(alice.shell.folder, "alice").read_text("ascii")
    alice.run("sign-out")
    session_file(alice.shell.folder, "alice").write_text(kept, "ascii")
    session_file(alice.shell.folder, "alice").chmod(0o600)
    assert alice.shell.json("whoami", by="alice").error == "sign_in_required"


def test_this_command_line_stays_one_device_whoever_signs_in(alice: Newcomer) -> None:
    alice.activate()
    alice.sign_in()
    database = alice.shell.database()
    with database.read() as connection:
        devices = list(connection.scalars(select(operator_sessions.c.device_id)))
    database.close()

    assert len(devices) == 2
    assert len(set(devices)) == 1


def test_a_code_is_good_once(alice: Newcomer) -> None:
    begun = alice.begin()
    code = next(alice.codes)
    alice.run("activate", "--ticket", begun["ticket"], "--code", code)
    password = ("--password-file", alice.password_file)

    again = alice.shell.json("sign-in", *ALICE, *password, "--code", code)
    assert again.error == "sign_in_refused"


def test_a_recovery_code_signs_in(alice: Newcomer) -> None:
    code = alice.activate()["recovery_codes"][0]
    password = ("--password-file", alice.password_file)

    assert alice.run("sign-in", *ALICE, *password, "--code", code)["operator"] == "alice"


def test_a_wrong_password_signs_nobody_in(alice: Newcomer) -> None:
    alice.activate()
    wrong = alice.shell.write("wrong", "eight short giraffes hum")
    told = alice.shell.json("sign-in", *ALICE, "--password-file", wrong, "--code", "123456")

    assert told.error == "sign_in_refused"
    assert "giraffes" not in told.out + told.err


def test_a_fresh_code_confirms_the_session(alice: Newcomer) -> None:
    before = alice.activate()["fresh_until"]

    assert alice.run("confirm", "--code", next(alice.codes))["fresh_until"] >= before
    assert alice.shell.json("confirm", "--code", "000000", by="alice").error == "code_refused"


@pytest.mark.parametrize(
    "arguments",
    [
        ("sign-in", *ALICE),
        ("sign-in", *ALICE, "--password-file", "nowhere"),
        ("activate",),
        ("activate", "--ticket", "x"),
    ],
)
def test_without_a_terminal_each_secret_is_asked_for_by_its_option(
    alice: Newcomer, arguments: tuple[str, ...]
) -> None:
    assert alice.shell.json(*arguments).error == "sign_in_secret_missing"


def test_a_password_file_that_is_no_text_is_refused_without_its_bytes(alice: Newcomer) -> None:
    path = alice.shell.folder.parent / "binary"
    path.write_bytes(b"\xffcanary")
    told = alice.shell.json("sign-in", *ALICE, "--password-file", str(path))

    assert told.error == "sign_in_secret_missing"
    assert "canary" not in told.out + told.err


def test_at_a_terminal_secrets_are_typed_unseen_and_a_qr_code_is_drawn(alice: Newcomer) -> None:
    shell = alice.shell
    with pathlib.Path(alice.activation_file).open(encoding="ascii") as file:
        code = file.read().strip()
    session = session_file(shell.folder, "alice")
    terminal = Terminal(["activate", "--data", str(shell.folder)], shell.folder.parent, session)
    terminal.answer("activation code: ", code)
    terminal.answer("new password: ", PASSWORD)
    terminal.answer("the same again: ", PASSWORD)
    secret = terminal.read_out("secret: ", "\n")
    terminal.answer("first code of the app: ", next(codes_of(secret)))
    out = terminal.finish()

    assert out.count("█") + out.count("▀") + out.count("▄") > 100
    assert "recovery codes, each good once" in out
    for typed in (code, PASSWORD):
        assert typed not in terminal.screen + out
    assert alice.run("whoami")["operator"] == "alice"

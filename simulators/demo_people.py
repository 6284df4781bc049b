"""The two operators of the demonstration: each activates an account, and gives roles to the other.

What a person keeps in the head or in a telephone, the password and the secret of the app, is noted
in the demonstration's state: nothing here is worth anything.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final

import pyotp

from simulators.clock import ScaledClock
from simulators.demo_commands import FIRST, SECOND, DemoError, run_vending

PERSONS: Final[Mapping[str, str]] = {FIRST: "Amina Wanjiru", SECOND: "Grace Otieno"}
ROLES: Final = (
    "administrator", "customer-service", "engineer", "finance", "key-custodian", "tariff-owner",
)  # fmt: skip
"""What the demonstration does takes these; a utility has more people, with fewer roles each."""
STEP_S: Final = 30
"""Of a one-time code; each code is good once."""
POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Cast:
    """The two people, what each has noted, and how a note is kept."""

    folder: Path
    notes: dict[str, dict[str, Any]]
    keep: Callable[[], None]

    def run(self, name: str, *arguments: str, may_fail: bool = False) -> dict[str, Any]:
        """Run a command as one of the two."""
        return run_vending(self.folder, *arguments, by=name, may_fail=may_fail)

    def note(self, name: str, **facts: object) -> None:
        """Keep facts of one of the two."""
        self.notes.setdefault(name, {}).update(facts)
        self.keep()

    def write(self, name: str, text: str) -> str:
        """Write a file that only its owner reads, and return its path."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(f"{text}\n", "utf-8")
        return str(path.absolute())


def meet(folder: Path, state: dict[str, Any], *, keep: Callable[[], None]) -> None:
    """Make the installation with its two operators, or sign them in again.

    Raises:
        DemoError: A command failed.
    """
    cast = Cast(folder, state.setdefault("people", {}), keep)
    for name in PERSONS:
        _sign_in_again(cast, name)
    missing = [name for name in PERSONS if not cast.notes.get(name, {}).get("is_active")]
    if missing:
        for name, code in _invite(cast, missing).items():
            _activate(cast, name, code)
    if "roles" not in state:
        for name, other in ((FIRST, SECOND), (SECOND, FIRST)):
            _give_roles(cast, name, asked_by=other)
        state["roles"] = list(ROLES)
        keep()


def _invite(cast: Cast, names: list[str]) -> dict[str, str]:
    """Return the activation code of each."""
    named = [part for name in names for part in ("--administrator", f"{name}={PERSONS[name]}")]
    made = cast.run(FIRST, "init", *named)
    return {one["operator"]: one["activation_code"] for one in made["administrators"]}


def _activate(cast: Cast, name: str, code: str) -> None:
    password = secrets.token_urlsafe()
    files = (
        "--activation-code-file", cast.write(f"activation-{name}", code),
        "--password-file", cast.write(f"password-{name}", password),
    )  # fmt: skip
    begun = cast.run(name, "activate", *files)
    cast.note(name, secret=begun["secret"])
    cast.run(name, "activate", "--ticket", begun["ticket"], "--code", next(_codes(cast, name)))
    cast.note(name, is_active=True)


def _sign_in_again(cast: Cast, name: str) -> None:
    """Open a new session where the last is over; who never came is left for the invitation.

    Raises:
        DemoError: An account that was activated does not sign in.
    """
    noted = cast.notes.get(name, {})
    if "secret" not in noted or "error" not in cast.run(name, "whoami", may_fail=True):
        return
    password = ("--password-file", str((cast.folder / f"password-{name}").absolute()))
    for code in _codes(cast, name):
        typed = ("--operator", name, *password, "--code", code)
        if "error" not in cast.run(name, "sign-in", *typed, may_fail=True):
            cast.note(name, is_active=True)
            return
    if noted.get("is_active"):
        message = f"{name} does not sign in; remove the folder to begin anew"
        raise DemoError(message)


def _codes(cast: Cast, name: str) -> Iterator[str]:
    """Yield a code that was not used before, and after a wait one more."""
    noted, clock, pause = cast.notes[name], ScaledClock(1), Event()
    for _ in range(2):
        while (step := clock.now_ms() // 1000 // STEP_S) <= noted.get("step", 0):
            pause.wait(POLL_S)
        cast.note(name, step=step)
        yield pyotp.TOTP(noted["secret"]).at(step * STEP_S)


def _give_roles(cast: Cast, name: str, *, asked_by: str) -> None:
    """Let one ask for the other's roles, who looks at the request and approves it."""
    change = ["operators", "roles", name]
    change += [part for role in ROLES for part in ("--role", role)]
    asked = cast.run(asked_by, *change, "--reason", "the demonstration takes them")
    cast.run(name, "approvals", "approve", asked["approval"])
    cast.run(asked_by, *change, "--approval", asked["approval"])

"""The commands that the demonstration runs: `vending` and `meterctl`, as people type them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

CURRENCY: Final = "KES"
FIRST: Final = "wanjiru"
SECOND: Final = "otieno"


class DemoError(Exception):
    """The demonstration cannot go on; the message says what to do."""


def run_vending(
    folder: Path, *arguments: str, by: str = FIRST, may_fail: bool = False
) -> dict[str, Any]:
    """Run one `vending` command as one of the two operators and return what it printed.

    Raises:
        DemoError: It failed.
    """
    command = [sys.executable, "-m", "vending", *arguments, "--data", str(folder), "--json"]
    session = {"VENDING_SESSION_FILE": str(folder.absolute() / f"session-{by}")}
    return _run(command, folder, session, may_fail=may_fail)


def run_approved(folder: Path, *arguments: str, approval: str) -> dict[str, Any]:
    """Have the second operator approve what the first asked for, and carry it out.

    Raises:
        DemoError: A step failed.
    """
    run_vending(folder, "approvals", "approve", approval, by=SECOND)
    return run_vending(folder, *arguments, "--approval", approval)


def run_meterctl(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run one `meterctl` command to its end and return what it printed, also when it refused.

    Raises:
        DemoError: It printed nothing to read.
    """
    command = [sys.executable, "-m", "meter_drivers", *arguments, "--json"]
    return _run(command, folder, {}, may_fail=True)


def _run(
    command: Sequence[str], folder: Path, session: Mapping[str, str], *, may_fail: bool = False
) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 # our own command
        command,
        capture_output=True,
        env={**environment(), **session},
        cwd=folder,
        check=False,
        start_new_session=True,  # Ctrl-C reaches us alone: a step is finished or not begun
    )
    try:
        document: dict[str, Any]
        document, _ = json.JSONDecoder().raw_decode(done.stdout.decode())
    except ValueError as error:
        told = (done.stderr or done.stdout).decode(errors="replace").strip()
        message = f"`{' '.join(command[2:])}` failed: {told}"
        raise DemoError(message) from error
    if done.returncode != 0 and not may_fail:
        told = document["error"]
        message = f"`{' '.join(command[2:])}` failed: {told['detail']}\n{told['remedy']}"
        raise DemoError(message)
    return document


def environment() -> dict[str, str]:
    """Return our environment without settings of a real installation, and with demo mode on."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VENDING_")}
    return {**kept, "VENDING_DEMO": "true", "VENDING_UTILITY_NAME": "Demo Utility",
            "VENDING_CURRENCY": CURRENCY, "VENDING_TIMEZONE": "Africa/Nairobi",
            "VENDING_WORKER_POLL_MS": "100"}  # fmt: skip

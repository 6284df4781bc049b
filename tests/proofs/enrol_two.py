"""Begins an installation with two people, the first of whom may bring in keys; needs pyotp alone.

Run beside the command `vending`, with the settings of the installation in the environment and a
folder for their sessions and secrets as the argument: `python enrol_two.py FOLDER`. Afterwards
`VENDING_SESSION_FILE=FOLDER/session-first` signs in the first.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyotp

FIRST, SECOND = "first", "second"
ROLES = ("--role", "administrator", "--role", "key-custodian")


def vending(folder: Path, by: str, *arguments: str) -> Any:  # noqa: ANN401 # any JSON document
    session = {"VENDING_SESSION_FILE": str(folder / f"session-{by}")}
    done = subprocess.run(
        ["vending", *arguments, "--json"],
        env={**os.environ, **session},  # noqa: TID251 # the settings of whoever runs this
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"vending {arguments[0]} failed: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def secret_file(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(f"{text}\n", "utf-8")
    return str(path)


def activate(folder: Path, name: str, code: str) -> None:
    password = f"nine quiet herons {os.urandom(4).hex()}"
    files = (
        "--activation-code-file", secret_file(folder, f"activation-{name}", code),
        "--password-file", secret_file(folder, f"password-{name}", password),
    )  # fmt: skip
    begun = vending(folder, name, "activate", *files)
    shown = pyotp.TOTP(begun["secret"]).now()
    vending(folder, name, "activate", "--ticket", begun["ticket"], "--code", shown)


def main() -> None:
    folder = Path(sys.argv[1])
    made = vending(folder, FIRST, "init", "--administrator", FIRST, "--administrator", SECOND)
    for one in made["administrators"]:
        activate(folder, one["operator"], one["activation_code"])
    change = ("operators", "roles", FIRST, *ROLES)
    asked = vending(folder, SECOND, *change, "--reason", "brings in keys")["approval"]
    vending(folder, FIRST, "approvals", "approve", asked)
    vending(folder, SECOND, *change, "--approval", asked)


if __name__ == "__main__":
    main()

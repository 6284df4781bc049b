"""Tokens of SoftHSM2, the PKCS#11 library of Debian's softhsm2; its absence is a failure."""

import shutil
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pkcs11

from vending.keystore.pkcs11 import PKCS11Token
from vending.keystore.redaction import Secret

LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "1234-abcd"
SO_PIN = "87654321"
LACKING = "lacks softhsm2: apt-get install --no-install-recommends softhsm2 (`make test-system`)"


@dataclass
class SoftHSM:
    """One folder of tokens; made new for a test run, as the library knows one at a time."""

    folder: Path
    _numbers: "count[int]"

    def make_token(self) -> str:
        """Make an empty token, and return its label."""
        label = f"token {next(self._numbers)}"
        subprocess.run(
            [
                "softhsm2-util", "--init-token", "--free",
                "--label", label, "--pin", PIN, "--so-pin", SO_PIN,
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        self.restart()
        return label

    def restart(self) -> None:
        """End every session, as when a token is unplugged and comes back."""
        pkcs11.lib(str(LIBRARY)).reinitialize()

    def token(self, label: str | None = None, *, pin: str = PIN) -> PKCS11Token:
        """Return a token, a new one without a label, not yet opened."""
        return PKCS11Token(LIBRARY, label or self.make_token(), Secret(pin.encode()))


def set_up(folder: Path) -> tuple[SoftHSM, str]:
    """Return where tokens are made, and the file that SOFTHSM2_CONF must name from now on."""
    assert shutil.which("softhsm2-util"), LACKING
    assert LIBRARY.is_file(), LACKING
    tokens = folder / "tokens"
    tokens.mkdir(exist_ok=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    return SoftHSM(folder, count(1)), str(configuration)

"""A terminal of its own under a command, as a person has."""

import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


class Terminal:
    """The command `vending` at a terminal; whoever sits there sees the screen."""

    def __init__(self, arguments: list[str], folder: Path, session: Path) -> None:
        self.screen = ""
        self._out = ""
        self._master, slave = pty.openpty()

        def own_the_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [sys.executable, "-m", "vending", *arguments],
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            cwd=folder,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(REPOSITORY),
                "VENDING_SESSION_FILE": str(session),
            },
            start_new_session=True,
            preexec_fn=own_the_terminal,  # noqa: PLW1509 # nothing else runs in the child yet
        )
        os.close(slave)

    def answer(self, question: str, text: str) -> None:
        """Wait for a question and type the answer."""
        already = self.screen.count(question)
        while self.screen.count(question) == already:
            self.screen += os.read(self._master, 4096).decode()
        os.write(self._master, f"{text}\n".encode())

    def read_out(self, start: str, end: str) -> str:
        """Wait for text on the other side and return what stands between the two."""
        assert self.process.stdout is not None
        while not (found := re.search(f"{start}(.*?){end}", self._out)):
            self._out += os.read(self.process.stdout.fileno(), 4096).decode(errors="replace")
        return found[1].strip()

    def finish(self) -> str:
        """Wait for the end and return what was printed to the other side."""
        out, _ = self.process.communicate(timeout=200)
        os.close(self._master)
        return self._out + out.decode(errors="replace")

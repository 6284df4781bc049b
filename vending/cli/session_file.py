"""The file in which the command line keeps its session: for its owner's eyes alone."""

import os
import stat
from pathlib import Path
from typing import Final

from vending.errors import ErrorKind, VendingError

LENGTH_MAX: Final = 256
_PRIVATE: Final = 0o600
_OTHERS: Final = 0o077


class SessionFileError(VendingError):
    """The session file cannot be kept, or others could read it."""

    kind = ErrorKind.UNAVAILABLE
    code = "session_file_unusable"
    remedy = (
        "Remove the file and sign in again, or name another one with VENDING_SESSION_FILE; it "
        "belongs to you with mode 0600."
    )

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"session file {path}: {reason}", path=str(path), reason=reason)


def read_session(path: Path) -> str | None:
    """Return the token; None: nobody is signed in.

    Raises:
        SessionFileError: It is no file, others may read or write it, or it cannot be read.
    """
    try:
        # Not through a link: another user may have put one there.
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SessionFileError(path, error.strerror or "cannot be opened") from error
    with os.fdopen(opened, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SessionFileError(path, "it is no file")
        if status.st_uid != os.getuid() or status.st_mode & _OTHERS:
            raise SessionFileError(path, "others may use it")
        return file.read(LENGTH_MAX).decode("ascii", "replace").strip()


def write_session(path: Path, token: str) -> None:
    """Keep the token, in place of any other.

    Raises:
        SessionFileError: The file cannot be written.
    """
    fresh = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _PRIVATE)
        with os.fdopen(opened, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
        fresh.replace(path)
    except OSError as error:
        raise SessionFileError(path, error.strerror or "cannot be written") from error


def forget_session(path: Path) -> None:
    """Remove the file, if it is there.

    Raises:
        SessionFileError: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SessionFileError(path, error.strerror or "cannot be removed") from error

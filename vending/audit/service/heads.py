"""Signed heads outside the database: one JSON document a line, a file a month.

    {"position": 42, "previous_position": 17, "link": "…",
     "sealed_at": "2026-11-25T08:00:00.000000+00:00", "signature": "…", "key": "…"}

A head says what the chain was. Whoever holds one and the public key can show that the chain was
longer, or another, and needs no secret for it. So heads belong where a superuser of the database
does not reach: ship the folder to another machine.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from vending.audit import repository
from vending.audit.errors import HeadInvalidError, HeadsFileError
from vending.audit.model import Head
from vending.audit.rules import MAC_BYTES, SIGNATURE_BYTES, PublicKey
from vending.persistence.engine import Database

EXPORT_MAX: Final = 1_000
"""Heads of one run; the next one goes on."""
LINE_BYTES_MAX: Final = 2_000
_PREFIX: Final = "heads-"
_SUFFIX: Final = ".jsonl"
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class ExportedLine:
    """One line of an exported file."""

    where: str
    """File and line number."""
    head: Head | None
    """None: the line is malformed."""


def export_heads(database: Database, folder: Path, *, public_key: PublicKey) -> int:
    """Write the heads that are not exported yet; return how many.

    The files themselves say what they hold, so a crash repeats none and skips none.

    Raises:
        HeadsFileError: The folder cannot be read or written.
        HeadInvalidError: A head in the database, or the last line, bears no signature of ours.
    """
    with _held(folder):
        _mend(folder)
        last = last_exported(folder, public_key=public_key)
        after = 0 if last is None else last.position
        with database.read() as connection:
            heads = [head for head, _ in repository.list_heads(connection, after, EXPORT_MAX)]
        for head in heads:
            if not public_key.has_signed(head):
                where = f"audit_heads, position {head.position}"
                raise HeadInvalidError(where, why="the signature is not ours")
        _append(folder, heads, public_key)
    return len(heads)


def last_exported(folder: Path, *, public_key: PublicKey, file: Path | None = None) -> Head | None:
    """Return the newest head in the file, or in the newest of the folder; None: there is none.

    Raises:
        HeadsFileError: The folder cannot be read.
        HeadInvalidError: The newest line is no head of ours.
    """
    for path in [file] if file is not None else reversed(list_files(folder)):
        line = _last_line(path)
        if line:
            return parse_trusted(line, str(path), public_key=public_key)
    return None


def list_files(folder: Path) -> list[Path]:
    """Return the files of exported heads, the oldest first."""
    return sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}"))


def read_lines(paths: Iterable[Path]) -> Iterator[ExportedLine]:
    """Yield the heads of the files; a line that is none is yielded as such.

    Raises:
        HeadsFileError: A file cannot be read.
    """
    for path in paths:
        try:
            with path.open("rb") as file:
                number = 0
                while line := file.readline(LINE_BYTES_MAX):
                    number += 1
                    yield ExportedLine(f"{path}, line {number}", parse_head(line))
        except OSError as error:
            raise HeadsFileError(str(path), why=error.strerror or "unreadable") from error


def write_heads(connection: Connection, path: Path, *, public_key: PublicKey) -> int:
    """Write every head of the database to a new file; return how many.

    Raises:
        HeadsFileError: The file exists, or cannot be written.
    """
    count = after = 0
    try:
        with path.open("x", encoding="utf-8") as file:
            while heads := repository.list_heads(connection, after, EXPORT_MAX):
                file.writelines(render_head(head, public_key) for head, _ in heads)
                count += len(heads)
                after = heads[-1][0].position
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise HeadsFileError(str(path), why=error.strerror or "unwritable") from error
    return count


def render_head(head: Head, public_key: PublicKey) -> str:
    """Return the head as a line."""
    document = {
        "position": head.position,
        "previous_position": head.previous_position,
        "link": head.link.hex(),
        "sealed_at": head.sealed_at.isoformat(timespec="microseconds"),
        "signature": head.signature.hex(),
        "key": public_key.name,
    }
    return json.dumps(document) + "\n"


def parse_head(line: bytes) -> Head | None:
    """Return the head of a line, its signature unchecked; None: it is none."""
    try:
        document = json.loads(line)
        sealed_at = datetime.fromisoformat(document["sealed_at"])
        head = Head(
            position=document["position"],
            previous_position=document["previous_position"],
            link=bytes.fromhex(document["link"]),
            sealed_at=sealed_at.astimezone(UTC),
            signature=bytes.fromhex(document["signature"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    sizes = len(head.link), len(head.signature)
    if sizes != (MAC_BYTES, SIGNATURE_BYTES):
        return None  # what is signed would be cut to size
    numbers = (head.position, head.previous_position)
    is_whole = all(type(one) is int and 0 <= one < 1 << 63 for one in numbers)
    return head if is_whole and sealed_at.tzinfo is not None else None


def parse_trusted(line: bytes, where: str, *, public_key: PublicKey) -> Head:
    """Return the head of a line.

    Raises:
        HeadInvalidError: It is none, or bears no signature of ours.
    """
    head = parse_head(line)
    if head is None:
        raise HeadInvalidError(where, why="the line is no head")
    if not public_key.has_signed(head):
        raise HeadInvalidError(where, why="the signature is not ours")
    return head


def _append(folder: Path, heads: list[Head], public_key: PublicKey) -> None:
    months: dict[str, list[str]] = {}
    for head in heads:
        months.setdefault(f"{head.sealed_at:%Y-%m}", []).append(render_head(head, public_key))
    # The newest file must hold the newest head, whatever the clock did.
    newest = list_files(folder)[-1:]
    for month, lines in months.items():
        path = max([folder / f"{_PREFIX}{month}{_SUFFIX}", *newest])
        try:
            is_new = not path.exists()
            with path.open("a", encoding="utf-8") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                _sync_folder(folder)
        except OSError as error:
            raise HeadsFileError(str(path), why=error.strerror or "unwritable") from error
        newest = [path]


def _last_line(path: Path) -> bytes:
    """Return the last whole line; nothing when there is none.

    Raises:
        HeadsFileError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * LINE_BYTES_MAX))
            tail = file.read()
    except OSError as error:
        raise HeadsFileError(str(path), why=error.strerror or "unreadable") from error
    whole = tail[: tail.rfind(b"\n") + 1]
    return whole.splitlines()[-1] if whole else b""


def _mend(folder: Path) -> None:
    """Cut off the piece of a line that a crash left at the end of the newest file."""
    for path in list_files(folder)[-1:]:
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - 2 * LINE_BYTES_MAX))
            file.truncate(start + file.read().rfind(b"\n") + 1)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder against another worker of this machine.

    Raises:
        HeadsFileError: It cannot be made or locked.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise HeadsFileError(str(folder), why=error.strerror or "unusable") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

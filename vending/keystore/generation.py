"""The companion file that tells an older copy of the key store from the present one.

The store counts its changes, and the count is authenticated in its header. After each change
the count goes into `keystore.generation` in the data folder, beside the database and not in it:
a database that was put back alone is then older than the file says, and is refused.

The limits, stated plainly. Who puts back an old database *and* the old file of the same moment
is not noticed: nothing on this machine is newer than both. A crash after the commit and before
the file is written leaves the file one behind, which the next opening mends; until then that one
step back is not noticed either. Each machine that opens the store keeps a file of its own.
"""

import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vending.keystore.errors import (
    Damage,
    GenerationFileError,
    GenerationUnknownError,
    KeyStoreCorruptError,
)
from vending.keystore.sealing import Keyring, Purpose

FILE_NAME: Final = "keystore.generation"

_FIRST_LINE: Final = "vending key store generation, do not edit"
_FORM: Final = re.compile(
    re.escape(_FIRST_LINE)
    + r"\nstore ([0-9a-f]{32})\ngeneration ([0-9]{1,18})\nmanifest ([0-9a-f]{64})"
    + r"\nmac ([0-9a-f]{64})\n"
)
_FILE_BYTES_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class Generation:
    """One state of one store: its count of changes and the authenticator over all its records."""

    store_id: bytes
    number: int
    manifest: bytes


class GenerationFile:
    """The newest generation of the store that this machine has seen."""

    __slots__ = ("path",)

    def __init__(self, data_folder: Path) -> None:
        self.path = data_folder / FILE_NAME

    def read(self) -> bytes | None:
        """Return what the file holds, `None` when there is none; the input of `check`.

        Read it before the database: the database is always written first, so that a change
        made by another process in between never looks like a roll-back.

        Raises:
            GenerationFileError: It is there and cannot be read.
        """
        try:
            # Without waiting: in its place may lie a pipe that nobody writes to.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise GenerationFileError(str(self.path), why="it is not a plain file")
                return file.read(_FILE_BYTES_MAX)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refusal(error) from error

    def check(self, held: bytes | None, present: Generation, keyring: Keyring) -> None:
        """Hold `present`, as read from the database, against the file; move the file forward.

        Raises:
            GenerationUnknownError: There is no file.
            KeyStoreCorruptError: The file was altered, or is newer than `present`.
            GenerationFileError: The data folder cannot be written.
        """
        if held is None:
            raise GenerationUnknownError(str(self.path))
        seen, version = _parse(held, keyring)
        if seen.store_id != present.store_id:
            raise KeyStoreCorruptError(Damage.GENERATION_FILE)
        if version != keyring.active and seen.number >= present.number:
            # An older root key may only vouch for what came before the present generation.
            raise KeyStoreCorruptError(Damage.GENERATION_FILE)
        is_fork = seen.number == present.number and seen.manifest != present.manifest
        if seen.number > present.number or is_fork:
            raise KeyStoreCorruptError(Damage.ROLLED_BACK)
        if seen.number < present.number:
            self.advance(present, keyring)

    def advance(self, present: Generation, keyring: Keyring) -> None:
        """Write `present` to the file unless another process wrote a newer one meanwhile.

        Raises:
            KeyStoreCorruptError: The file was altered meanwhile.
            GenerationFileError: The data folder cannot be written.
        """
        with self._locked_folder():
            held = self.read()
            if held is None or _parse(held, keyring)[0].number < present.number:
                self._replace(present, keyring)

    def overwrite(self, present: Generation, keyring: Keyring) -> None:
        """Write `present` to the file, whatever it held.

        Raises:
            GenerationFileError: The data folder cannot be written.
        """
        with self._locked_folder():
            self._replace(present, keyring)

    @contextmanager
    def _locked_folder(self) -> Iterator[None]:
        try:
            descriptor = os.open(self.path.parent, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._refusal(error) from error

    def _replace(self, present: Generation, keyring: Keyring) -> None:
        """Replace the file by one for `present`, whole or not at all."""
        descriptor, name = tempfile.mkstemp(prefix=f".{FILE_NAME}.", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_render(present, keyring).encode())
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        finally:
            Path(name).unlink(missing_ok=True)

    def _refusal(self, error: OSError) -> GenerationFileError:
        return GenerationFileError(str(self.path), why=error.strerror or type(error).__name__)

    def __repr__(self) -> str:
        return f"GenerationFile({str(self.path)!r})"


def _parse(content: bytes, keyring: Keyring) -> tuple[Generation, int]:
    """Return what the file says, and the version of the root key that vouches for it.

    Raises:
        KeyStoreCorruptError: It was altered, or none of the root keys vouches for it.
    """
    match = _FORM.fullmatch(content.decode("ascii", "replace"))
    if match is None:
        raise KeyStoreCorruptError(Damage.GENERATION_FILE)
    seen = Generation(bytes.fromhex(match[1]), int(match[2]), bytes.fromhex(match[3]))
    body = _render_body(seen)
    version = keyring.find_version(body.encode(), bytes.fromhex(match[4]), Purpose.GENERATION)
    if version is None or f"{body}mac {match[4]}\n".encode() != content:
        raise KeyStoreCorruptError(Damage.GENERATION_FILE)
    return seen, version


def _render(generation: Generation, keyring: Keyring) -> str:
    body = _render_body(generation)
    return f"{body}mac {keyring.authenticate(body.encode(), Purpose.GENERATION).hex()}\n"


def _render_body(generation: Generation) -> str:
    return (
        f"{_FIRST_LINE}\nstore {generation.store_id.hex()}\n"
        f"generation {generation.number}\nmanifest {generation.manifest.hex()}\n"
    )

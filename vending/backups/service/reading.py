"""Reads a backup from end to end and holds it against the counts and digests it carries."""

import base64
import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from vending.backups.archive import ArchiveReader, ContentKey
from vending.backups.custodian_keys import CustodianKey
from vending.backups.errors import BackupDamagedError, BackupFileError
from vending.backups.model import BackupContents, BackupReport, TableShape, TableSum
from vending.backups.rules import RowTally, decode_rows, parse_line, read_shape

FORMAT: Final = 1
_READ_BYTES: Final = 1 << 20

TakeRows = Callable[[TableShape, list[dict[str, Any]]], None]


@dataclass(frozen=True, slots=True)
class Opening:
    """The first record of a backup."""

    contents: BackupContents
    sealed_root: bytes | None
    """The key store's root key; None: the installation had no key store."""


def verify_backup(path: Path, holders: Sequence[CustodianKey]) -> BackupReport:
    """Read a backup from end to end, with the keys of two of its custodians.

    Raises:
        BackupFileError: The file cannot be read.
        BackupLockedError: The keys are not those of two different custodians of it.
        BackupDamagedError: It was cut, altered or mixed, or is no backup.
    """
    with open_backup(path) as file:
        reader = ArchiveReader(file)
        return read_through(reader, reader.header.unlock(holders), path)


def read_through(reader: ArchiveReader, content_key: ContentKey, path: Path) -> BackupReport:
    """Return what a backup holds, every row of it seen to be whole.

    Raises:
        BackupFileError: The file cannot be read.
        BackupDamagedError: It was cut, altered or mixed.
    """
    lines = reader.lines(content_key)
    opening = read_opening(lines, reader)
    sums = walk(lines, _leave)
    digest, file_bytes = _digest_of(path)
    return BackupReport(
        contents=opening.contents,
        tables=sums,
        file_bytes=file_bytes,
        digest=digest,
        custodians=tuple(each.name for each in reader.header.custodians),
    )


def open_backup(path: Path) -> BinaryIO:
    """Return the file, open for reading.

    Raises:
        BackupFileError: It cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise BackupFileError(str(path), why=error.strerror or "cannot be read") from error


def read_opening(lines: Iterator[bytes], reader: ArchiveReader) -> Opening:
    """Return the first record, which must be of the same backup as the header.

    Raises:
        BackupDamagedError: It is not, or of a later format.
    """
    document = parse_line(next(lines, b""))
    try:
        if document["format"] != FORMAT or document["backup_id"] != reader.header.backup_id.hex:
            what = "it was made by a later release, or is of another backup"
            raise BackupDamagedError(what)
        root = document["root"]
        seen = document["seen_at"]
        contents = BackupContents(
            backup_id=uuid.UUID(hex=document["backup_id"]),
            at=datetime.fromisoformat(document["at"]),
            revision=str(document["revision"]),
            engine=str(document["engine"]),
            store_generation=document["store_generation"],
            seen_at=None if seen is None else datetime.fromisoformat(seen),
            audit_head=dict(document["audit_head"]),
        )
        return Opening(contents, None if root is None else base64.b64decode(root, validate=True))
    except (KeyError, TypeError, ValueError) as error:
        what = "its first record cannot be read"
        raise BackupDamagedError(what) from error


def walk(lines: Iterator[bytes], take: TakeRows) -> dict[str, TableSum]:
    """Hand every row to `take`, in the order of loading; return the sum of each table.

    Raises:
        BackupDamagedError: Rows are missing or others than were counted.
    """
    sums: dict[str, TableSum] = {}
    shape: TableShape | None = None
    tally = RowTally()
    for line in lines:
        document = parse_line(line)
        match document:
            case {"rows": list(rows)} if shape is not None:
                tally.add(line, len(rows))
                take(shape, decode_rows(shape, document))
            case {"table": str()} if shape is None:
                shape, tally = _announced(document), RowTally()
            case {"end": str(name)} if shape is not None and shape.name == name:
                sums[name] = _ended(name, document, tally)
                shape = None
            case {"tables": int(tables), "rows": int(count)} if shape is None:
                _close(lines, sums, tables, count)
                return sums
            case _:
                what = "its records do not follow each other"
                raise BackupDamagedError(what)
    what = "its last record is missing"
    raise BackupDamagedError(what)


def _leave(shape: TableShape, rows: list[dict[str, Any]]) -> None:
    """Only look at the rows."""


def _announced(document: Mapping[str, Any]) -> TableShape:
    try:
        return read_shape(document)
    except (KeyError, TypeError, ValueError) as error:
        what = "a table cannot be read"
        raise BackupDamagedError(what) from error


def _ended(name: str, document: Mapping[str, Any], tally: RowTally) -> TableSum:
    found = tally.sum()
    if document.get("count") != found.rows or document.get("digest") != found.digest:
        what = f"the rows of {name} are not those that were counted"
        raise BackupDamagedError(what)
    return found


def _close(lines: Iterator[bytes], sums: Mapping[str, TableSum], tables: int, count: int) -> None:
    if len(sums) != tables or sum(each.rows for each in sums.values()) != count:
        what = "its tables are not those that were counted"
        raise BackupDamagedError(what)
    if next(lines, None) is not None:
        what = "something follows its last record"
        raise BackupDamagedError(what)


def _digest_of(path: Path) -> tuple[str, int]:
    digest, file_bytes = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
                file_bytes += len(piece)
    except OSError as error:
        raise BackupFileError(str(path), why=error.strerror or "cannot be read") from error
    return digest.hexdigest(), file_bytes

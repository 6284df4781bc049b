"""Makes a backup while sales go on, and reads it back before it counts as one.

Everything comes out of one snapshot: REPEATABLE READ on PostgreSQL, a read transaction on SQLite;
where SQLite has a rollback journal, whose readers would keep writers out, a copy made by its
online backup. The file appears under its name only after it was read back whole.
"""

import os
import re
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from sqlalchemy import Connection

from vending.backups import repository
from vending.backups.archive import (
    CHUNK_BYTES,
    ArchiveHeader,
    ArchiveReader,
    ArchiveWriter,
    ContentKey,
    make_header,
)
from vending.backups.errors import (
    BackupDamagedError,
    BackupFileError,
    BackupVerificationError,
)
from vending.backups.model import BackupReport, TableShape, TableSum
from vending.backups.rules import RowTally, describe_shape, encode_rows, order_for_loading
from vending.backups.service.custodians import require_custodians
from vending.backups.service.reading import FORMAT, read_through
from vending.errors import canonical_json
from vending.keystore.recovery import export_root
from vending.keystore.store import OpenKeyStore
from vending.persistence import migrate
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.persistence.engine import Database, EngineKind, create_database
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import new_uuid7

SUFFIX: Final = ".vbackup"
_OWN_NAME: Final = re.compile(rf"vending-\d{{8}}T\d{{6}}Z-[0-9a-f]{{8}}{re.escape(SUFFIX)}")
_PAGES_AT_ONCE: Final = 1024


def create_backup(
    database: Database,
    store: OpenKeyStore,
    path: Path,
    *,
    by: Actor,
    clock: Clock,
    chunk_bytes: int = CHUNK_BYTES,
) -> BackupReport:
    """Write a backup to a new file, verify it, and record that it was made.

    Raises:
        CustodianCountError: There are fewer than two custodians.
        BackupFileError: The file exists, or cannot be written.
        BackupIncompleteError: The database holds a table this release does not know.
        BackupVerificationError: It does not read back as it was read.
        KeyStoreMissingError: The key store is gone.
        KeyStoreCorruptError: The key store was damaged, tampered with or rolled back.
    """
    if path.exists():
        raise BackupFileError(str(path), why="it exists; a backup overwrites nothing")
    content_key = ContentKey.generate()
    with _new_file(path) as (file, unnamed):
        with _snapshot(database, path.parent) as connection:
            opening = _Opening(connection, store, content_key, clock, chunk_bytes)
            written = _write(file, connection, opening, content_key)
        file.flush()
        os.fsync(file.fileno())
        report = _verify(unnamed, content_key, written)
    with database.unit_of_work() as uow:
        _record(uow.connection, report, path, by, clock)
        uow.commit()
    return report


def create_backup_in(
    database: Database, store: OpenKeyStore, folder: Path, *, keep: int, by: Actor, clock: Clock
) -> tuple[Path, BackupReport]:
    """Write a backup into a folder, then delete the oldest there beyond `keep`.

    Only files that a backup named itself are deleted, and only after a new one was verified.

    Raises:
        CustodianCountError: There are fewer than two custodians.
        BackupFileError: The folder cannot be written.
        BackupIncompleteError: The database holds a table this release does not know.
        BackupVerificationError: It does not read back as it was read.
        KeyStoreMissingError: The key store is gone.
        KeyStoreCorruptError: The key store was damaged, tampered with or rolled back.
    """
    assert keep >= 1, "the newest backup stays"
    unique = new_uuid7(clock).hex[-8:]
    path = folder / f"vending-{clock.now():%Y%m%dT%H%M%SZ}-{unique}{SUFFIX}"
    report = create_backup(database, store, path, by=by, clock=clock)
    own = sorted(each for each in folder.iterdir() if _OWN_NAME.fullmatch(each.name))
    for old in own[:-keep]:
        old.unlink(missing_ok=True)
    return path, report


def list_backups(database: Database, *, limit: int = 100) -> list[dict[str, object]]:
    """Return the newest backups that were made, and whether their files are there."""
    with database.read() as connection:
        return [
            {
                "at": row.at.isoformat(),
                "file": row.file,
                "is_there": Path(row.file).is_file(),
                "bytes": row.file_bytes,
                "sha256": row.digest.hex(),
                "schema": row.revision,
                "rows": row.row_count,
                "custodians": ", ".join(row.custodians),
            }
            for row in repository.list_backups(connection, limit)
        ]


class _Opening:
    """The header and the first record of a backup, read in its snapshot."""

    def __init__(
        self,
        connection: Connection,
        store: OpenKeyStore,
        content_key: ContentKey,
        clock: Clock,
        chunk_bytes: int,
    ) -> None:
        backup_id, at = new_uuid7(clock), clock.now().isoformat()
        self.header: ArchiveHeader = make_header(
            content_key,
            backup_id=backup_id,
            at=at,
            custodians=require_custodians(connection),
            chunk_bytes=chunk_bytes,
        )
        root, generation = export_root(connection, store, content_key.sealer())
        seen_at = repository.read_seen_at(connection)
        self.line = canonical_json(
            {
                "format": FORMAT,
                "backup_id": backup_id.hex,
                "at": at,
                "revision": migrate.revision_of(connection),
                "engine": connection.dialect.name,
                "root": b64encode(root).decode(),
                "store_generation": generation,
                "seen_at": None if seen_at is None else seen_at.isoformat(),
                "audit_head": repository.read_audit_head(connection),
            }
        )


def _write(
    file: BinaryIO, connection: Connection, opening: _Opening, content_key: ContentKey
) -> dict[str, TableSum]:
    repository.take_long(connection)
    writer = ArchiveWriter(file, opening.header, content_key)
    writer.write_line(opening.line)
    shapes = order_for_loading(repository.list_shapes(connection))
    sums = {shape.name: _write_table(writer, connection, shape) for shape in shapes}
    count = sum(each.rows for each in sums.values())
    writer.write_line(canonical_json({"tables": len(sums), "rows": count}))
    writer.finish()
    return sums


def _write_table(writer: ArchiveWriter, connection: Connection, shape: TableShape) -> TableSum:
    writer.write_line(describe_shape(shape))
    tally = RowTally()
    for rows in repository.read_rows(connection, shape):
        line = encode_rows(shape, rows)
        tally.add(line, len(rows))
        writer.write_line(line)
    found = tally.sum()
    end = {"end": shape.name, "count": found.rows, "digest": found.digest}
    writer.write_line(canonical_json(end))
    return found


def _verify(path: Path, content_key: ContentKey, written: dict[str, TableSum]) -> BackupReport:
    """Read the file from the disk with the key that is still in memory.

    Raises:
        BackupVerificationError: It holds something else than was written.
    """
    try:
        with path.open("rb") as file:
            report = read_through(ArchiveReader(file), content_key, path)
    except BackupDamagedError as error:
        raise BackupVerificationError(str(error)) from error
    if report.tables != written:
        what = "its tables are not those that were written"
        raise BackupVerificationError(what)
    return report


@contextmanager
def _new_file(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a file that gets its name when the block ends well, and vanishes otherwise.

    Raises:
        BackupFileError: It cannot be written, or its name was taken meanwhile.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file, Path(name)
            # The name first: a file that somebody else put there meanwhile is not overwritten.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise BackupFileError(str(path), why=error.strerror or "cannot be written") from error


@contextmanager
def _snapshot(database: Database, folder: Path) -> Iterator[Connection]:
    """Yield a connection that sees one moment, without keeping any sale waiting."""
    if database.dialect is EngineKind.SQLITE and _has_rollback_journal(database):
        with tempfile.TemporaryDirectory(prefix=".vending-copy-", dir=folder) as place:
            copy = Path(place) / "copy.sqlite3"
            _copy_online(database, copy)
            copied = create_database(f"sqlite:///{copy}")
            try:
                with copied.read() as connection:
                    yield connection
            finally:
                copied.close()
        return
    with database.read() as connection:
        yield connection


def _has_rollback_journal(database: Database) -> bool:
    with database.read() as connection:
        return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()) != "wal"


def _copy_online(database: Database, copy: Path) -> None:
    with database.engine.connect() as connection:
        source = connection.connection.driver_connection
        assert source is not None, "the connection is open"
        library = database.engine.dialect.dbapi
        assert library is not None, "the engine was given a module"
        target = library.connect(str(copy))
        try:
            source.backup(target, pages=_PAGES_AT_ONCE)
        finally:
            target.close()


def _record(
    connection: Connection, report: BackupReport, path: Path, by: Actor, clock: Clock
) -> None:
    contents = report.contents
    repository.insert_backup(
        connection,
        {
            "id": contents.backup_id,
            "at": contents.at,
            "finished_at": clock.now(),
            "file": str(path.absolute()),
            "file_bytes": report.file_bytes,
            "digest": bytes.fromhex(report.digest),
            "revision": contents.revision,
            "row_count": report.rows,
            "custodians": list(report.custodians),
        },
    )
    details: dict[str, Json] = {
        "rows": report.rows,
        "bytes": report.file_bytes,
        "sha256": report.digest,
    }
    event = AuditEvent(by, "backup.made", f"backup:{contents.backup_id}", details)
    record(connection, [event], clock)

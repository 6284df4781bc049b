"""The code of each event, made here or by a second process, in the order of the events' ids.

Reading and coding the events is the larger half of a verification. A second process does it where
a chain is long, while the first reads the links and holds the two together:

    first:   {"url": ..., "key": ...} on its standard input        never an argument, never a file
    second:  R                                                    its snapshot stands
             size of the codes (4) | count of odd rows (4) | codes | size (4) | odd row | ...
             ffffffff 00000000                                    the end

Its snapshot is the older of the two, so an event that came between them is not among the codes;
the walk looks for it itself. A second process that ends early is no verdict: all is done here then.
"""

import json
import os
import select
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final, Protocol

from sqlalchemy import Connection

from vending.audit import repository
from vending.audit.rules import ID_BYTES, MAC_BYTES, ChainKeys, KeyedHash
from vending.persistence.engine import Database, create_database

CODED_BYTES: Final = ID_BYTES + MAC_BYTES
CHUNK_MAX: Final = 20_000
LONG_CHAIN: Final = 100_000
"""Links from which on a second process is worth its start."""
_ID_SIZE: Final = ID_BYTES.to_bytes(4)
_HEADER: Final = struct.Struct(">II")
_SIZE: Final = struct.Struct(">I")
_END: Final = _HEADER.pack(0xFFFF_FFFF, 0)
_READY: Final = b"R"
SILENCE_S_MAX: Final = 60.0
"""A second process that says nothing for so long is lost: a database answers sooner, or never."""


class SecondProcessLostError(Exception):
    """The second process ended before it had read all; nothing is known by it."""


@dataclass(frozen=True, slots=True)
class CodedEvents:
    """A chunk of events: id and code of each, and the rows whose id is none."""

    codes: bytes
    odd: list[bytes]

    @property
    def count(self) -> int:
        """Return how many events there are."""
        return len(self.codes) // CODED_BYTES + len(self.odd)


def code_events(connection: Connection, code: KeyedHash) -> Iterator[CodedEvents]:
    """Yield all events of the connection's snapshot."""
    for rows in repository.read_events(connection, CHUNK_MAX):
        yield _code(rows, code)


def _code(rows: Iterable[bytes], code: KeyedHash) -> CodedEvents:
    inner_of, outer_of = code.copiers
    coded: list[bytes] = []
    odd: list[bytes] = []
    add, id_size = coded.append, _ID_SIZE
    for row in rows:
        if not row.startswith(id_size):
            odd.append(row)
            continue
        # KeyedHash, written out for speed.
        inner = inner_of()
        inner.update(row)
        outer = outer_of()
        outer.update(inner.digest())
        add(row[4:20])
        add(outer.digest())
    return CodedEvents(b"".join(coded), odd)


# --- the first process --------------------------------------------------------------------------
@contextmanager
def coded_elsewhere(database: Database, keys: ChainKeys) -> Iterator[Iterator[CodedEvents]]:
    """Have a second process code the events; its snapshot stands when the block begins.

    Raises:
        SecondProcessLostError: It ended early; also out of the iterator.
    """
    url = database.engine.url.render_as_string(hide_password=False)
    # -P: nothing is imported from the folder that somebody happens to be in.
    command = [sys.executable, "-P", "-m", __name__]
    with subprocess.Popen(  # noqa: S603 # this program itself, without arguments of anybody
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as process:
        assert process.stdin is not None, "it is a pipe"
        assert process.stdout is not None, "it is a pipe"
        try:
            task = json.dumps({"url": url, "key": keys.event_key.hex()})
            _tell(process.stdin, task.encode())
            pipe = PatientPipe(process.stdout.fileno(), silence_s_max=SILENCE_S_MAX)
            if pipe.read(len(_READY)) != _READY:
                raise SecondProcessLostError
            yield receive(pipe)
        finally:
            process.kill()


def _tell(pipe: IO[bytes], task: bytes) -> None:
    try:
        pipe.write(task)
        pipe.close()
    except BrokenPipeError as error:
        raise SecondProcessLostError from error


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, fewer only at the end."""
        ...


class PatientPipe:
    """The reading end of a pipe, given up after a long silence."""

    def __init__(self, descriptor: int, *, silence_s_max: float) -> None:
        self._descriptor = descriptor
        self._silence_s_max = silence_s_max

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, fewer only at the end.

        Raises:
            SecondProcessLostError: None came for too long.
        """
        parts: list[bytes] = []
        while size:
            ready, _, _ = select.select([self._descriptor], [], [], self._silence_s_max)
            if not ready:
                raise SecondProcessLostError
            part = os.read(self._descriptor, size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def receive(pipe: Readable) -> Iterator[CodedEvents]:
    """Yield the chunks that the second process writes.

    Raises:
        SecondProcessLostError: They break off before the end.
    """
    while (header := _take(pipe, _HEADER.size)) != _END:
        size, odd_count = _HEADER.unpack(header)
        codes = _take(pipe, size)
        odd = [_take(pipe, _SIZE.unpack(_take(pipe, _SIZE.size))[0]) for _ in range(odd_count)]
        yield CodedEvents(codes, odd)


def _take(pipe: Readable, size: int) -> bytes:
    data = pipe.read(size)
    if len(data) != size:
        raise SecondProcessLostError
    return data


# --- the second process -------------------------------------------------------------------------
def serve(task: bytes, pipe: IO[bytes]) -> None:
    """Code the events of the database that the task names, into the pipe."""
    told = json.loads(task)
    database = create_database(told["url"])
    try:
        with database.read() as connection:
            connection.exec_driver_sql("SELECT 1 FROM audit_events LIMIT 1").all()
            pipe.write(_READY)
            pipe.flush()
            for chunk in code_events(connection, KeyedHash(bytes.fromhex(told["key"]))):
                pipe.write(_HEADER.pack(len(chunk.codes), len(chunk.odd)))
                pipe.write(chunk.codes)
                for row in chunk.odd:
                    pipe.write(_SIZE.pack(len(row)) + row)
            pipe.write(_END)
            pipe.flush()
    finally:
        database.close()


if __name__ == "__main__":
    serve(sys.stdin.buffer.read(), sys.stdout.buffer)

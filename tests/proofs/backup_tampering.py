"""Tampers with backups: no altered file opens, and nothing of one is restored.

    python tests/proofs/backup_tampering.py --size 2000 --seed 1

On a small backup every bit is flipped and the file is cut at every length; on one of many chunks,
as many of both as SIZE says, chosen by the seed. Chunks are swapped, doubled, removed and taken
from a second backup with the same custodians; headers are exchanged. Each file is read by two
custodians as `vending restore` does before it touches the database. `make proof-keys` runs it.
"""

import argparse
import io
import random  # noqa: TID251 # a seeded choice that can be repeated
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.backups import make_custodians
from tests.support.partner_client import say
from vending.backups.archive import (
    ArchiveReader,
    ArchiveWriter,
    ContentKey,
    make_header,
)
from vending.backups.custodian_keys import CustodianKey
from vending.backups.errors import BackupDamagedError, BackupLockedError
from vending.backups.model import Custodian, TableShape, ValueKind
from vending.backups.rules import RowTally, describe_shape, encode_rows
from vending.backups.service.reading import FORMAT, read_opening, walk
from vending.errors import canonical_json

BITS = 8
TAG_BYTES = 16
SMALL_ROWS, LARGE_ROWS = 3, 3000
SMALL_CHUNK, LARGE_CHUNK = 256, 1024
NOISE_BYTES = 60
"""Random bytes of each row, which do not compress."""
SHAPE = TableShape(
    "notes", (("id", ValueKind.NUMBER), ("noise", ValueKind.BYTES)), ("id",), frozenset()
)


@dataclass
class Tampering:
    """What was tried, and what got through."""

    tried: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Specimen:
    """A backup in memory."""

    content: bytes
    header_bytes: int
    chunk_bytes: int

    def chunks(self) -> list[bytes]:
        size, body = self.chunk_bytes + TAG_BYTES, self.content[self.header_bytes :]
        return [body[start : start + size] for start in range(0, len(body), size)]

    def with_chunks(self, chunks: list[bytes]) -> bytes:
        return self.content[: self.header_bytes] + b"".join(chunks)


def make_specimen(
    custodians: list[CustodianKey], rows: int, chunk_bytes: int, rng: random.Random
) -> Specimen:
    """A backup of one table, written as `vending backup create` writes it."""
    key, backup_id = ContentKey.generate(), uuid.UUID(int=rng.getrandbits(128), version=4)
    at = "2026-11-25T08:00:00+00:00"
    people = [Custodian(each.name, each.public_key) for each in custodians]
    header = make_header(
        key, backup_id=backup_id, at=at, custodians=people, chunk_bytes=chunk_bytes
    )
    file = io.BytesIO()
    writer = ArchiveWriter(file, header, key)
    header_bytes = file.tell()
    opening = {
        "format": FORMAT, "backup_id": backup_id.hex, "at": at, "revision": "0013",
        "engine": "sqlite", "root": None, "store_generation": 1, "seen_at": None, "audit_head": {},
    }  # fmt: skip
    writer.write_line(canonical_json(opening))
    writer.write_line(describe_shape(SHAPE))
    tally = RowTally()
    for number in range(rows):
        line = encode_rows(SHAPE, [(number, rng.randbytes(NOISE_BYTES))])
        tally.add(line, 1)
        writer.write_line(line)
    found = tally.sum()
    writer.write_line(
        canonical_json({"end": SHAPE.name, "count": found.rows, "digest": found.digest})
    )
    writer.write_line(canonical_json({"tables": 1, "rows": found.rows}))
    writer.finish()
    return Specimen(file.getvalue(), header_bytes, chunk_bytes)


def read_whole(content: bytes, holders: list[CustodianKey]) -> int:
    """Read a backup as a restore does before it loads anything; how many rows it has.

    Raises:
        BackupDamagedError: It was tampered with.
        BackupLockedError: It was not made for these custodians.
    """
    reader = ArchiveReader(io.BytesIO(content))
    lines = reader.lines(reader.header.unlock(holders))
    read_opening(lines, reader)
    return sum(each.rows for each in walk(lines, lambda shape, rows: None).values())  # noqa: ARG005 # only looked at


def tamper(specimen: Specimen, other: Specimen, rng: random.Random, size: int | None) -> (
    Iterator[tuple[str, bytes]]
):  # fmt: skip
    """Every altered file and its name; `size` bounds flips and cuts, None: all of them."""
    content = specimen.content
    flips = range(len(content) * BITS)
    for bit in flips if size is None else sorted(rng.sample(flips, min(size, len(flips)))):
        altered = bytearray(content)
        altered[bit // BITS] ^= 1 << bit % BITS
        yield f"bit {bit}", bytes(altered)
    cuts = range(len(content))
    for length in cuts if size is None else sorted(rng.sample(cuts, min(size, len(cuts)))):
        yield f"cut at {length}", content[:length]
    yield "a byte appended", content + b"\0"
    yield from _move_chunks(specimen, rng, size)
    chunks, foreign = specimen.chunks(), other.chunks()
    for place in range(min(len(chunks), len(foreign))):
        mixed = [*chunks[:place], foreign[place], *chunks[place + 1 :]]
        yield f"chunk {place} of another backup", specimen.with_chunks(mixed)
    yield "the header of another backup", other.with_chunks(chunks)
    yield "the tail of another backup", content + b"".join(foreign)


def _move_chunks(
    specimen: Specimen, rng: random.Random, size: int | None
) -> Iterator[tuple[str, bytes]]:
    chunks = specimen.chunks()
    pairs = [(a, b) for a in range(len(chunks)) for b in range(a + 1, len(chunks))]
    for first, second in pairs if size is None else rng.sample(pairs, min(size, len(pairs))):
        moved = chunks.copy()
        moved[first], moved[second] = moved[second], moved[first]
        yield f"chunks {first} and {second} swapped", specimen.with_chunks(moved)
    for place in range(len(chunks)):
        yield f"chunk {place} removed", specimen.with_chunks(chunks[:place] + chunks[place + 1 :])
        doubled = [*chunks[: place + 1], *chunks[place:]]
        yield f"chunk {place} twice", specimen.with_chunks(doubled)


def prove_backups(folder: Path, *, size: int, seed: int, is_exhaustive: bool = True) -> Tampering:
    """Tamper with a small and with a large backup; what got through is a fault.

    Of the small one everything is tried, unless it is not to be exhaustive: then `size` as well.
    """
    rng = random.Random(seed)  # noqa: S311 # a repeatable choice
    holders = make_custodians(folder, "anna", "bela", "chen")
    outcome = Tampering()
    for rows, chunk_bytes, bound in (
        (SMALL_ROWS, SMALL_CHUNK, None if is_exhaustive else size),
        (LARGE_ROWS, LARGE_CHUNK, size),
    ):
        one, other = (make_specimen(holders, rows, chunk_bytes, rng) for _ in range(2))
        if read_whole(one.content, holders[1:]) != rows:
            outcome.faults.append(f"the backup of {rows} rows does not read back untouched")
        for name, altered in tamper(one, other, rng, bound):
            _try(outcome, name, altered, holders[:2])
        for alone in holders:
            _try(outcome, f"{alone.name} alone", one.content, [alone, alone])
    return outcome


def _try(outcome: Tampering, name: str, content: bytes, holders: list[CustodianKey]) -> None:
    outcome.tried += 1
    try:
        read_whole(content, holders)
    except (BackupDamagedError, BackupLockedError):
        return
    except Exception as error:  # noqa: BLE001 # a refusal of another kind is a fault to report
        outcome.faults.append(f"{name}: {type(error).__name__} {error}")
        return
    outcome.faults.append(f"{name}: it was read")


def main() -> int:
    """Run the proof; 0 when everything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = prove_backups(Path(folder), size=options.size, seed=options.seed)
    for fault in outcome.faults[:50]:
        say(f"FAULT {fault}")
    say(
        f"backups: seed {options.seed}; {outcome.tried} altered files, all refused but"
        f" {len(outcome.faults)}; faults {len(outcome.faults)}"
    )
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""The head of a backup, which anybody may write anew: read whole, or refused as damaged."""

import hashlib
import io
import json
from typing import Any

import pytest

from vending.backups.archive import ArchiveReader
from vending.backups.errors import BackupDamagedError

GOOD: dict[str, Any] = {
    "at": "2026-11-25T08:00:00+00:00",
    "backup_id": "0" * 32,
    "chunk_bytes": 65_536,
    "custodians": [{"name": "anna", "public_key": "00" * 32}],
    "ephemeral": "00" * 32,
    "pairs": [{"first": 0, "second": 1, "sealed": "00"}],
}


def headed(document: bytes) -> io.BytesIO:
    """A file whose head holds this document under a right digest."""
    body = b"VBACKUP1" + len(document).to_bytes(4) + document
    return io.BytesIO(body + hashlib.sha256(body).digest())


def test_head_tells_whose_backup_it_is() -> None:
    header = ArchiveReader(headed(json.dumps(GOOD).encode())).header
    assert [each.name for each in header.custodians] == ["anna"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 60_000,
        b'{"at":' * 9_000,
        *(
            json.dumps({**GOOD, **changed}).encode()
            for changed in (
                {"backup_id": 5},
                {"chunk_bytes": float("inf")},
                {"chunk_bytes": 0},
                {"custodians": [{"name": "\x1b[2Jnobody", "public_key": "00" * 32}]},
                {"custodians": [{"name": "an\u202ena", "public_key": "00" * 32}]},
                {"custodians": 5},
                {"pairs": [5]},
                {"ephemeral": None},
            )
        ),
    ],
)
def test_head_that_says_nothing_is_damaged(document: bytes) -> None:
    with pytest.raises(BackupDamagedError):
        ArchiveReader(headed(document))

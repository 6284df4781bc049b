"""Says how far the audit chain of the lost installation had got, by the heads exported from it.

Every head is trusted by its signature alone. A head whose link our chain has is no loss; of the
others, those behind what was restored are the lost installation's, and those before contradict
what was restored: another installation's backup, or one that somebody altered.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from vending.audit.errors import HeadsFileError
from vending.audit.model import Head
from vending.audit.rules import PublicKey
from vending.audit.service.heads import ExportedLine, list_files, read_lines
from vending.audit.service.listing import find_head_at, find_links
from vending.backups.model import LostAudit

_AT_ONCE: Final = 500
_LISTED_MAX: Final = 10


def find_lost_audit(
    connection: Connection, exported: Path, *, public_key: PublicKey, restored_position: int
) -> LostAudit:
    """Return what the heads in a file, or in the files of a folder, say of what was lost.

    Raises:
        HeadsFileError: They cannot be read, or there are none.
    """
    newest: Head | None = None
    checked_count = refused_count = 0
    refused: list[str] = []
    differing: list[int] = []
    for batch in _batches(read_lines(_files(exported))):
        heads = [one.head for one in batch if one.head and public_key.has_signed(one.head)]
        bad = [one.where for one in batch if not (one.head and public_key.has_signed(one.head))]
        checked_count += len(heads)
        refused_count += len(bad)
        refused += bad[: _LISTED_MAX - len(refused)]
        unknown = _unknown(connection, heads)
        differing += [head.position for head in unknown if head.position <= restored_position]
        lost = [head for head in unknown if head.position > restored_position]
        newest = max([*lost, *([newest] if newest else [])], key=_position, default=None)
    return LostAudit(
        restored_head=find_head_at(connection, restored_position),
        newest_head=newest,
        checked_count=checked_count,
        refused_count=refused_count,
        refused=tuple(refused),
        differing=tuple(sorted(differing)[:_LISTED_MAX]),
    )


def _files(exported: Path) -> Sequence[Path]:
    if not exported.is_dir():
        return [exported]
    files = list_files(exported)
    if not files:
        raise HeadsFileError(str(exported), why="no exported heads are in it")
    return files


def _batches(lines: Iterable[ExportedLine]) -> Iterator[list[ExportedLine]]:
    waiting = iter(lines)
    while batch := list(islice(waiting, _AT_ONCE)):
        yield batch


def _unknown(connection: Connection, heads: Collection[Head]) -> list[Head]:
    held = find_links(connection, [head.position for head in heads])
    return [head for head in heads if held.get(head.position) != head.link]


def _position(head: Head) -> int:
    return head.position
